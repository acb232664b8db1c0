"""Time of prefill on a GPU: this library's kernels, and flash-linear-attention's on the same inputs.

    python benchmarks/gpu/bench.py build/gpu/src/libflash_kda.so --groups headline few --json out.json

No time is written for a call whose result is not right: each output and state is compared, head by
head, with the fp32 CPU backend of the same library (itself verified to 1e-6 of the fp64 definition).
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

os.environ["FLA_FLASH_KDA"] = "0"  # FLA must time its own kernels, not dispatch to ours

import torch  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "torch"))
from c_abi import BACKEND_CPU, BACKEND_CUDA, Library, PlanOptions  # noqa: E402
from cases import K, LOWER_BOUND, V, all_cases, make_inputs  # noqa: E402
from timing import Timer, captured, ceilings  # noqa: E402

# RMS over a head, relative. docs/cuda_two_kernel.md: sqrt(8) * 2^-9 = 5.5e-3 for the products, and
# 2^-9 / sqrt(3) = 1.1e-3 for the output's own rounding.
LIMIT = 5.6e-3
# Of FLA: its tiles are bf16 too, and it keeps u and w in bf16 between kernels. Only a sanity check.
FLA_LIMIT = 2e-2
# Variants of the plan: name -> fields of flash_kda_plan_options. cuts: 0 where the library finds them worth
# it, proven or waited for; 1 only where the part after a cut waits for the state of the part before. v_panel:
# 64 where clusters of two blocks share a chain.
VARIANTS = {"plan": {}, "two-kernel": {"algorithm": 2}, "fused": {"algorithm": 3},
            "plan-exact-cuts": {"cuts": 1}, "fused-exact-cuts": {"algorithm": 3, "cuts": 1},
            "fused-split": {"algorithm": 3, "v_panel": 64},
            "fused-split-exact": {"algorithm": 3, "v_panel": 64, "cuts": 1}}


def variants_of(names):
    """The variants of these names that the library's options know."""
    fields = {name for name, _ in PlanOptions._fields_}
    for name in names:
        if missing := VARIANTS[name].keys() - fields:
            print(f"{name}: left out, the C ABI has no option {', '.join(missing)}", flush=True)
        else:
            yield name, VARIANTS[name]


def worst_head_error(got, expected):
    """Of two tensors whose last axis but one is the head: the largest relative RMS of a head."""
    axes = [axis for axis in range(got.dim()) if axis != got.dim() - 2]
    difference = (got.float() - expected.float()).square().sum(axes)
    size = expected.float().square().sum(axes).clamp_min(1e-30)
    return float((difference / size).sqrt().max())


def expected_results(library, tensors, threads):
    """(out, final_state) of the CPU backend in fp32, on the GPU."""
    host = {name: tensor.cpu() for name, tensor in tensors.items()}
    host["out"] = torch.empty(host["out"].shape, dtype=torch.float32)
    library.prepare(host, BACKEND_CPU, "fp32", threads)()
    final = host.get("final_state")
    return host["out"].cuda(), None if final is None else final.cuda()


def error_of(tensors, expected):
    """Worst relative RMS of a head, over outputs and states; NaN if anything was left unwritten."""
    out, state = expected
    errors = [worst_head_error(tensors["out"], out)]
    if state is not None:
        heads_last = lambda t: t.flatten(2).transpose(1, 2)  # [N, H, V, K] -> [N, V * K, H]
        got, want = (heads_last(t).unsqueeze(-1) for t in (tensors["final_state"], state))
        errors.append(worst_head_error(got, want))
    return float("nan") if any(e != e for e in errors) else max(errors)


def fla_calls(tensors):
    """FLA's chunk_kda and, as a lighter relative, chunk_gated_delta_rule. Empty if FLA is not there."""
    try:
        from fla.ops.gated_delta_rule import chunk_gated_delta_rule
        from fla.ops.kda import chunk_kda
    except ImportError:
        return {}
    t = tensors
    common = {"cu_seqlens": t.get("cu_seqlens"), "initial_state": t.get("initial_state"),
              "output_final_state": "final_state" in t, "use_qk_l2norm_in_kernel": True}

    def kda():
        out, state = chunk_kda(
            t["q"], t["k"], t["v"], t["g"], t["beta"], A_log=t["A_log"],
            dt_bias=t["dt_bias"].flatten(), use_gate_in_kernel=True, use_beta_sigmoid_in_kernel=True,
            safe_gate=True, lower_bound=LOWER_BOUND, state_v_first=True, **common)
        return {"out": out, "final_state": state}

    scalar_gate = torch.nn.functional.logsigmoid(t["g"].float().mean(-1))

    def gated_delta_rule():
        return chunk_gated_delta_rule(t["q"], t["k"], t["v"], scalar_gate, t["beta"].sigmoid(), **common)

    return {"FLA chunk_kda": kda, "FLA chunk_gated_delta_rule": gated_delta_rule}


