#!/usr/bin/env bash
# Everything that needs a GPU, in one command: build, verify, check, measure. Needs nvcc 13.0, CMake, a
# C++20 compiler, Python with PyTorch; no network. Parts that are done are not done again until their
# markers in build/gpu/done are removed; sanitize, bench and fla run what they have not yet run with this
# build.
#
#   benchmarks/gpu/run.sh OUT [PART...]
#   parts: build verify tests micro sanitize bench fla ncu (default: these), errors, vectors
#
# From the environment:
#   DEPS           a folder of Debian packages with the headers the machine lacks; unpacked, not installed
#   WHEELS         a folder of wheels with flash-linear-attention, where the machine lacks it
#   PART_SECONDS   limit of one part (default 400)
#   BENCH_VARIANTS plan, two-kernel, fused, plan-exact-cuts, fused-exact-cuts, fused-split, fused-split-exact
#                  (default: plan)
#   BENCH_GROUPS   of benchmarks/gpu/cases.py (default: headline few ten)
#   FLA_GROUPS     those that flash-linear-attention is timed on too (default: headline few ten)
#   FLA_TUNING_MS  how long its autotuner times a configuration (default: 100, as Triton does)
#   SANITIZE       further options of benchmarks/gpu/sanitize.py
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
    cmake --build "$build" --target flash_kda flash-kda cuda_hardware_test cuda_hardware_error_test gpu_micro
}
part_verify() { "$build/flash-kda" info && "$build/flash-kda" verify --backend cuda --precision bf16; }
# run_tests PROGRAM: its tests in as many processes as there are cores, since references are computed on
# the CPU.
run_tests() {
  local shards shard status=0 processes=() logs
  shards=$(nproc)
  logs=$(mktemp -d)
  for ((shard = 0; shard < shards; ++shard)); do
    GTEST_TOTAL_SHARDS=$shards GTEST_SHARD_INDEX=$shard timeout "$limit" "$1" --gtest_brief=1 \
      > "$logs/$shard" 2>&1 &
    processes+=($!)
  done
  for ((shard = 0; shard < shards; ++shard)); do
    wait "${processes[shard]}" && continue
    status=$?
    echo "shard $shard of $shards: exit status $status"
    tail -n 30 "$logs/$shard"
  done
  grep -h '^\[  PASSED\|^\[  SKIPPED\|^\[  FAILED' "$logs"/* | awk '{ sum[$2] += $4 } END { for (k in sum) print k, sum[k] }'
  rm -r "$logs"
  return $status
}
part_tests() { run_tests "$build/tests/cuda/cuda_hardware_test"; }
# References in fp64 of many heads and seeds.
part_errors() { run_tests "$build/tests/cuda/cuda_hardware_error_test"; }
part_micro() { timeout 120 "$build/benchmarks/gpu/micro/gpu_micro" --json "$out/micro.json"; }
part_sanitize() {
  local status
  # shellcheck disable=SC2086 # options are words
  python3 benchmarks/gpu/sanitize.py "$build/flash-kda" --state "$build/sanitize.json" \
    --reports "$build/sanitize-reports.txt" --seconds "$((limit - 60))" ${SANITIZE:-}
  status=$?
  cp "$build/sanitize.json" "$build/sanitize-reports.txt" "$out"
  return $status
}
# bench NAME OPTION...: into build/gpu/NAME.json and OUT.
bench() {
  local name=$1 status
  shift
  python3 benchmarks/gpu/bench.py "$build/src/libflash_kda.so" --json "$build/$name.json" "$@"
  status=$?
  cp "$build/$name.json" "$out"
  return $status
}
part_bench() {
  # shellcheck disable=SC2086 # groups and variants are words
  bench bench --groups ${BENCH_GROUPS:-headline few ten} --variants ${BENCH_VARIANTS:-plan} --seconds "$((limit - 30))"
}
part_fla() {
  local begin=$SECONDS
  unpack_wheels || return 1
  export TRITON_CACHE_DIR=$PWD/$build/triton
  # shellcheck disable=SC2086
  python3 benchmarks/gpu/warm_fla.py --groups ${FLA_GROUPS:-headline few ten} --seconds "$((limit / 2))" \
    > "$out/warm_fla.log" 2>&1
  tail -n 1 "$out/warm_fla.log"
  # shellcheck disable=SC2086
  bench bench-fla --fla --fla-tuning-ms "${FLA_TUNING_MS:-100}" --groups ${FLA_GROUPS:-headline few ten} --match "${FLA_MATCH:-}" \
    --seconds "$((limit - 40 - SECONDS + begin))"
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
# The emulator's model of the hardware: its test programs on this GPU, and the bits of instructions.
part_vectors() {
  local programs=(scalar_vectors_gpu machine_vectors_gpu runtime_calls_gpu)
  cmake -S emulator -B build/gpu-emulator -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DFLASH_KDA_EMULATOR_GPU_TESTS=ON > "$out/vectors-build.log" 2>&1 &&
    cmake --build build/gpu-emulator --target instruction_vectors instruction_vectors_gpu "${programs[@]}" \
      >> "$out/vectors-build.log" 2>&1 || { tail -n 20 "$out/vectors-build.log"; return 1; }
  build/gpu-emulator/vectors/instruction_vectors_gpu > build/gpu-emulator/gpu.txt &&
    build/gpu-emulator/vectors/instruction_vectors > build/gpu-emulator/emulated.txt &&
    python3 emulator/vectors/compare.py build/gpu-emulator/gpu.txt build/gpu-emulator/emulated.txt || return 1
  gzip -c build/gpu-emulator/gpu.txt > "$out/instruction_vectors.txt.gz"
  python3 emulator/tests/run_on_gpu.py --json "$out/emulator-on-gpu.json" \
    "${programs[@]/#/build/gpu-emulator/tests/}"
}

resumed=(sanitize bench fla) # these know themselves what is done
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
  "part_$part" > >(tee "$out/$part.log") 2>&1
  case $? in
    0)
      [[ " ${resumed[*]} " == *" $part "* ]] || touch "$marker"
      summary+=("$part: passed in $((SECONDS - started)) s")
      ;;
    3)
      summary+=("$part: not done after $((SECONDS - started)) s, run it again")
      status=1
      ;;
    *)
      summary+=("$part: FAILED after $((SECONDS - started)) s")
      status=1
      [ "$part" = build ] && break
      ;;
  esac
done
printf '\n%s\n' "== summary" "${summary[@]}"
exit $status
