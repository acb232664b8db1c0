#!/usr/bin/env bash
# Where the roles of the fused kernel wait: one profiled call, as a table of instructions.
# Usage: benchmarks/gpu/profile_fused.sh OUT HEADS TOKENS (after run.sh OUT build)
set -euo pipefail
cd "$(dirname "$0")/../.."
out=$1
ncu --clock-control none --set full --import-source on -k regex:fused --launch-skip 1 --launch-count 1 -f -o "$out/fused" \
  python3 benchmarks/gpu/one_call.py build/gpu/src/libflash_kda.so "$2" "$3" > "$out/fused-ncu.log" 2>&1
ncu --import "$out/fused.ncu-rep" --page source --csv | gzip > "$out/fused-source.csv.gz"
ncu --import "$out/fused.ncu-rep" > "$out/fused-details.txt"
rm "$out/fused.ncu-rep"
