#!/usr/bin/env bash
# Formatting of all C++ and CUDA, clang-tidy over the library.
# Usage: tools/lint.sh BUILD_FOLDER (it holds compile_commands.json)
set -euo pipefail
build=${1:?usage: tools/lint.sh BUILD_FOLDER}

git ls-files '*.cpp' '*.hpp' '*.h' '*.c' '*.cu' '*.cuh' | xargs clang-format-14 --dry-run -Werror
echo "clang-format: clean"

# The library and its verification. Vector code is included once per target by Highway's macros, which
# clang-tidy 14 cannot follow; the applications' JSON and command-line headers would take it minutes.
git ls-files 'src/core/*.cpp' 'src/capi/*.cpp' 'src/reference/*.cpp' 'verification/*.cpp' \
  | xargs -P "$(nproc)" -n 4 clang-tidy-14 -p "$build" --quiet 2> "$build/clang-tidy.log" \
  || { tail -n 40 "$build/clang-tidy.log" >&2; exit 1; }
echo "clang-tidy: clean"
