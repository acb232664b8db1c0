#!/usr/bin/env python3
"""Runs a program that is linked with the emulator, and sums up what happened.

    emulate.py --check --schedules 8 --device H200 -- ./program arguments

Each schedule is one run: the first in the fixed order, the others with seeds 1, 2, ... The exit
status is that of the first run that failed, 1 if the checker reported anything, else 0.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="races, fences, uninitialised data")
    parser.add_argument("--schedules", type=int, default=1, help="number of runs (default 1)")
    parser.add_argument("--first-seed", type=int, default=0, help="seed of the first run; 0 is the fixed order")
    parser.add_argument("--device", help="A100, H20, H100, H200, B200, RTX4090 or RTX5090")
    parser.add_argument("--threads", type=int, help="host threads")
    parser.add_argument("--accumulate", choices=["in_order", "pairwise", "exact"])
    parser.add_argument("--inject-errors", action="store_true", help="approximate functions err as far as documented")
    parser.add_argument("--json", help="write all reports to this file")
    parser.add_argument("program", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    if arguments.program[:1] == ["--"]:
        arguments.program = arguments.program[1:]
    if not arguments.program:
        parser.error("no program given")
    return arguments


def environment(arguments, seed, reports):
    variables = dict(os.environ, EMULATOR_SEED=str(seed), EMULATOR_SUMMARY="1")
    optional = {
        "EMULATOR_DEVICE": arguments.device,
        "EMULATOR_THREADS": arguments.threads,
        "EMULATOR_ACCUMULATE": arguments.accumulate,
        "EMULATOR_APPROX": "inject" if arguments.inject_errors else None,
        "EMULATOR_CHECK": 1 if arguments.check else None,
        "EMULATOR_CHECK_JSON": reports if arguments.check else None,
    }
    variables.update({name: str(value) for name, value in optional.items() if value is not None})
    return variables


def key(report):
    """Two reports are the same if they differ only in how often and where in memory."""
    return json.dumps({k: v for k, v in report.items() if k not in ("count", "where", "times")}, sort_keys=True)


def main():
    arguments = parse()
    status = 0
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.schedules):
            path = os.path.join(folder, f"reports-{seed}.json")
            run = subprocess.run(arguments.program, env=environment(arguments, seed, path), check=False)
            if run.returncode and not status:
                status = run.returncode
                print(f"emulate: seed {seed}: exit status {run.returncode}", file=sys.stderr)
            if os.path.exists(path):
                with open(path, encoding="utf-8") as file:
                    for report in json.load(file)["reports"]:
                        found.setdefault(key(report), (seed, report))
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump([dict(report, seed=seed) for seed, report in found.values()], file, indent=1)
    print(
        f"emulate: {arguments.schedules} schedule(s), {len(found)} distinct report(s), exit status {status}",
        file=sys.stderr,
    )
    return status or (1 if found else 0)


if __name__ == "__main__":
    sys.exit(main())
