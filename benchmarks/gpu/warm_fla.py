"""Compiles the Triton kernels of flash-linear-attention before they are timed.

    TRITON_CACHE_DIR=build/gpu/triton python benchmarks/gpu/warm_fla.py --groups headline few [--jobs 14]

Its autotuner compiles every configuration of every kernel anew for each number of heads, one after the
other: 40 s a number. Here a process for each kind of call runs every configuration once, untimed, side by
side with the others; what they compile lies in Triton's cache. No process writes down a choice of
configuration: the autotuner times and chooses as ever when FLA is measured, alone, with nothing to compile.
"""

import argparse
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
LONGEST = 16384  # tokens of a fixed length: its kernels do not depend on it


def kinds_of(cases):
    """Case by what its kernels depend on: heads, packed or not, states."""
    return {(case.heads, len(case.lengths) > 1, case.state): case for case in reversed(cases)}


def warm(groups, index):
    """Runs every configuration that the calls of kind `index` would choose from, once each."""
    from triton.runtime.autotuner import Autotuner

    def once(call, quantiles=None):
        call()
        return [1.0] * len(quantiles or (0.5,))

    Autotuner.do_bench = property(lambda self: once, lambda self, value: None)
    import torch
    from bench import fla_calls
    from cases import all_cases, make_inputs

    case = list(kinds_of([c for c in all_cases() if c.group in groups]).values())[index]
    if len(case.lengths) == 1:
        case = replace(case, lengths=(min(case.tokens, LONGEST),))
    with torch.inference_mode():
        for call in fla_calls(make_inputs(case, "cuda")).values():
            call()
    torch.cuda.synchronize()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--groups", nargs="+", default=["headline", "few"])
    parser.add_argument("--jobs", type=int, default=14)
    parser.add_argument("--seconds", type=float, default=240, help="stop waiting after this long")
    parser.add_argument("--kind", type=int, help="warm this kind only, in this process")
    options = parser.parse_args()
    if options.kind is not None:
        return warm(options.groups, options.kind)
    from cases import all_cases

    kinds = list(kinds_of([c for c in all_cases() if c.group in options.groups]))
    environment = {**os.environ, "FLA_CACHE_RESULTS": "0"}
    begin, running, waiting, failed = time.monotonic(), {}, list(range(len(kinds))), 0
    while (running or waiting) and time.monotonic() - begin < options.seconds:
        while waiting and len(running) < options.jobs:
            kind = waiting.pop(0)
            running[kind] = subprocess.Popen(
                [sys.executable, __file__, "--groups", *options.groups, "--kind", str(kind)], env=environment)
        time.sleep(0.5)
        for kind in [kind for kind, process in running.items() if process.poll() is not None]:
            failed += running.pop(kind).returncode != 0
    for process in running.values():
        process.kill()
    print(f"warmed {len(kinds) - len(waiting) - len(running) - failed} of {len(kinds)} kinds of call in "
          f"{time.monotonic() - begin:.0f} s", flush=True)


if __name__ == "__main__":
    main()
