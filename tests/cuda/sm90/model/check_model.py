#!/usr/bin/env python3
"""Model-checks the barriers of the fused kernel, or the order of its blocks, with Spin.

    check_model.py bounded|general|split|handover|segments SOURCE_DIR [--cc CC]
                   [--mutants NUMBER...]

Of barriers, the numbers of stages and arrivals are read from SOURCE_DIR/cuda/sm90, and every wait
and arrival of the sources must be one that the model knows. Then Spin looks at every order of
events: none may deadlock or violate an assertion; and at mutants, in each of which a wait, an
arrival or a count is missing or wrong: every one must fail. --mutants runs those alone and says
what happened.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Waits (1 ..), arrivals (51 ..) and counts (101 ..) of barriers.pml. Not among them, because the
# model does without: the wait for `raw` of prepare's pairs (5), where `normed` comes too; and that of
# the bounded recurrence for `score_empty` (8): it has waited for `ready` of the chunk that was in the
# buffer, where the inverse arrives last. Nor, of split.pml, the wait of the scalars for `stored` of
# the last board's slot (4): the warp that loaded their last chunk had waited for that of a later one.
MUTANTS = {
    "bounded": [2, 3, 4, 6, *range(11, 20), *range(52, 58), *range(59, 68), *range(101, 109)],
    "general": [2, 3, 4, 6, 7, 8, 11, 12, 13, 19, *range(52, 62), 67, 101, 102, 103, 105, 108],
    "split": [1, 2, 3, *range(5, 18), *range(52, 68), *range(101, 108)],
    "handover": [1, 2, 3, 4, 5, 6, 7],
    "segments": [*range(1, 23)],
}
MODELS = {"bounded": "barriers", "general": "barriers", "split": "split", "handover": "handover",
          "segments": "segments"}
# The most chunks, and those of the first item: most stages are used twice. Of the split form, the
# most, and those with two slow roles: own stages are used more than twice, or most once and again.
CHUNKS = {"bounded": {"CHUNKS": 8, "FIRST": 5}, "general": {"CHUNKS": 9, "FIRST": 5},
          "split": {"CHUNKS": 18, "TWO_SLOW_CHUNKS": 10}}
ROLE_FILES = ["inverse_role", "io_roles", "prepare_pairs", "prepare_role", "recurrence_role",
              "scalars_role"]
OPERATIONS = {"wait_at": "wait", "arrive_at": "arrive", "warp_arrive": "arrive",
              "arrive_expecting_at": "expect", "is_done_at": "test", "sync_threads": "meet"}
SPLIT_FILES = ["split", "split_roles", "recurrence_role"]
# Of the recurrence's file, what the split form calls.
SPLIT_FUNCTIONS = {"recurrence_role": ["store_scores", "carry_states"]}
SPLIT_OPERATIONS = {**OPERATIONS, "wait_for_both_at": "wait", "arrive_at_peer": "arrive",
                    "arrive_expecting_at_peer": "expect", "copy_to_peer": "send",
                    "sync_cluster": "meet", "wait_stores_read": "wait", "wait_stores": "wait"}
OPERATIONS_OF = {"bounded": OPERATIONS, "general": OPERATIONS, "split": SPLIT_OPERATIONS}
FILES_OF = {"bounded": ROLE_FILES, "general": ROLE_FILES, "split": SPLIT_FILES}
WITHOUT_BARRIER = {"sync_cluster": "cluster", "wait_stores_read": "stores", "wait_stores": "stores"}
PLANNED = r"(?:Shared|Split)Plan::k(\w+)"
NAMED_BARRIERS = {"kFirstPairBarrier": "pair"}


def snake(name):
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def barrier_name(argument, variables):
    """`shared + SharedPlan::kScoreFull + 8 * slot`, or a variable with the barrier's name."""
    assert not argument.startswith(("awaited", "arrival")), argument
    argument = argument.removeprefix("in_peer(")
    planned = re.search(PLANNED, argument)
    if planned:
        return snake(planned.group(1))
    word = re.match(r"(?:turn\.)?(\w+)", argument).group(1)
    return NAMED_BARRIERS.get(word, variables.get(word, word))


