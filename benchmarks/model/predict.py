#!/usr/bin/env python3
"""Predicts the time of the fused kernel, from what its roles execute; says what binds.

    predict.py                     a report for every shape and machine
    predict.py --write FILE        the table between the markers of FILE (docs/performance.md)
    predict.py --check FILE        fails unless FILE has that table
"""
import argparse
import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import machines
import pipeline
import shares
import split_form

BEGIN, END = "<!-- model: begin -->", "<!-- model: end -->"
MIXED = (1300, 547, 2048, 963, 271, 3063)
STATE_BYTES = 4 * 128 * 128
RESULTS = machines.ROOT / "benchmarks" / "results" / "h200.json"


@dataclass(frozen=True)
class Shape:
    name: str  # as in benchmarks/gpu/cases.py
    lengths: tuple
    heads: int
    states: int = 1  # read and written, of a chain
    targets: tuple = ()  # ms on H20, H100, H200

    def key(self):
        return f"{self.name} H={self.heads}"


HEADLINE = (
    Shape("fixed 8192", (8192,), 96, targets=(0.85, 0.38, 0.30)),
    Shape("mixed 8192", MIXED, 96),
    Shape("8 x 1024", (1024,) * 8, 96),
    Shape("fixed 8192", (8192,), 64, targets=(0.66, 0.26, 0.21)),
    Shape("mixed 8192", MIXED, 64),
    Shape("8 x 1024", (1024,) * 8, 64),
    Shape("fixed 8192", (8192,), 8, targets=(0.13, 0.06, 0.055)),
)
TEN = tuple(Shape(f"{n} x {tokens // n}", (tokens // n,) * n, heads, states=2) for tokens, heads, n in (
    (2048, 12, 1), (2048, 16, 1), (4096, 8, 1), (4096, 12, 1), (8192, 12, 4), (8192, 16, 1),
    (1024, 4, 1), (3072, 10, 1), (8192, 24, 1), (16384, 16, 8)))
TARGET_TEN = 45  # us on an H100, geometric mean
# One sequence whose chains are computed as wholes.
EXACT_TOKENS, EXACT_HEADS = 8192, (64, 32, 16)


class Model:
    def __init__(self, counts=None, protocol=pipeline.Protocol()):
        self.calibration = machines.Calibration()
        self.protocol = protocol
        self.counts = counts or machines.counts_today()
        self.runs = {}

    def run(self, machine, active, without=None):
        """`without`: a resource that is never busy, a role that takes no time, or "chain": products
        that take none, neither of the tensor cores nor of the recurrence that waits for them."""
        key = machine, active, without
        if key not in self.runs:
            rates = replace(machine, wgmma=math.inf, mma=math.inf) if without == "chain" else machine
            roles = machines.make_roles(self.counts, rates, active, self.calibration,
                                        self.protocol.prepare_turns)
            for name, role in roles.items():
                demands = {r: 0 if r == without else c for r, c in role.demands.items()}
                roles[name] = replace(role, alone=0.0, demands=dict.fromkeys(demands, 0)) \
                    if name == without else replace(role, demands=demands)
            self.runs[key] = pipeline.simulate(roles, self.protocol)
        return self.runs[key]

    def split_run(self, machine, active):
        """Of two blocks that carry a chain, when so many are at work."""
        key = machine, active, split_form
        if key not in self.runs:
            roles = split_form.make_roles(machines.counts_today("split"), machine, active,
                                          self.calibration)
            self.runs[key] = pipeline.simulate(roles, split_form.SplitProtocol())
        return self.runs[key]

    def exact_milliseconds(self, heads, machine, blocks_of_chain):
        """One sequence of EXACT_TOKENS, whole chains, each by one block or in the split form by two."""
        at_once = machine.multiprocessors // blocks_of_chain
        rounds = -(-heads // at_once)
        active = min(heads, at_once) * blocks_of_chain
        run = (self.run if blocks_of_chain == 1 else self.split_run)(machine, active)
        states = rounds * STATE_BYTES / blocks_of_chain / machine.memory_bytes_per_cycle(active)
        chunks = rounds * EXACT_TOKENS // shares.CHUNK
        return self.in_milliseconds(run, chunks, states, machine)

    def in_milliseconds(self, run, chunks, states, machine):
        cycles = run.first_chunk + (chunks - 1) * run.cycles_per_chunk + states
        return cycles / machine.clock / 1e6 + self.calibration.overhead_us / 1e3

    def milliseconds(self, shape, machine, without=None, proven=True):
        work = shares.lay_out(shape.lengths, shape.heads, machine.multiprocessors, proven)
        run = self.run(machine, work.blocks, without)
        states = work.parts * shape.states * STATE_BYTES / machine.memory_bytes_per_cycle(work.blocks)
        return self.in_milliseconds(run, work.chunks, states, machine)

    def binding(self, shape, machine):
        """(gain, name) of what would bring most, were it free; best first."""
        now = self.milliseconds(shape, machine)
        names = (*machines.RESOURCES, "scalars", "prepare", "inverse", "recurrence")
        gains = {name: 1 - self.milliseconds(shape, machine, name) / now for name in names}
        # A shorter recurrence may get in the way of other roles more often; nobody would make it so.
        gains["tensor"] = max(gains["tensor"], 1 - self.milliseconds(shape, machine, "chain") / now)
        return sorted(((gain, name) for name, gain in gains.items()), reverse=True)


def measured():
    """Milliseconds by case, of the fused kernel or, where it was not timed alone, of the plan."""
    rows = [row for row in machines.load_json(RESULTS)["rows"]
            if (row.get("mode"), row.get("l2")) == ("graph", "cold")]
    return {row["case"]: row["median_ms"] for method in ("plan", "fused") for row in rows
            if row["method"] == method}


def measured_when():
    machine = machines.load_json(RESULTS)["machine"]
    return f"{machine['date']}, commit {machine['commit']}"


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def table(model):
    found = measured()
    lines = ["| T, sequences, heads | " + " | ".join(f"{m.name}: model | target" for m in machines.MACHINES)
             + " | measured, H200 | binds (H200) |", "| --- " * 9 + "|"]
    for shape in HEADLINE:
        cells = [shape.key().replace("fixed ", "1 x ")]
        for machine, target in zip(machines.MACHINES, shape.targets or ("",) * 3):
            cells += [f"{model.milliseconds(shape, machine):.3f}", str(target)]
        gain, what = model.binding(shape, machines.H200)[0]
        cells += [f"{found[shape.key()]:.3f}", f"{what}: {100 * gain:.0f} %"]
        lines.append("| " + " | ".join(cells) + " |")
    means = [1e3 * geometric_mean([model.milliseconds(s, m) for s in TEN]) for m in machines.MACHINES]
    mean = 1e3 * geometric_mean([found[s.key()] for s in TEN])
    lines.append(f"| ten shapes with few heads, us | {means[0]:.0f} | | {means[1]:.0f} | {TARGET_TEN} | "
                 f"{means[2]:.0f} | | {mean:.0f} | |")
    lines += ["", f"Measured {measured_when()}.", "",
              "Cycles of a chunk with all multiprocessors at work; how busy each resource is; and how much of",
              "that time each role has a chunk, which for two at once is more than 100 %:", "",
              "| | cycles | " + " | ".join(machines.RESOURCES) + " | "
              + " | ".join(("scalars", "prepare", "inverse", "recurrence")) + " |", "| --- " * 11 + "|"]
    for machine in machines.MACHINES:
        run = model.run(machine, machine.multiprocessors)
        cells = [machine.name, f"{run.cycles_per_chunk:.0f}"]
        cells += [f"{100 * run.busy[r]:.0f} %" for r in machines.RESOURCES]
        cells += [f"{100 * run.working[r]:.0f} %" for r in ("scalars", "prepare", "inverse", "recurrence")]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *exact_table(model)])


