"""What the model knows of machines and of the kernel: rates, counts, and what was measured."""

import json
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COUNTS = ROOT / "tests" / "cuda" / "sm90" / "counts.json"
MEASURED = Path(__file__).resolve().parent / "measured.json"

RESOURCES = ("issue", "shared", "tensor", "special", "memory")


@dataclass(frozen=True)
class Machine:
    """Figures of docs/performance.md; wgmma from data sheets (989 and 148 dense TFLOP/s)."""

    name: str
    multiprocessors: int
    clock: float  # GHz
    memory: float  # TB/s, achievable
    wgmma: int  # bf16 multiply-adds a cycle and multiprocessor
    mma: int  # the same through mma.sync

    def cycles(self, microseconds):
        return microseconds * 1000 * self.clock

    def memory_bytes_per_cycle(self, multiprocessors):
        """Of one multiprocessor, when so many share the memory."""
        return self.memory * 1000 / self.clock / multiprocessors


H20 = Machine("H20", 78, 1.85, 3.6, 512, 512)
H100 = Machine("H100", 132, 1.75, 3.0, 2048, 1270)
H200 = Machine("H200", 132, 1.85, 4.3, 2048, 1270)
MACHINES = (H20, H100, H200)


@dataclass(frozen=True)
class Role:
    """One chunk of one role. `alone`: cycles from begin to end with nobody else on the SM."""

    alone: float
    demands: dict  # cycles that each resource is busy


def load_json(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def tensor_cycles(counts, machine):
    return (counts.get("wgmma_multiply_adds", 0) / machine.wgmma
            + counts.get("mma_multiply_adds", 0) / machine.mma)


def demands_of(counts, machine, active):
    """A warp instruction takes its scheduler, one of four, for a cycle; PTX counts as it is."""
    moved = counts.get("copy_bytes", 0)
    return {
        "issue": counts["instructions"] / 4,
        "shared": counts.get("wavefronts", 0) + (counts.get("wgmma_operand_bytes", 0) + moved) / 128,
        "tensor": tensor_cycles(counts, machine),
        "special": counts.get("special", 0) * 2,
        "memory": moved / machine.memory_bytes_per_cycle(active),
    }


TRANSFER_US = 0.6  # a box from memory, or to it, without load: assumed, not measured


class Calibration:
    """Cycles between two instructions of a warp, from one measurement of the kernel.

    The facts (measured.json, an H200): how long a chunk took, and which part of that time each role did
    not wait for another. The recurrence's time less its products, for both warpgroups one after the
    other, goes to its instructions. Launches, the search for a share and the ends of chains: what is
    left of short calls after their chunks.
    """

    def __init__(self):
        self.facts = load_json(MEASURED)
        chunk, roles = self.facts["cycles_per_chunk"], self.facts["roles"]
        cycles = {role: works * chunk for role, works in self.facts["works"].items()}
        cycles["recurrence"] -= tensor_cycles(roles["recurrence"], H200)
        self.pace = {role: time * roles[role]["warps"] / roles[role]["instructions"]
                     for role, time in cycles.items()}
        self.pace["scores"] = self.pace["recurrence"]
        self.overhead_us = self.facts["overhead_us"]

    def alone(self, role, instructions, counts, machine):
        cycles = self.pace[role] * instructions
        return cycles + (tensor_cycles(counts, machine) if role in ("recurrence", "scores") else 0)


def make_roles(table, machine, active, calibration, prepare_turns):
    """`table`: counts by role. `prepare_turns`: groups of prepare warps that take chunks in turns, so
    that each chunk is the work of that part of the warps."""
    roles = {}
    for name in ("scalars", "inverse", "prepare", "recurrence"):
        counts = table[name]
        warps = counts["warps"] / (prepare_turns if name == "prepare" else 1)
        roles[name] = Role(calibration.alone(name, counts["instructions"] / warps, counts, machine),
                           demands_of(counts, machine, active))
    transfers = demands_of(table["transfers"], machine, active)
    # Of the bytes of a chunk four fifths come in, one fifth goes out.
    for name, part in (("load", 0.8), ("store", 0.2)):
        roles[name] = Role(machine.cycles(TRANSFER_US), {r: part * c for r, c in transfers.items()})
    return roles


def counts_today(form="bounded"):
    return load_json(COUNTS)["forms"][form]
