"""Speed of prefill on PyTorch tensors, beside flash-linear-attention.

On a GPU FLA's Triton kernels, on the CPU its naive forms, on the same inputs, interleaved. Every
method is compared with the fp64 definition first: a wrong one gets no time. A method that needs longer
than --slow-limit seconds for its rounds stops early (its checking run then counts as its only sample).

    python -m flash_kda bench --tokens 512 8192 --heads 4 32 --threads 1 2 --json bench.json
    python -m flash_kda bench --overhead --json overhead.json

The JSON is what `flash-kda plot` and tools/report.py read.
"""

from __future__ import annotations

import json
import platform
import statistics
import time
from pathlib import Path

import torch

import flash_kda

from .. import _call, _core
from .inputs import make_inputs, relative_rms
from .methods import library, library_must_stay_idle, others
from .table import print_table

K = V = 128


def add_arguments(parser):
    parser.add_argument("--tokens", type=int, nargs="+", default=[512, 2048, 8192])
    parser.add_argument("--heads", type=int, nargs="+", default=[8])
    parser.add_argument("--threads", type=int, nargs="+", help="CPU; default: PyTorch's number")
    parser.add_argument("--precision", nargs="+", choices=["fp32", "bf16"], default=["fp32", "bf16"])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rounds", type=int, default=7, help="samples of a method; default: 7")
    parser.add_argument("--slow-limit", type=float, default=3.0, help="seconds; default: 3")
    parser.add_argument("--only-library", action="store_true", help="without flash-linear-attention")
    parser.add_argument("--overhead", action="store_true", help="what Python adds to a call, instead")
    parser.add_argument("--json", metavar="FILE", help="write the rows here too")


def cpu_name():
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()


