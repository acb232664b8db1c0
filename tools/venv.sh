#!/usr/bin/env bash
# Makes .venv with the packages of a requirements file; does nothing when they are there.
# Usage: tools/venv.sh REQUIREMENTS [OPTION OF PIP...]
set -euo pipefail
requirements=${1:?usage: tools/venv.sh REQUIREMENTS [OPTION OF PIP...]}
shift
stamp=.venv/$(sha256sum "$requirements" | cut -c1-16)
[ -e "$stamp" ] && exit 0
python3 -m venv .venv 2> /dev/null || {
  [ "$(id -u)" -eq 0 ] || { echo "python3-venv is missing; run: sudo apt-get install -y python3-venv" >&2; exit 1; }
  apt-get install -y -qq python3-venv > /dev/null && python3 -m venv .venv
}
echo "Installing $(tr '\n' ' ' < "$requirements")into .venv"
.venv/bin/pip install --quiet --disable-pip-version-check "$@" -r "$requirements"
touch "$stamp"