def tune_fla_for(milliseconds):
    """Has Triton's autotuner time each configuration for so long, not for 25 ms and then 100: the same
    benchmark, a cold L2 before each run, the median, of fewer runs."""
    import functools

    from triton.runtime.autotuner import Autotuner
    from triton.testing import do_bench

    timed = functools.partial(do_bench, warmup=milliseconds / 4, rep=milliseconds)
    Autotuner.do_bench = property(lambda self: timed, lambda self, value: None)


def fla_facts(options):
    """What FLA's times depend on besides the machine."""
    if not options.fla:
        return {}
    try:
        from importlib.metadata import version
        import triton
        return {"fla_core": version("fla-core"), "triton": triton.__version__,
                "fla_tuning_ms": options.fla_tuning_ms or 100}
    except ImportError:
        return {}


def rows_of(case, method, config, error, times, ceiling):
    rows = []
    for (mode, l2), measured in times.items():
        gb_per_s = case.least_bytes() / measured["median_ms"] / 1e6
        rows.append({"case": case.name, "group": case.group, "T": case.tokens,
                     "N": len(case.lengths), "H": case.heads, "K": K, "V": V, "gate": case.gate,
                     "state": case.state, "method": method, "config": config, "mode": mode, "l2": l2,
                     **measured, "tokens_per_s": case.tokens / measured["median_ms"] * 1e3,
                     "least_gb_per_s": gb_per_s,
                     "percent_of_copy": 100 * gb_per_s / ceiling["copy_gb_per_s"],
                     "worst_head_error": error})
    return rows


def bench_ours(library, case, tensors, expected, variants, timer, ceiling):
    rows = []
    for name, fields in variants:
        tensors["out"].fill_(float("nan"))
        if "final_state" in tensors:
            tensors["final_state"].fill_(float("nan"))
        call = library.prepare(tensors, BACKEND_CUDA, "bf16", 0, fields)
        stream = torch.cuda.current_stream().cuda_stream
        call(stream)
        torch.cuda.synchronize()
        error = error_of(tensors, expected)
        if not error <= LIMIT:
            print(f"WRONG: {case.name}, {name}: error {error:.2e} exceeds {LIMIT:.1e}; not timed", flush=True)
            rows.append({"case": case.name, "method": name, "config": call.description,
                         "worst_head_error": error, "wrong": True})
            continue
        counts = list(call.cut_counts()) if hasattr(call, "cut_counts") else []
        times = {("eager", "cold"): timer.measure(lambda: call(stream), cold=True)}
        replay = captured(call)
        times["graph", "cold"] = timer.measure(replay, cold=True)
        times["graph", "warm"] = timer.measure(replay, cold=False)
        ours = rows_of(case, name, call.description, error, times, ceiling)
        rows += [{**row, "cut_counts": counts} for row in ours]
        best = times["graph", "cold"]
        print(f"{case.name:32} {name:12} {best['median_ms']:8.4f} ms  (eager "
              f"{times['eager', 'cold']['median_ms']:.4f}, warm {times['graph', 'warm']['median_ms']:.4f})  "
              f"{case.least_bytes() / best['median_ms'] / 1e6 / ceiling['copy_gb_per_s']:6.1%} of copy  "
              f"error {error:.1e}  cuts {counts}  {call.description[:110]}", flush=True)
    return rows


def bench_fla(case, tensors, expected, timer, ceiling):
    rows = []
    for name, call in fla_calls(tensors).items():
        with torch.inference_mode():
            result = call()
            error = None
            if isinstance(result, dict):
                if result["final_state"] is None:
                    result.pop("final_state")
                error = error_of(result, expected if "final_state" in result else (expected[0], None))
                if not error <= FLA_LIMIT:
                    print(f"{case.name}: {name} differs by {error:.2e}; not timed", flush=True)
                    continue
            times = {("eager", "cold"): timer.measure(call, cold=True)}
            # Packed calls read lengths back on the host, which a graph cannot hold.
            if len(case.lengths) == 1:
                try:
                    times["graph", "cold"] = timer.measure(captured(lambda stream: call()), cold=True)
                except RuntimeError as why:
                    print(f"{case.name}: {name} is not captured: {str(why)[:80]}", flush=True)
        rows += rows_of(case, name, "", error, times, ceiling)
        print(f"{case.name:32} {name:27} " + ", ".join(
            f"{mode} {row['median_ms']:.4f} ms" for (mode, _), row in times.items()) + f"  error {error}", flush=True)
    return rows


