"""Time of one prefill call: this library against PyTorch, on the same inputs, interleaved, in one process.

    python benchmarks/torch/compare.py build/release/src/libflash_kda.so --json compare.json

No time is shown for a method whose output is not right: every method is compared with the fp64
reference backend first.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
import published_forms  # noqa: E402
from c_abi import BACKEND_CPU, BACKEND_REFERENCE, Library  # noqa: E402

K = V = 128
LOWER_BOUND = -5.0
# Of the output, relative RMS. fp32 arithmetic leaves bf16 rounding of the output, 2^-9 / sqrt(3) =
# 1.1e-3 rms of each value at most; the bf16 mode's bound is docs/numerics.md's 4e-3.
LIMITS = {"fp32": 2e-3, "bf16": 4e-3, "PyTorch recurrent": 2e-3, "PyTorch chunkwise": 2e-3}


def make_inputs(T, H, seed=1):
    generator = torch.Generator().manual_seed(seed)
    normal = lambda *shape: torch.randn(*shape, generator=generator)
    tensors = {name: normal(1, T, H, K).bfloat16() for name in "qkvg"}
    tensors["beta"] = normal(1, T, H).bfloat16()
    tensors["out"] = torch.empty(1, T, H, V, dtype=torch.bfloat16)
    tensors["A_log"] = torch.rand(H, generator=generator)
    tensors["dt_bias"] = torch.rand(H, K, generator=generator)
    tensors["final_state"] = torch.empty(1, H, V, K)
    return tensors


def torch_call(form, t):
    def call():
        q, k, g, beta = published_forms.activate(t["q"], t["k"], t["g"], t["beta"], t["A_log"],
                                                 t["dt_bias"], LOWER_BOUND)
        out, state = form(q, k, t["v"], g, beta)
        t["out"].copy_(out)
        t["final_state"].copy_(state.transpose(-1, -2))
    return call


def relative_rms(got, expected):
    return ((got.double() - expected).norm() / expected.norm()).item()


def quantile(sorted_values, fraction):
    return sorted_values[round(fraction * (len(sorted_values) - 1))]


def compare(library, T, H, threads, rounds, slow_limit_s):
    torch.set_num_threads(threads)
    tensors = make_inputs(T, H)
    library.prepare(tensors, BACKEND_REFERENCE, "fp32", 0)()
    expected = tensors["out"].double()
    methods = {p: library.prepare(tensors, BACKEND_CPU, p, threads) for p in ("fp32", "bf16")}
    methods["PyTorch recurrent"] = torch_call(published_forms.recurrent, tensors)
    methods["PyTorch chunkwise"] = torch_call(published_forms.chunkwise, tensors)

    errors, times = {}, {name: [] for name in methods}
    for name, call in methods.items():  # also the warm-up
        tensors["out"].zero_()
        call()
        errors[name] = relative_rms(tensors["out"], expected)
        if not errors[name] <= LIMITS[name]:
            raise SystemExit(f"{name}, T={T}, H={H}: output error {errors[name]:.2e} exceeds "
                             f"{LIMITS[name]:.0e}; no times without right results")
    for _ in range(rounds):
        for name, call in methods.items():
            if times[name] and sum(times[name]) > slow_limit_s:
                continue  # a slow method has fewer rounds, not a longer run
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    rows = []
    for name, values in times.items():
        values.sort()
        rows.append({"method": name, "threads": threads, "B": 1, "T": T, "H": H, "K": K, "V": V,
                     "median_ms": 1e3 * statistics.median(values), "p10_ms": 1e3 * quantile(values, 0.1),
                     "p90_ms": 1e3 * quantile(values, 0.9), "rounds": len(values),
                     "output_error": errors[name]})
    return rows


def print_table(rows):
    print("| T | H | threads | method | median ms | p10 .. p90 | fp32 is faster by | output error |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for row in rows:
        ours = next(r for r in rows if r["method"] == "fp32" and
                    all(r[key] == row[key] for key in ("T", "H", "threads")))
        print(f"| {row['T']} | {row['H']} | {row['threads']} | {row['method']} | {row['median_ms']:.1f} | "
              f"{row['p10_ms']:.1f} .. {row['p90_ms']:.1f} | {row['median_ms'] / ours['median_ms']:.1f}x | "
              f"{row['output_error']:.1e} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("library", help="path of libflash_kda.so")
    parser.add_argument("--tokens", type=int, nargs="+", default=[512, 2048, 8192])
    parser.add_argument("--heads", type=int, nargs="+", default=[8])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slow-limit", type=float, default=4.0, help="seconds for one slow method")
    parser.add_argument("--json", help="write the rows here")
    options = parser.parse_args()
    library = Library(options.library)
    rows = []
    with torch.inference_mode():
        for T in options.tokens:
            for H in options.heads:
                for threads in options.threads:
                    rows += compare(library, T, H, threads, options.rounds, options.slow_limit)
    print_table(rows)
    if options.json:
        machine = {"cpu": platform.processor() or platform.machine(), "torch": torch.__version__,
                   "flash_kda": library.lib.flash_kda_version().decode(),
                   "date": time.strftime("%Y-%m-%d")}
        Path(options.json).write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
