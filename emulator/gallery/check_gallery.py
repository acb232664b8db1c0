#!/usr/bin/env python3
"""Every exhibit of the gallery must be reported as its rule when broken, and be silent once mended.

    check_gallery.py ./gallery_program [exhibit]
"""

import json
import os
import subprocess
import sys
import tempfile

# The fixed schedule, and permuted ones with copies that land late.
SCHEDULES = [
    {"EMULATOR_SEED": "0"},
    {"EMULATOR_SEED": "1", "EMULATOR_QUANTUM": "3", "EMULATOR_ASYNC_DELAY": "20"},
    {"EMULATOR_SEED": "2", "EMULATOR_QUANTUM": "50", "EMULATOR_ASYNC_DELAY": "5"},
]


def rules_of(program, exhibit, variant, schedule):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "reports.json")
        environment = {**os.environ, **schedule, "EMULATOR_CHECK": "1", "EMULATOR_CHECK_JSON": path}
        try:
            subprocess.run([program, exhibit, variant], env=environment, timeout=60, stderr=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            return [{"rule": "hang", "now": {}}]
        with open(path) as file:
            return json.load(file)["reports"]


def problems_of(program, exhibit, rules):
    """`rules`: names separated by commas, where it depends on the schedule which one is broken."""
    expected = set(rules.split(","))
    for schedule in SCHEDULES:
        broken = rules_of(program, exhibit, "broken", schedule)
        found = {r["rule"] for r in broken}
        if expected == {"none"}:
            if found:
                yield f"{exhibit}, {schedule}: {sorted(found)}"
        elif not expected & found:
            yield f"{exhibit} broken, {schedule}: expected {rules}, got {sorted(found)}"
        elif not any(r["rule"] in expected and r["now"].get("line", 0) > 0 for r in broken):
            yield f"{exhibit} broken, {schedule}: no source line"
        mended = rules_of(program, exhibit, "mended", schedule)
        if mended:
            yield f"{exhibit} mended, {schedule}: {[(r['rule'], r['now'].get('line')) for r in mended]}"


def main():
    program = sys.argv[1]
    listing = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    exhibits = [line.split() for line in listing.splitlines()]
    if len(sys.argv) > 2:
        exhibits = [e for e in exhibits if e[0] == sys.argv[2]]
    problems = []
    for exhibit, rule in exhibits:
        problems += problems_of(program, exhibit, rule)
    for problem in problems:
        print(problem)
    print(f"{len(exhibits)} exhibits, {len(problems)} problems")
    return 1 if problems or not exhibits else 0


if __name__ == "__main__":
    sys.exit(main())