def bench_case(library, case, work, options, timer, ceiling):
    tensors = make_inputs(case, "cuda")
    expected = expected_results(library, tensors, options.threads)
    rows = bench_ours(library, case, tensors, expected, work.variants, timer, ceiling)
    if work.fla:
        rows += bench_fla(case, tensors, expected, timer, ceiling)
    return rows


def machine(library, ceiling):
    smi = subprocess.run(["nvidia-smi", "--query-gpu=name,driver_version,clocks.max.sm", "--format=csv,noheader"],
                         capture_output=True, text=True, check=False).stdout.strip().splitlines()
    return {"gpu": torch.cuda.get_device_name(), "nvidia_smi": smi[0] if smi else "",
            "multiprocessors": torch.cuda.get_device_properties(0).multi_processor_count,
            "torch": torch.__version__, "cuda": torch.version.cuda, "date": time.strftime("%Y-%m-%d"),
            "commit": os.environ.get("FLASH_KDA_COMMIT", ""),
            "library": hashlib.sha256(Path(library.lib._name).read_bytes()).hexdigest()[:16],
            "flash_kda": library.lib.flash_kda_version().decode(), **ceiling}


def earlier_rows(path, here):
    """Of a run that was cut short; none if they are of another library or GPU."""
    earlier = json.loads(path.read_text())
    for key in ("gpu", "library"):
        if earlier["machine"].get(key) != here[key]:
            print(f"{path} is of another {key}: begun anew", flush=True)
            return []
    return earlier["rows"]


def in_order(cases, first):
    """Cases whose name contains one of `first` before all others, in its order."""
    rank = lambda case: next((i for i, part in enumerate(first) if part in case.name), len(first))
    return sorted(cases, key=rank)


@dataclass(frozen=True)
class Work:
    """What is to be timed of a case."""

    variants: list  # (name, fields of the plan's options)
    fla: bool


def work_left(case, rows, options):
    done = {row["method"] for row in rows if row["case"] == case.name}
    return Work([variant for variant in options.variants if variant[0] not in done],
                options.fla and not any(method.startswith("FLA ") for method in done))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("library", help="path of libflash_kda.so")
    parser.add_argument("--groups", nargs="+", default=["headline", "few"],
                        help="headline, few, long, ten, residual, slow, mixed")
    parser.add_argument("--match", default="", help="only cases whose name contains this")
    parser.add_argument("--first", nargs="+", default=[], help="begin with cases whose name contains these")
    parser.add_argument("--fla", action="store_true", help="time flash-linear-attention too")
    parser.add_argument("--fla-tuning-ms", type=float,
                        help="how long FLA times each configuration; default: as Triton does, 25 + 100")
    parser.add_argument("--variants", nargs="+", default=["plan"], choices=list(VARIANTS))
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=0, help="of the CPU backend that judges")
    parser.add_argument("--json", help="write machine and rows here; what is in it already is not run again")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no case later than this")
    options = parser.parse_args()
    begin = time.monotonic()
    options.variants = list(variants_of(options.variants))
    library = Library(options.library)
    ceiling = ceilings()
    print(f"{torch.cuda.get_device_name()}: copies at {ceiling['copy_gb_per_s']:.0f} GB/s, multiplies bf16 at "
          f"{ceiling['bf16_tflops']:.0f} TFLOP/s", flush=True)
    timer = Timer(options.rounds)
    path = Path(options.json) if options.json else None
    rows = earlier_rows(path, machine(library, ceiling)) if path and path.exists() else []
    if options.fla and options.fla_tuning_ms:
        tune_fla_for(options.fla_tuning_ms)
    place = {case.name: index for index, case in enumerate(all_cases())}
    todo = [(case, work_left(case, rows, options)) for case in in_order(all_cases(), options.first)
            if case.group in options.groups and options.match in case.name]
    todo = [(case, work) for case, work in todo if work.variants or work.fla]
    left = len(todo)
    for case, work in todo:
        if time.monotonic() - begin > options.seconds:
            break
        left -= 1
        try:
            rows += bench_case(library, case, work, options, timer, ceiling)
        except torch.OutOfMemoryError as error:
            print(f"{case.name}: left out: {str(error)[:100]}", flush=True)
        torch.cuda.empty_cache()
        rows.sort(key=lambda row: place.get(row["case"], len(place)))
        if path:  # after every case: a run that is cut short keeps what it has
            facts = {**machine(library, ceiling), **fla_facts(options)}
            path.write_text(json.dumps({"machine": facts, "rows": rows}, indent=1) + "\n")
    if any(row.get("wrong") for row in rows):
        raise SystemExit("some results were wrong")
    if left:
        print(f"{left} cases not run yet")
        raise SystemExit(3)


if __name__ == "__main__":
    main()