def exact_table(model):
    """The split form beside the other one."""
    found = model.calibration.facts["exact"]
    names = ("scalars", "prepare", "scores", "inverse", "recurrence")
    lines = [f"One sequence of {EXACT_TOKENS} tokens, chains as wholes (cuts exact): a block for each head, or in the split",
             "form two. Then the same as above of a block of the split form, by chunks of the chain, of which",
             "it prepares every second one:", "",
             "| heads | " + " | ".join(f"{m.name}: block | split" for m in machines.MACHINES)
             + " | measured, H200: block | split |", "| --- " * 9 + "|"]
    for heads in EXACT_HEADS:
        cells = [f"{model.exact_milliseconds(heads, machine, blocks):.3f}"
                 for machine in machines.MACHINES for blocks in (1, 2)]
        cells += [str(found[form].get(str(heads), "")) for form in ("block", "split")]
        lines.append("| " + " | ".join([str(heads), *cells]) + " |")
    lines += ["", "| | cycles | " + " | ".join(machines.RESOURCES) + " | " + " | ".join(names) + " |",
              "| --- " * 12 + "|"]
    for machine in machines.MACHINES:
        run = model.split_run(machine, machine.multiprocessors // 2 * 2)
        parts = [run.busy[r, 0] for r in machines.RESOURCES] + [run.working[name, 0] for name in names]
        lines.append("| " + " | ".join([machine.name, f"{run.cycles_per_chunk:.0f}",
                                        *(f"{100 * part:.0f} %" for part in parts)]) + " |")
    return lines


def report(model):
    print(table(model))
    for machine in machines.MACHINES:
        print(f"\n{machine.name} (predicted)")
        for shape in (*HEADLINE, *TEN):
            work = shares.lay_out(shape.lengths, shape.heads, machine.multiprocessors, True)
            gains = ", ".join(f"{name} {100 * gain:.0f} %" for gain, name in
                              model.binding(shape, machine)[:3])
            print(f"  {shape.key():18} {model.milliseconds(shape, machine):.3f} ms, proofs failing "
                  f"{model.milliseconds(shape, machine, proven=False):.3f}; {work.layout}, "
                  f"{work.blocks} blocks of {work.chunks} chunks; without: {gains}")


def split(text):
    before, _, rest = text.partition(BEGIN)
    inside, _, after = rest.partition(END)
    return before, inside, after


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", type=Path)
    parser.add_argument("--check", type=Path)
    options = parser.parse_args()
    model = Model()
    path = options.write or options.check
    if not path:
        return report(model)
    before, inside, after = split(path.read_text(encoding="utf-8"))
    wanted = f"\n{table(model)}\n"
    if options.write:
        path.write_text(f"{before}{BEGIN}{wanted}{END}{after}", encoding="utf-8")
    elif inside != wanted:
        return f"{path}: the model says otherwise; run benchmarks/model/predict.py --write {path}"
    return 0


if __name__ == "__main__":
    sys.exit(main())
