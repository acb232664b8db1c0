#!/usr/bin/env bash
# The Python package as a user meets it: installed from this checkout into a new environment, tested
# there with every supported flash-linear-attention, its wheel audited and used without compilers.
# Usage: tools/test_python.sh [FOLDER]; FLASH_KDA_CUDA and FLASH_KDA_CUDA_ARCHS are handed to the build.
set -euo pipefail
folder=$(realpath -m "${1:-build/test-python}")
fla_versions=(0.5.2 0.6.0)
started=$SECONDS
step() { printf '\n-- %s (%d s so far)\n' "$1" $((SECONDS - started)); }

tools/setup.sh python
# One architecture keeps the CUDA build of a test run short; a user's default is all of them.
export FLASH_KDA_CUDA_ARCHS=${FLASH_KDA_CUDA_ARCHS:-90}
export PIP_DISABLE_PIP_VERSION_CHECK=1
venv=$folder/venv
python=$venv/bin/python

step "environment"
mkdir -p "$folder"
wanted=$(sha256sum tests/python/requirements.txt | cut -c1-16)
if [ ! -e "$folder/$wanted" ]; then
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$python" -m pip install --quiet --no-compile -r tests/python/requirements.txt
  touch "$folder/$wanted"
fi
# FLA only imports Triton here, but what it imports must be of its time: 0.5.2 fails with 3.9.
into() { "$python" -m pip install --quiet --no-compile --no-deps --target "$@"; }
[ -d "$folder/fla-needs/triton" ] || into "$folder/fla-needs" triton==3.6.0 einops==0.8.2
for version in "${fla_versions[@]}"; do
  [ -d "$folder/fla-$version/fla" ] || into "$folder/fla-$version" "fla-core==$version"
done

step "pip install ., in its two halves, so that the wheel can be looked at afterwards"
rm -rf "$folder/dist"
"$python" -m pip wheel --quiet --no-deps -w "$folder/dist" .
wheel=$(ls "$folder"/dist/flash_kda-*-abi3-*.whl)
"$python" -m pip install --quiet --force-reinstall --no-deps "$wheel"
"$python" -m flash_kda info

step "tests"
export PYTHONPATH=
"$python" -m pytest -q -p no:cacheprovider tests/python --durations 5
for version in "${fla_versions[@]}"; do
  step "tests with flash-linear-attention $version"
  PYTHONPATH=$folder/fla-$version:$folder/fla-needs "$python" -m pytest -q -p no:cacheprovider -W ignore \
    tests/python/with_fla tests/python/test_examples.py -k "with_fla or fla_model"
done

step "bench beside flash-linear-attention, and the report"
PYTHONPATH=$folder/fla-${fla_versions[-1]}:$folder/fla-needs "$python" -W ignore -m flash_kda bench --device cpu \
  --tokens 64 256 --heads 2 --threads 1 2 --rounds 3 --json "$folder/bench.json"
"$python" -m flash_kda bench --overhead --device cpu --rounds 3 --json "$folder/overhead.json"
"$python" tools/report.py "$folder/bench.json" "$folder/overhead.json" -o "$folder/report.html"

step "the wheel"
"$venv/bin/abi3audit" --strict --summary "$wheel"
"$venv/bin/auditwheel" show "$wheel"

step "the wheel in an environment without compilers"
rm -rf "$folder/fresh"
python3 -m venv "$folder/fresh"
"$folder/fresh/bin/pip" install --quiet --only-binary :all: numpy==2.2.6
"$folder/fresh/bin/pip" install --quiet --no-index "$wheel"
(cd "$folder" && env -i PATH="$folder/fresh/bin" HOME="$folder" CC=/nonexistent CXX=/nonexistent \
  "$folder/fresh/bin/python" -c '
import flash_kda, numpy
x = [numpy.random.default_rng(i).standard_normal((1, 100, 2, 64), dtype="float32") for i in range(4)]
out = flash_kda.prefill(*x, x[0][..., 0].copy()).out
expected = flash_kda.prefill(*x, x[0][..., 0].copy(), backend="reference").out
assert numpy.linalg.norm(out - expected) <= 1e-5 * numpy.linalg.norm(expected)
print(flash_kda.build_info())')
printf '\nThe Python package is in order (%d s); %s, %s/report.html\n' \
  $((SECONDS - started)) "$wheel" "$folder"
