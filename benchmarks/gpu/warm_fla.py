"""Compiles the Triton kernels of flash-linear-attention before they are timed; uses no GPU.

    TRITON_CACHE_DIR=build/gpu/triton python benchmarks/gpu/warm_fla.py --groups headline few [--jobs 14]

Its autotuner compiles every configuration of every kernel anew for each number of heads, one after the
other: 106 of chunk_kda, 34 of chunk_gated_delta_rule. Here forked processes share them out. Calls are made
on CPU tensors with a driver that says sm_90 and launches nothing, so that all that happens is that Triton
compiles into its cache. No choice of configuration is written down: the autotuner times and chooses as
ever when FLA is measured, alone, with nothing to compile.
"""

import argparse
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

os.environ["FLA_CACHE_RESULTS"] = "0"
os.environ.setdefault("TRITON_STORE_BINARY_ONLY", "1")
sys.path.insert(0, str(Path(__file__).parent))

import torch  # noqa: E402

HOPPER = {"max_shared_mem": 232448, "multiprocessor_count": 132, "max_num_regs": 65536, "warpSize": 32}


class NoDriver:
    """As much of Triton's driver as compiling for an H100 or H200 asks for."""

    class utils:
        get_device_properties = staticmethod(lambda device: HOPPER)

    def get_current_target(self):
        from triton.backends.compiler import GPUTarget
        return GPUTarget("cuda", 90, 32)

    def get_current_device(self):
        return 0

    def get_current_stream(self, device):
        return 0

    def get_active_torch_device(self):
        return torch.device("cpu")

    def get_benchmarker(self):
        def once(call, quantiles=None):
            call()
            return [1.0] * len(quantiles or (0.5,))

        return once


def build_launcher(kernel):
    """The C function that launches kernels of this signature; where there is no driver to link, not."""
    from triton.backends.nvidia.driver import CudaLauncher

    try:
        CudaLauncher(kernel.src, kernel.metadata)
    except (AssertionError, ImportError, OSError, subprocess.CalledProcessError) as why:
        print(f"no launcher: {str(why).splitlines()[0][:100]}", file=sys.stderr, flush=True)


def replace_gpu():
    """Triton compiles and never launches; PyTorch answers what FLA asks of the GPU when it is imported."""
    from triton.runtime import driver
    from triton.runtime.jit import JITFunction

    driver.set_active(NoDriver())
    run, signatures = JITFunction.run, set()

    def compile_only(self, *args, grid, warmup, **kwargs):
        kernel = run(self, *args, grid=grid, warmup=True, **kwargs)
        signature = str(kernel.src.signature)
        if signature not in signatures:
            signatures.add(signature)
            build_launcher(kernel)
        return kernel

    JITFunction.run = compile_only
    torch.cuda.is_available = lambda: True
    torch.cuda.device_count = lambda: 1
    torch.cuda.get_device_name = lambda *device: "NVIDIA H200"
    torch.cuda.get_device_capability = lambda *device: (9, 0)
    # Values of inputs do not matter, and the time to make them would.
    torch.randn = lambda *shape, generator, device, dtype=torch.float32: torch.empty(shape, dtype=dtype)


def share_configurations():
    """A process compiles every `parts`-th configuration of a kernel: set share(part, parts) before a call."""
    from triton.runtime.autotuner import Autotuner

    bench, mine = Autotuner._bench, [0, 1]

    def bench_mine(self, *args, config, **meta):
        if self.configs.index(config) % mine[1] != mine[0]:
            return [float("inf")] * 3
        return bench(self, *args, config=config, **meta)

    def share(part, parts):
        mine[:] = part, parts

    Autotuner._bench = bench_mine
    return share


def kinds_of(cases):
    """A case for each of what kernels depend on: heads, packed or not, states, and FLA's bucket of l2norm."""
    return list({(case.heads, len(case.lengths) > 1, case.state, -(-case.tokens * case.heads // 65536)): case
                 for case in reversed(cases)}.values())[::-1]


def compile_part(task):
    """All kernels of a case, this part of their configurations."""
    from bench import fla_calls
    from cases import make_inputs

    case, part, parts = task
    SHARE(part, parts)
    with torch.inference_mode():
        for call in fla_calls(make_inputs(case, "cpu")).values():
            call()
    return case.name


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--groups", nargs="+", default=["headline", "few"])
    parser.add_argument("--first", nargs="+", default=[], help="begin with cases whose name contains these")
    parser.add_argument("--match", default="", help="only cases whose name contains this")
    parser.add_argument("--jobs", type=int, default=14)
    parser.add_argument("--parts", type=int, default=6, help="processes that share the kernels of a case")
    parser.add_argument("--seconds", type=float, default=240, help="stop waiting after this long")
    options = parser.parse_args()
    begin = time.monotonic()
    torch.set_num_threads(1)
    replace_gpu()
    global SHARE
    SHARE = share_configurations()
    from bench import fla_calls, in_order  # imports FLA, once for all processes
    from cases import all_cases

    import fla.ops.gated_delta_rule  # noqa: F401
    import fla.ops.kda  # noqa: F401

    del fla_calls
    cases = [c for c in all_cases() if c.group in options.groups and options.match in c.name]
    kinds = kinds_of(in_order(cases, options.first))
    tasks = [(case, part, options.parts) for case in kinds for part in range(options.parts)]
    done = 0
    with multiprocessing.get_context("fork").Pool(options.jobs) as pool:
        results = pool.imap_unordered(compile_part, tasks)
        try:
            for _ in tasks:
                results.next(timeout=max(0.1, options.seconds - (time.monotonic() - begin)))
                done += 1
        except multiprocessing.TimeoutError:
            pool.terminate()
    print(f"compiled {done} of {len(tasks)} parts of {len(kinds)} kinds of call in "
          f"{time.monotonic() - begin:.0f} s", flush=True)


if __name__ == "__main__":
    main()