def function_text(text, function):
    """From the name to the brace that closes the body."""
    return re.search(rf"__device__ __forceinline__ \w+ {function}\(.*?\n}}\n", text,
                     re.DOTALL).group(0)


def source_text(folder, name, form):
    path = next(path for suffix in (".cuh", ".cu") if (path := folder / (name + suffix)).exists())
    text = path.read_text(encoding="utf-8")
    if form == "split" and name in SPLIT_FUNCTIONS:
        return "".join(function_text(text, function) for function in SPLIT_FUNCTIONS[name])
    return text


def source_sites(folder, form):
    """(file, operation, barrier) of every statement about a barrier in the roles."""
    sites = set()
    operations = OPERATIONS_OF[form]
    for name in FILES_OF[form]:
        text = source_text(folder, name, form)
        named = dict(re.findall(r"const int (\w+) = (k\w+Barrier)\b", text))
        variables = {variable: snake(barrier) for variable, barrier in
                     re.findall(rf"const std::uint32_t (\w+) = shared \+ {PLANNED} \+ 8 \*", text)}
        # What a role waits for and arrives at but in its rehearsal, where it waits for nobody.
        text, rehearsals = re.subn(r"(?:awaited|arrival)\(count, shared, ([^)]*)\)", r"\1", text)
        if rehearsals:
            sites.add((name, "arrive", "rehearsed"))
        for line in text.splitlines():
            if "__device__" in line:
                continue
            code = line.split("//")[0]
            for call, argument in re.findall(r"\b(\w+)(?:<\d+>)?\(([^,;]*)", code):
                if call in operations:
                    argument = named.get(argument.strip(), argument.strip())
                    barrier = WITHOUT_BARRIER.get(call) or barrier_name(argument, variables)
                    sites.add((name, operations[call], barrier))
    return sites


def model_sites(text, form):
    """The same of the comments "file wait barrier, barrier; arrive barrier: explanation"."""
    sites = set()
    for name, rest in re.findall(rf"/\* ({'|'.join(FILES_OF[form])}) ([^:*]*)", text):
        operation = None
        for word in re.findall(r"\w+", rest):
            if word in OPERATIONS_OF[form].values():
                operation = word
            else:
                sites.add((name, operation, word))
    return sites


def init_counts(text, known):
    """How many barriers of each name there are, and their arrivals."""
    def value(word):
        return int(word) if word.isdigit() else known[word]

    counts, arrivals = {}, {}
    for name, count, needed in re.findall(
            rf"init_barriers\(shared, {PLANNED}, (\w+), (\w+)\);", text):
        counts[snake(name)], arrivals[snake(name)] = value(count), value(needed)
    return counts, arrivals


def expect_rings(counts, rings):
    for like, names in rings.items():
        for name in names:
            if counts[name] != counts[like]:
                sys.exit(f"{name}: expected as many barriers as {like}, got {counts[name]}")


def arrival_defines(arrivals):
    return {f"{name.upper()}_ARRIVALS": needed for name, needed in arrivals.items()}


def split_constants(folder):
    split = (folder / "split_block.cuh").read_text(encoding="utf-8")
    texts = [(folder / name).read_text(encoding="utf-8")
             for name in ("config.hpp", "split_roles.cuh")] + [split]
    known = {}
    for name, first, divisor in re.findall(
            r"constexpr int (k\w+) = (\w+)(?: / (\d+))?;", "".join(texts)):
        value = int(first) if first.isdigit() else known.get(first)
        if value is not None:
            known[name] = value // int(divisor or 1)
    counts, arrivals = init_counts(split, known)
    expect_rings(counts, {"raw": ["normed", "stored", "ready", "empty"],
                          "score_full": ["score_empty"], "out_full": ["out_empty"]})
    return {"OWN": counts["raw"], "SENT": counts["sent_ready"], "VALUES": counts["value_full"],
            "OUTS": counts["out_full"], "PAIRS": counts["score_full"],
            "PREPARE_WARPS": known["kPrepareWarps"], "RECURRENCE_WARPS": known["kRecurrenceWarps"],
            **CHUNKS["split"], **arrival_defines(arrivals)}


