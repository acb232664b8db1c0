"""Runs small verification cases under compute-sanitizer's tools, several at a time.

    python benchmarks/gpu/sanitize.py build/gpu/flash-kda --state build/gpu/sanitize.json --reports OUT/reports.txt

Fused kernel before the two kernels, small cases before large, all tools of a case at once. What is in the
state file is not run again, so a run that was cut short goes on. Exits with 1 if memcheck, initcheck or
synccheck reported anything or a case failed, with 3 if time ran out before the list did. racecheck is
counted only: it does not follow mbarriers across the lanes of a warp (docs/performance.md), so its reports
want reading.
"""

import argparse
import concurrent.futures
import hashlib
import json
import re
import subprocess
import time
from pathlib import Path

TOOLS = ("synccheck", "memcheck", "initcheck", "racecheck")
ALGORITHMS = ("fused", "chunked")


def list_cases(program, largest=float("inf"), spread=1):
    """Names, cheapest first: by tokens times heads. Every `spread`-th before the others."""
    text = subprocess.run([program, "verify", "--list"], capture_output=True, text=True, check=True).stdout
    sizes = {}
    for line in text.splitlines():
        at = re.match(r"(\S+) +.* B(\d+) T(\d+) .*?HV(\d+)", line)
        if at:
            sizes[at[1]] = int(at[2]) * int(at[3]) * int(at[4])
    names = sorted((name for name, size in sizes.items() if size <= largest), key=sizes.get)
    return [name for first in reversed(range(spread)) for name in names[first::spread]]


def races(output):
    """racecheck's hazards as "writer / reader", each the last function inlined there and its line."""
    place = r" access at (?:void )?(?:[\w:]*::)?(\w+)[^\n]*? in (?:\S*/)?([\w.]+:\d+)"
    found, first = set(), ""
    for line in output.splitlines():
        if at := re.search("between (Write|Read)" + place, line):
            first = f"{at[1].lower()} {at[2]} ({at[3]})"
        elif "reported between" in line:
            first = "access without a line"
        elif at := re.search("and (Write|Read)" + place, line):
            found.add(f"{first} / {at[1].lower()} {at[2]} ({at[3]})")
    return sorted(found)


def run(program, tool, algorithm, case, seconds):
    """{"result": silent, reports, unsupported, failed or timed out, "reports": how many}, output."""
    command = ["compute-sanitizer", "--tool", tool, "--error-exitcode", "9", "--print-limit", "20", program,
               "verify", "--backend", "cuda", "--precision", "bf16", "--threads", "1",
               "--algorithm", algorithm, "--case", case]
    begin = time.monotonic()
    try:
        output = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False).stdout
    except subprocess.TimeoutExpired as expired:
        return {"result": "timed out", "seconds": seconds}, (expired.stdout or b"").decode(errors="replace")
    summary = re.search(r"SUMMARY: (\d+)", output)
    passed = re.search(r"(\d+) passed, (\d+) failed, (\d+) unsupported", output)
    reports = int(summary[1]) if summary else 0
    if reports > 0:
        result = "reports"
    elif summary is None or passed is None or int(passed[2]) > 0:
        result = "failed"
    else:
        result = "unsupported" if int(passed[3]) > 0 else "silent"
    done = {"result": result, "reports": reports, "seconds": round(time.monotonic() - begin, 1)}
    if tool == "racecheck" and reports > 0:
        done["races"] = races(output)
    return done, output


class State:
    """Results by "tool algorithm case" of one program, kept in a file."""

    def __init__(self, path, program):
        self.path, self.results = Path(path), {}
        self.program = hashlib.sha256(Path(program).read_bytes()).hexdigest()[:16]
        earlier = json.loads(self.path.read_text()) if self.path.exists() else {}
        if earlier.get("program") == self.program:
            self.results = earlier["results"]

    def add(self, key, result):
        self.results[key] = result
        self.path.write_text(json.dumps({"program": self.program, "results": self.results}, indent=1) + "\n")


def print_table(results):
    print("| tool | algorithm | silent | with reports | unsupported | failed, timed out | seconds each, at most |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for tool in TOOLS:
        for algorithm in ALGORITHMS:
            of = [r for key, r in results.items() if key.startswith(f"{tool} {algorithm} ")]
            count = lambda *names: sum(r["result"] in names for r in of)
            print(f"| {tool} | {algorithm} | {count('silent')} | {count('reports')} | {count('unsupported')} | "
                  f"{count('failed', 'timed out')} | {max((r['seconds'] for r in of), default=0)} |")


def print_races(results):
    cases = {}
    for key, result in results.items():
        for race in result.get("races", []):
            cases.setdefault((key.split()[1], race), []).append(key.split()[2])
    for (algorithm, race), names in sorted(cases.items(), key=lambda item: -len(item[1])):
        print(f"- {algorithm}, {len(names)} cases, such as {names[0]}: {race}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("program", help="path of flash-kda")
    parser.add_argument("--state", required=True, help="results so far, and where to write them")
    parser.add_argument("--reports", required=True, help="where the tools' output goes where it was not silent")
    parser.add_argument("--seconds", type=float, default=380, help="start nothing later than this")
    parser.add_argument("--case-seconds", type=float, default=60, help="limit of one case")
    parser.add_argument("--jobs", type=int, default=12)
    parser.add_argument("--tools", nargs="+", default=list(TOOLS), choices=TOOLS)
    parser.add_argument("--algorithms", nargs="+", default=list(ALGORITHMS), choices=ALGORITHMS)
    parser.add_argument("--match", default="", help="only cases whose name contains this")
    parser.add_argument("--largest", type=float, default=float("inf"), help="only cases of so many tokens times heads")
    parser.add_argument("--spread", type=int, default=1, help="every so many-th case before the others")
    options = parser.parse_args()
    state = State(options.state, options.program)
    cases = [case for case in list_cases(options.program, options.largest, options.spread) if options.match in case]
    jobs = [(tool, algorithm, case) for algorithm in options.algorithms for case in cases for tool in options.tools]
    jobs = [job for job in jobs if " ".join(job) not in state.results]
    deadline = time.monotonic() + options.seconds

    def work(job):
        if time.monotonic() > deadline:
            return None
        return run(options.program, *job, options.case_seconds)

    left = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool, open(options.reports, "a") as reports:
        for job, done in zip(jobs, pool.map(work, jobs)):
            if done is None:
                left += 1
                continue
            result, output = done
            state.add(" ".join(job), result)
            if result["result"] not in ("silent", "unsupported"):
                if job[0] != "racecheck":
                    print(f"{' '.join(job)}: {result['result']}", flush=True)
                reports.write(f"== {' '.join(job)}\n{output[:4000]}\n")
    print_table(state.results)
    print_races(state.results)
    bad = [key for key, r in state.results.items()
           if r["result"] in ("failed", "timed out") or r["result"] == "reports" and not key.startswith("racecheck")]
    if left:
        print(f"{left} not run yet")
    raise SystemExit(1 if bad else 3 if left else 0)


if __name__ == "__main__":
    main()
