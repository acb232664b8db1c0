#!/usr/bin/env python3
"""Deletes or weakens one synchronisation instruction at a time and runs a program on the emulator.

A mutant is killed if the program's result differs (exit status, hang) or if the checker reports something that it does
not report for the original. What nobody kills is printed with its source line: either the instruction is redundant, or
the program's inputs and schedules do not reach the case that needs it.

    mutate.py --kernel name [--seeds 4] [--json out.json] -- ./program arguments
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

HANG = "hang"


def run(command, environment, timeout):
    """Exit status (or HANG) and the set of checker reports of one run."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "reports.json")
        environment = {**os.environ, **environment, "EMULATOR_CHECK": "1", "EMULATOR_CHECK_JSON": path}
        try:
            done = subprocess.run(
                command, env=environment, timeout=timeout, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
            status = done.returncode
            if b"module not loaded" in done.stderr:
                raise RuntimeError(done.stderr.decode(errors="replace"))
        except subprocess.TimeoutExpired:
            return HANG, set()
        reports = set()
        if os.path.exists(path):
            with open(path) as file:
                for report in json.load(file)["reports"]:
                    reports.add((report["rule"], place(report["now"]), place(report.get("before", {}))))
        return status, reports


def place(access):
    return (access.get("kernel", ""), access.get("ptx_line", 0))


def possible_mutations(command, timeout, kernel):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "mutations")
        environment = {**os.environ, "EMULATOR_MUTATE_LIST": path}
        subprocess.run(command, env=environment, timeout=timeout, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(path) as file:
            all_of_them = [json.loads(line) for line in file]
    unique = {m["key"]: m for m in all_of_them if kernel in m["entry"]}
    return list(unique.values())


def settings(seed, delay):
    """Seed 0 is the fixed schedule in which copies land at once."""
    if seed == 0:
        return {"EMULATOR_SEED": "0"}
    return {"EMULATOR_SEED": str(seed), "EMULATOR_QUANTUM": "50", "EMULATOR_ASYNC_DELAY": str(delay)}


def judge(command, mutation, baseline, arguments, timeout):
    """How the mutant died: 'checker', 'result', 'hang', or None."""
    for seed, (status, reports) in enumerate(baseline):
        environment = {**settings(seed, arguments.delay), "EMULATOR_MUTATE": mutation["key"]}
        mutant_status, mutant_reports = run(command, environment, timeout)
        fresh = mutant_reports - reports
        if fresh:
            return {"by": "checker", "seed": seed, "rules": sorted({r[0] for r in fresh})}
        if mutant_status == HANG:
            return {"by": "hang", "seed": seed}
        if mutant_status != status:
            return {"by": "result", "seed": seed, "status": mutant_status}
    return None


def kind_of(mutation):
    words = [w for w in mutation["original"].split(" ") if not w.startswith("@")]
    return ".".join(words[0].split(".")[:3]) + " " + mutation["action"]


def summary(results):
    lines = []
    kinds = {}
    for r in results:
        kinds.setdefault(kind_of(r), []).append(r)
    for kind in sorted(kinds):
        group = kinds[kind]
        killed = [r for r in group if r["killed"]]
        by = {}
        for r in killed:
            by[r["killed"]["by"]] = by.get(r["killed"]["by"], 0) + 1
        how = ", ".join(f"{n} by {b}" for b, n in sorted(by.items()))
        lines.append(f"{kind:48} {len(killed):3} of {len(group):3}   {how}")
    survivors = [r for r in results if not r["killed"]]
    if survivors:
        lines.append("survivors:")
    for r in survivors:
        lines.append(f"  ptx line {r['ptx_line']}: {r['original']}")
        lines.append(f"      {r['action']}" + (f" -> {r['replacement']}" if r["replacement"] else ""))
        lines.append(f"      in {r['entry']}")
    killed = len(results) - len(survivors)
    share = 100.0 * killed / len(results) if results else 100.0
    lines.append(f"score: {killed} of {len(results)} mutants killed ({share:.0f} %)")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernel", default="", help="part of the mangled name of the kernels to mutate")
    parser.add_argument("--seeds", type=int, default=4, help="permuted schedules besides the fixed one")
    parser.add_argument("--delay", type=int, default=20, help="how late copies may land, in scheduler rounds")
    parser.add_argument("--limit", type=int, default=0, help="at most this many mutants, evenly spread")
    parser.add_argument("--minimum", type=float, default=0.0, help="fail if fewer percent are killed")
    parser.add_argument("--json", help="write all results here")
    parser.add_argument("command", nargs="+", help="program and arguments, after --")
    arguments = parser.parse_args()

    baseline = []
    longest = 1.0
    for seed in range(arguments.seeds + 1):
        start = time.monotonic()
        baseline.append(run(arguments.command, settings(seed, arguments.delay), 600))
        longest = max(longest, time.monotonic() - start)
        status, reports = baseline[-1]
        if status != 0 or reports:
            print(f"seed {seed}: the original itself ends with {status} and {len(reports)} reports", file=sys.stderr)
    # A mutant that spins must not stop the run; one that is merely slow must not count as hanging.
    timeout = 10 * longest + 10

    mutations = possible_mutations(arguments.command, timeout, arguments.kernel)
    if arguments.limit and len(mutations) > arguments.limit:
        step = len(mutations) / arguments.limit
        mutations = [mutations[int(i * step)] for i in range(arguments.limit)]
    results = []
    for mutation in mutations:
        killed = judge(arguments.command, mutation, baseline, arguments, timeout)
        results.append({**mutation, "killed": killed})
    print(summary(results))
    killed = sum(1 for r in results if r["killed"])
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump({"killed": killed, "total": len(results), "mutants": results}, file, indent=1)
    return 1 if results and 100.0 * killed < arguments.minimum * len(results) else 0


if __name__ == "__main__":
    sys.exit(main())