def constants(folder, form):
    if form == "split":
        return split_constants(folder)
    config = (folder / "config.hpp").read_text(encoding="utf-8")
    fused = (folder / "fused_block.cuh").read_text(encoding="utf-8")
    known = {name: int(value) for name, value in
             re.findall(r"constexpr (?:int|std::int32_t) (k\w+) = (\d+);", config + fused)}
    choice = re.search(r"kScoreWarps = kForm == GateForm::kBounded \? (\d+) : (\d+);", fused)
    rehearsal = (folder / "rehearsal.cuh").read_text(encoding="utf-8")
    number, warps = re.search(r"kRehearsedArrivals = (\d+) \+ (k\w+);", rehearsal).groups()
    known["kRehearsedArrivals"] = int(number) + known[warps]
    known["kScoreWarps"] = int(choice.group(1 if form == "bounded" else 2))

    counts, arrivals = init_counts(fused, known)
    expect_rings(counts, {"raw": ["normed", "stored", "ready", "empty"],
                          "score_full": ["score_empty"], "out_full": ["out_empty"]})
    defines = {"STAGES": counts["raw"], "PAIRS": counts["score_full"], "OUTS": counts["out_full"],
               "PREPARE_WARPS": known["kPrepareWarps"], "SCORES_AHEAD": known["kScoresAhead"],
               "GENERAL": int(form == "general"), **CHUNKS[form]}
    rehearsed = int(re.search(r"kPrepareRehearsal = (\w+)u;", rehearsal).group(1), 16)
    defines["FIRST_REHEARSED"] = rehearsed % counts["raw"]
    return {**defines, **arrival_defines(arrivals)}


def build(model, defines, cc, folder):
    flags = [f"-D{name}={value}" for name, value in defines.items()]
    subprocess.run(["spin", "-a", *flags, str(model)], cwd=folder, check=True, capture_output=True)
    # States are remembered by hashes of 128 bits (HC4); no cycles are looked for (SAFETY).
    subprocess.run([cc, "-w", "-O2", "-DSAFETY", "-DHC4", "-DMEMLIM=3000", "-o", "pan", "pan.c"],
                   cwd=folder, check=True)


def explore(folder, mutant):
    """What Spin found wrong, or ''; and the number of states."""
    done = subprocess.run(["./pan", "-m20000"], cwd=folder, capture_output=True, text=True,
                          env={**os.environ, "MUTANT": str(mutant)}, check=False)
    states = re.search(r"(\d+) states, stored", done.stdout)
    if not states or "max search depth too small" in done.stdout or "memory" in done.stderr:
        return f"Spin stopped: {done.stdout[-400:]}{done.stderr[-400:]}", 0
    if "errors: 0" in done.stdout:
        return "", int(states.group(1))
    return re.search(r"pan:1: (.*)", done.stdout).group(1), int(states.group(1))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model", choices=MUTANTS)
    parser.add_argument("source_dir", type=Path)
    parser.add_argument("--cc", default="cc")
    parser.add_argument("--mutants", type=int, nargs="*")
    options = parser.parse_args()
    folder = options.source_dir / "cuda" / "sm90"
    model = HERE / f"{MODELS[options.model]}.pml"
    problems, defines = [], {}
    if options.model in OPERATIONS_OF:
        in_source = source_sites(folder, options.model)
        in_model = model_sites(model.read_text(encoding="utf-8"), options.model)
        problems += [f"not in the model: {' '.join(site)}" for site in sorted(in_source - in_model)]
        problems += [f"not in the source: {' '.join(site)}" for site in sorted(in_model - in_source)]
        defines = constants(folder, options.model)
    with tempfile.TemporaryDirectory() as work:
        build(model, defines, options.cc, work)
        if options.mutants is not None:
            for mutant in options.mutants:
                print(mutant, *explore(work, mutant))
            return 0
        wrong, states = explore(work, 0)
        if wrong:
            problems.append(f"the model fails: {wrong}")
        mutants = MUTANTS[options.model]
        problems += [f"mutant {m} passes" for m in mutants if not explore(work, m)[0]]
    print("\n".join(problems) if problems else
          f"{options.model}: {states} states without an error, {len(mutants)} mutants found")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
