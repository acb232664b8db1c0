"""Runs the emulator's test programs, built for a GPU, and tells what the GPU does differently.

    python emulator/tests/run_on_gpu.py BUILD/emulator/tests/*_gpu [--json FILE] [--jobs 12]

A fault is sticky: it fails every later test of its process. So a group of tests that does not pass whole
is run again, each test in a process of its own. Prints a table and the first lines of each difference;
exits with 0 if every test was run, whatever came out.
"""

import argparse
import concurrent.futures
import json
import re
import subprocess
from pathlib import Path


def list_tests(program):
    """Suite (with its trailing dot) -> names."""
    text = subprocess.run([program, "--gtest_list_tests"], capture_output=True, text=True, check=True).stdout
    suites, suite = {}, None
    for line in text.splitlines():
        if line.startswith("Running main"):
            continue
        name = line.split("#")[0].rstrip()
        if not line.startswith(" "):
            suite = suites.setdefault(name, [])
        else:
            suite.append(name.strip())
    return suites


def run(program, pattern, seconds):
    """(status, output): passed, skipped, failed, timed out, or the signal that ended it."""
    try:
        done = subprocess.run([program, f"--gtest_filter={pattern}"], capture_output=True, text=True,
                              timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return "timed out", ""
    if done.returncode < 0:
        return f"ended by signal {-done.returncode}", done.stdout
    if done.returncode > 0:
        return "failed", done.stdout
    return "skipped" if re.search(r"^\[  PASSED  \] 0 tests", done.stdout, re.M) else "passed", done.stdout


def first_lines(output):
    """Of the first failure: the expected and the seen, without paths."""
    at = re.search(r"^\S+:(\d+): Failure\n((?:(?!\[).*\n){1,8})", output, re.M)
    return " | ".join(line.strip() for line in at[2].splitlines() if line.strip())[:400] if at else ""


def results_of(program, pool, seconds):
    """name -> (status, lines)."""
    suites = list_tests(program)
    whole = dict(zip(suites, pool.map(lambda suite: run(program, suite + "*", seconds), suites)))
    results, again = {}, []
    for suite, names in suites.items():
        if whole[suite][0] == "passed":
            skipped = set(re.findall(r"^\[  SKIPPED \] (\S+)", whole[suite][1], re.M))
            results.update({suite + n: ("skipped" if suite + n in skipped else "passed", "") for n in names})
        else:
            again += [suite + name for name in names]
    for name, (status, output) in zip(again, pool.map(lambda name: run(program, name, seconds), again)):
        results[name] = (status, first_lines(output) if status != "passed" else "")
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("programs", nargs="+")
    parser.add_argument("--json", help="write program -> test -> [status, lines] here")
    parser.add_argument("--jobs", type=int, default=12)
    parser.add_argument("--seconds", type=int, default=100, help="of one process")
    options = parser.parse_args()
    everything = {}
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for program in options.programs:
            everything[Path(program).name.removesuffix("_gpu")] = results_of(program, pool, options.seconds)
            if options.json:
                Path(options.json).write_text(json.dumps(everything, indent=1) + "\n")
    print("| program | passed | skipped | differs |\n| --- | --- | --- | --- |")
    for program, results in everything.items():
        count = lambda status: sum(s == status for s, _ in results.values())
        passed, skipped = count("passed"), count("skipped")
        print(f"| {program} | {passed} of {len(results)} | {skipped} | {len(results) - passed - skipped} |")
    for program, results in everything.items():
        for name, (status, lines) in results.items():
            if status not in ("passed", "skipped"):
                print(f"- {program} {name}: {status}: {lines}"[:300])


if __name__ == "__main__":
    main()
