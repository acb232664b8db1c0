#!/usr/bin/env bash
# Everything that needs a GPU, in one command: build, verify, check, measure. Needs nvcc 13.0, CMake, a
# C++20 compiler, Python with PyTorch; no network. Parts that are done are not done again until their
# markers in build/gpu/done are removed.
#
#   benchmarks/gpu/run.sh OUT [PART...]     parts: build verify tests micro sanitize bench fla ncu (default: all)
#
# From the environment:
#   DEPS           a folder of Debian packages with the headers the machine lacks; unpacked, not installed
#   WHEELS         a folder of wheels with flash-linear-attention, where the machine lacks it
#   PART_SECONDS   limit of one part (default 400)
#   BENCH_VARIANTS plan, two-kernel, fused (default: plan)
#   BENCH_GROUPS   of benchmarks/gpu/cases.py (default: headline few ten)
set -uo pipefail
cd "$(dirname "$0")/../.."
out=${1:?usage: benchmarks/gpu/run.sh OUT [PART...]}
shift
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(build verify tests micro sanitize bench fla ncu)
build=build/gpu
limit=${PART_SECONDS:-400}
archs=${FLASH_KDA_CUDA_ARCHS:-90}
mkdir -p "$out" "$build/done"

unpack_deps() {
  [ -n "${DEPS:-}" ] || return 0
  [ -d "$build/deps/usr" ] || for package in "$DEPS"/*.deb; do dpkg -x "$package" "$build/deps" || return 1; done
  export CMAKE_PREFIX_PATH=$PWD/$build/deps/usr CPLUS_INCLUDE_PATH=$PWD/$build/deps/usr/include
}

unpack_wheels() {
  [ -n "${WHEELS:-}" ] || return 0
  [ -d "$build/site" ] || python3 -m pip install -q --no-index --no-deps --no-compile --target "$build/site" \
    "$WHEELS"/*.whl || return 1
  export PYTHONPATH=$PWD/$build/site
}

part_build() {
  cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DFLASH_KDA_CUDA=ON \
    -DFLASH_KDA_CUDA_ARCHS="$archs" -DFLASH_KDA_EMULATOR_TESTS=OFF -DFLASH_KDA_HARDWARE_TESTS=ON &&
    cmake --build "$build" --target flash_kda flash-kda cuda_hardware_test gpu_micro
}
part_verify() { "$build/flash-kda" info && "$build/flash-kda" verify --backend cuda --precision bf16; }
part_tests() { "$build/tests/cuda/cuda_hardware_test" --gtest_brief=1; }
part_micro() { "$build/benchmarks/gpu/micro/gpu_micro" --json "$out/micro.json"; }
part_sanitize() {
  local tool failed=0
  for tool in memcheck racecheck initcheck synccheck; do
    for name in ${SANITIZED_CASES:-packed-unequal pool-f32-vk checkpoint-every-7 gate-softplus}; do
      timeout "$((limit / 4))" compute-sanitizer --tool "$tool" --error-exitcode 9 \
        "$build/flash-kda" verify --backend cuda --precision bf16 --case "$name" > "$out/sanitize.txt" 2>&1 ||
        { echo "$tool, case $name: exit $?"; tail -n 12 "$out/sanitize.txt"; failed=1; }
      echo "$tool, $name: $(grep -E '(ERROR|RACECHECK) SUMMARY|passed,' "$out/sanitize.txt" | tr '\n' ' ')"
    done
  done
  return $failed
}
part_bench() {
  # shellcheck disable=SC2086 # groups are words
  python3 benchmarks/gpu/bench.py "$build/src/libflash_kda.so" --groups ${BENCH_GROUPS:-headline few ten} \
    --variants ${BENCH_VARIANTS:-plan} --json "$out/bench.json"
}
part_fla() {
  unpack_wheels && python3 benchmarks/gpu/bench.py "$build/src/libflash_kda.so" --fla \
    --groups ${FLA_GROUPS:-headline} --match "${FLA_MATCH:-}" --json "$out/bench-fla.json"
}
part_ncu() {
  local shape
  for shape in ${NCU_SHAPES:-96x8192 8x8192}; do
    timeout "$((limit / 2))" ncu --clock-control none --set full -k regex:'prepare|recurrence|merge|fused' \
      --launch-count 4 python3 benchmarks/gpu/one_call.py "$build/src/libflash_kda.so" "${shape%x*}" "${shape#*x}" \
      > "$out/ncu-$shape.txt" 2>&1 || return 1
    echo "H x T = $shape"
    grep -E '^  [^ ].*kernel<|Duration|DRAM Throughput|Executed Ipc Active|Registers Per|Achieved Occ|Warp Cycles Per Issued' \
      "$out/ncu-$shape.txt" | cut -c1-110
  done
}

unpack_deps || exit 1
summary=()
status=0
for part in "${parts[@]}"; do
  marker=$build/done/$part
  if [ -e "$marker" ]; then
    summary+=("$part: done before")
    continue
  fi
  echo "== $part"
  started=$SECONDS
  if "part_$part" > >(tee "$out/$part.log") 2>&1; then
    touch "$marker"
    summary+=("$part: passed in $((SECONDS - started)) s")
  else
    summary+=("$part: FAILED after $((SECONDS - started)) s")
    status=1
    [ "$part" = build ] && break
  fi
done
printf '\n%s\n' "== summary" "${summary[@]}"
exit $status
