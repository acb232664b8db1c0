#!/usr/bin/env bash
# Installs the Debian packages that a step needs and the machine lacks: as root directly, else it
# prints the line to run and stops. Usage: tools/setup.sh build|fuzz|format|python
set -euo pipefail

build_packages=(
  g++ cmake ninja-build make git python3
  libhwy-dev           # vectors and run-time dispatch of the CPU backend
  libfmt-dev           # messages
  libcli11-dev nlohmann-json3-dev  # the command-line tool
  libeigen3-dev        # projections of the language model
  libgtest-dev libgmock-dev        # tests
  libbenchmark-dev     # micro-benchmarks
  librsvg2-bin         # plots as PNG
  spin                 # model checker: barriers of the fused kernel
)
case "${1:?usage: tools/setup.sh build|fuzz|format|python}" in
  build) packages=("${build_packages[@]}") ;;
  fuzz) packages=("${build_packages[@]}" clang-14 libclang-rt-14-dev) ;;
  python) packages=(g++ cmake ninja-build libhwy-dev libfmt-dev python3-dev python3-venv) ;;
  format) packages=(clang-format-14 clang-tidy-14) ;;
  *) echo "tools/setup.sh: expected build, fuzz, format or python, got \"$1\"" >&2; exit 2 ;;
esac

mkdir -p build
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

line="apt-get install -y --no-install-recommends ${missing[*]}"
if [ "$(id -u)" -ne 0 ]; then
  echo "These Debian packages are missing; run this once, then try again:" >&2
  echo "  sudo apt-get update && sudo $line" >&2
  exit 1
fi
echo "Installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
$line -qq > build/setup.log 2>&1 || { tail -n 20 build/setup.log >&2; exit 1; }