def machine(device):
    import os
    return {"cpu": cpu_name(), "cores": os.cpu_count(), "gpu": torch.cuda.get_device_name(device)
            if device != "cpu" else None, "torch": torch.__version__, "python": platform.python_version(),
            "version": flash_kda.__version__, "build": flash_kda.build_info(), "peaks": [],
            "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def seconds(method, device):
    """Wall time of one call; on a GPU the time between two events."""
    if device == "cpu":
        begin = time.perf_counter()
        method.call()
        return time.perf_counter() - begin
    events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
    events[0].record()
    method.call()
    events[1].record()
    torch.cuda.synchronize()
    return events[0].elapsed_time(events[1]) / 1e3


def guard(method):
    import contextlib
    return library_must_stay_idle(method.name) if method.name.startswith("FLA") else contextlib.nullcontext()


def check(method, expected, device):
    """Error of the first run, which is also the warm-up; returns (error, seconds)."""
    begin = time.perf_counter()
    with guard(method):
        out, _ = method.call()
    if device != "cpu":
        torch.cuda.synchronize()
    elapsed = time.perf_counter() - begin
    error = relative_rms(out, expected)
    if not error <= method.limit:
        raise RuntimeError(f"{method.name} {method.precision}: output error {error:.1e} exceeds "
                           f"{method.limit:.1e}; no times without right results")
    return error, elapsed


def sample(methods, device, rounds, slow_limit, expected):
    """{method: (error, sorted seconds)}, rounds interleaved."""
    results = {}
    for method in methods:
        error, first = check(method, expected, device)
        results[method] = (error, [first] if first > slow_limit else [])
    for _ in range(rounds):
        for method in methods:
            times = results[method][1]
            if sum(times) <= slow_limit:
                with guard(method):
                    times.append(seconds(method, device))
    return {method: (error, sorted(times)) for method, (error, times) in results.items()}


def quantile(ordered, fraction):
    return ordered[round(fraction * (len(ordered) - 1))]


def row(method, error, times, T, H, threads):
    median = statistics.median(times)
    token_heads = T * H
    return {"shape": f"t{T}-h{H}", "backend": method.name, "precision": method.precision,
            "target": "", "algorithm": "", "dtype": "bf16", "gate": "lower-bound", "threads": threads,
            "B": 1, "T": T, "H": H, "HV": H, "K": K, "V": V, "lengths": [], "samples": len(times),
            "best_ms": 1e3 * times[0], "median_ms": 1e3 * median, "p10_ms": 1e3 * quantile(times, 0.1),
            "p90_ms": 1e3 * quantile(times, 0.9), "token_heads_per_second": token_heads / median,
            "gflops": 7e-9 * K * V * token_heads / median,  # 7 K V flop per token and head
            "flop_per_byte": 7 * K * V * token_heads / (10 * token_heads * K + 8 * H * K * V),
            "percent_of_peak": None, "gbs": None, "percent_of_copy": None, "workspace_bytes": 0,
            "output_error": error}


def bench_shape(T, H, options, threads_list):
    device = options.device
    host = make_inputs(T=T, H=H)
    expected = flash_kda.prefill(**host, backend="reference").out
    inputs = {name: x.to(device) for name, x in host.items()}
    rows, note = [], ""
    for threads in threads_list:
        torch.set_num_threads(threads)
        precisions = options.precision if device == "cpu" else ["bf16"]
        methods = [library(inputs, precision, threads) for precision in precisions]
        if not options.only_library:
            more, note = others(inputs)
            methods += more
        for method, (error, times) in sample(methods, device, options.rounds, options.slow_limit,
                                             expected).items():
            rows.append(row(method, error, times, T, H, threads))
    return rows, note


def ours(rows, other):
    """This library's first row of the same shape and threads."""
    same = [r for r in rows if all(r[key] == other[key] for key in ("shape", "threads"))
            and not r["backend"].startswith("FLA")]
    return same[0] if same else None


def print_rows(rows):
    cells = []
    for r in rows:
        base = ours(rows, r)
        ratio = f"{r['median_ms'] / base['median_ms']:.2f}x" if base else ""
        cells.append([r["T"], r["H"], r["threads"], r["backend"], r["precision"],
                      f"{r['median_ms']:.3f}", f"{r['p10_ms']:.3f} .. {r['p90_ms']:.3f}", r["samples"],
                      ratio, f"{r['output_error']:.1e}"])
    print_table(["T", "H", "threads", "method", "precision", "median ms", "p10 .. p90", "samples",
                 "of our time", "output error"], cells)


def overhead(repeats, number=2000):
    """Microseconds of a call of fwd, of the library's function inside it, and the difference."""
    rows = []
    for name, T, with_states in (("one token", 1, False), ("one token, states", 1, True)):
        inputs = make_inputs(T=T, H=1)
        out, state = torch.empty_like(inputs["v"]), torch.zeros(1, 1, V, K) if with_states else None
        parameters = torch.nn.Parameter(inputs["A_log"]), torch.nn.Parameter(inputs["dt_bias"])

        def call():
            flash_kda.fwd(inputs["q"], inputs["k"], inputs["v"], inputs["g"], inputs["beta"], 1.0, out,
                          *parameters, -5.0, initial_state=state, final_state=state, threads=1)

        arguments = _call._arguments(
            inputs["q"], inputs["k"], inputs["v"], inputs["g"], inputs["beta"], out, *parameters, None,
            state, state, None, None, None, None, None, None, "lower_bound", -5.0, True, "logits", False,
            1.0, "vk", 0, None, "fp32", 1, "auto", 0, 0)
        whole, inside = [], []
        for _ in range(repeats):
            begin = time.perf_counter()
            for _ in range(number):
                call()
            whole.append((time.perf_counter() - begin) / number * 1e6)
            inside.append(_core.time_run(*arguments, number) * 1e6)
        rows.append({"call": name, "call_us": min(whole), "library_us": min(inside),
                     "overhead_us": min(whole) - min(inside),
                     "median_overhead_us": statistics.median(whole) - statistics.median(inside)})
    return rows


def run(options):
    with torch.no_grad():
        report = {"machine": machine(options.device), "rows": []}
        if options.overhead:
            report["overhead"] = overhead(options.rounds)
            print_table(["call", "fwd us", "library us", "overhead us (best)", "(medians)"],
                        [[r["call"], f"{r['call_us']:.2f}", f"{r['library_us']:.2f}",
                          f"{r['overhead_us']:.2f}", f"{r['median_overhead_us']:.2f}"]
                         for r in report["overhead"]])
        else:
            threads = options.threads if options.threads and options.device == "cpu" else [
                torch.get_num_threads()]
            note = ""
            for T in options.tokens:
                for H in options.heads:
                    rows, note = bench_shape(T, H, options, threads)
                    report["rows"] += rows
                    if options.json:  # what is measured so far survives an interruption
                        Path(options.json).write_text(json.dumps(report, indent=1) + "\n")
            print_rows(report["rows"])
            if note:
                print(note)
    if options.json:
        Path(options.json).write_text(json.dumps(report, indent=1) + "\n")
    return 0
