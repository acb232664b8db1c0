#!/usr/bin/env bash
# Speed of the CPU backend, then of PyTorch beside it. Usage: tools/bench.sh FLASH_KDA [RESULT_FOLDER]
set -euo pipefail
tool=${1:?usage: tools/bench.sh FLASH_KDA [RESULT_FOLDER]}
results=${2:-build/bench}
mkdir -p "$results"

echo "Against the core's own peaks, sampled between the runs (median ratios):"
for threads in 1 2; do
  "$(dirname "$tool")/benchmarks/cpu/cpu_kernel_bench" --tokens 8192 --heads 8 --rounds 25 --threads $threads
done | tee "$results/peaks.txt"

echo
"$tool" bench --json "$results/cpu.json"
"$tool" plot "$results/cpu.json" -o "$results/cpu.svg"
echo "Wrote $results/cpu.json and $results/cpu.svg"

echo
echo "Against PyTorch, interleaved in one process:"
tools/venv.sh benchmarks/torch/requirements.txt
.venv/bin/python benchmarks/torch/compare.py "$(dirname "$tool")/src/libflash_kda.so" --json "$results/torch.json"
