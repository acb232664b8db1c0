#!/usr/bin/env python3
"""Compares what a chunk costs each role of the fused kernel and of its split form with the table in
counts.json.

    check_counts.py PROGRAM TABLE [--update]

PROGRAM (count_call.cpp) runs the kernel in the emulator on 4 and on 20 chunks; the difference is
what 16 chunks cost in the middle of a chain. Counts are of PTX, by the warps of a role together:
warp instructions by class, wavefronts of shared memory (32 banks), ideal ones (the rest are bank
conflicts), bytes that wgmma reads there, bytes that TMA moves, multiply-adds. `chunk` holds the
cycles that they keep each resource of an SM busy, and `budget` what the design allowed for it.

The split form runs as one cluster of two blocks; its counts are of a block. `of` says of which chunks
a role's are: of every chunk of the chain, or of an own one, which is every second chunk. `chunk` is of
every chunk. `sent_bytes` go to the other block's shared memory.

--update writes the table. `machine` holds the machine instructions of the loops over chunks, with
those of loops inside; check_fused.py compares and writes them, where there is a disassembler.
"""
import json
import os
import subprocess
import sys
import tempfile

CHUNK = 32
SHORT, LONG = 4, 20  # chunks
# IoWarp and the warpgroups of config.hpp.
PREPARE = [*range(4, 8), *range(16, 20)]
ROLES = {"transfers": [0], "scalars": [1, 2], "inverse": [3], "prepare": PREPARE,
         "recurrence": list(range(8, 16))}
# The warpgroups 2 and 3 change roles between the blocks; the first warp of those that multiply scores
# also loads. Warps of the second block follow those of the first.
BLOCK_WARPS = 20
SPLIT_ROLES = {"values": [0, 20], "scalars": [1, 2, 21, 22], "inverse": [3, 23],
               "prepare": [warp + block for block in (0, BLOCK_WARPS) for warp in PREPARE],
               "scores": [*range(12, 16), *range(28, 32)], "recurrence": [*range(8, 12), *range(32, 36)]}
SPLIT_EVERY = ("values", "recurrence")  # roles that see every chunk
SEND = "cp.async.bulk.shared::cluster.shared::cta"  # to the other block
FIELDS = {"shared_wavefronts": "wavefronts", "shared_wavefronts_ideal": "wavefronts_ideal",
          "wgmma_operand_bytes": "wgmma_operand_bytes", "copy_bytes": "copy_bytes"}
# Cycles a chunk. issue: the busiest of the four schedulers; shared: 128 bytes a cycle for warps,
# TMA and wgmma; tensor: 2048 multiply-adds a cycle, 62 % of that through mma.sync; special: 16 lanes
# a cycle. What the design planned for a chunk, before there was a kernel.
BUDGET = {"issue": 1450, "shared": 1425, "tensor": 1200, "special": 768}
WGMMA_RATE, MMA_RATE = 2048, 1270


def warps_of(text):
    """"4-7,9" to [4, 5, 6, 7, 9]."""
    warps = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        warps += range(int(first), int(last or first) + 1)
    return warps


def run(program, form, chunks):
    """Counts of the fused kernel by (file, line, opcode, warps)."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "counters.json")
        subprocess.run([program, form, str(chunks * CHUNK)], check=True,
                       env={**os.environ, "EMULATOR_COUNTERS": path, "EMULATOR_SEED": "0"})
        with open(path, encoding="utf-8") as file:
            kernels = json.load(file)["kernels"]
    name = "split_kernel" if form == "split" else "fused_kernel"
    lines = next(k["lines"] for k in kernels if name in k["kernel"])
    return {(x["file"], x["line"], x["opcode"], x["warps"], x["class"]): x for x in lines}


def count_form(program, form):
    split = form == "split"
    blocks, warps_of_role = (2, SPLIT_ROLES) if split else (1, ROLES)
    short, long = run(program, form, SHORT), run(program, form, LONG)
    roles = {name: {"warps": 0, "instructions": 0} for name in warps_of_role}
    working = set()
    schedulers = [0.0] * 4
    tensor = 0.0
    for key, entry in long.items():
        warps, kind = warps_of(key[3]), key[4]
        grown = {name: (value - short.get(key, {}).get(name, 0)) / (LONG - SHORT) / blocks
                 for name, value in entry.items() if isinstance(value, int) and name != "line"}
        instructions = grown["warp_instructions"]
        if not any(grown.values()):
            continue
        owners = [name for name, those in warps_of_role.items() if set(warps) <= set(those)]
        if not owners:
            sys.exit(f"{key}: expected warps of one role")
        working.update(warps)
        role = roles[owners[0]]
        role["instructions"] += instructions
        role[kind] = role.get(kind, 0) + instructions
        for source, name in FIELDS.items():
            if grown.get(source):
                if source == "copy_bytes" and key[2].startswith(SEND):
                    name = "sent_bytes"
                role[name] = role.get(name, 0) + grown[source]
        if grown.get("multiply_adds"):
            role[f"{kind}_multiply_adds"] = role.get(f"{kind}_multiply_adds", 0) + grown["multiply_adds"]
            tensor += grown["multiply_adds"] / (WGMMA_RATE if kind == "wgmma" else MMA_RATE)
        for warp in warps:
            schedulers[warp % 4] += instructions / len(warps)
    for name, warps in warps_of_role.items():
        roles[name]["warps"] = len(working & set(warps)) // blocks
    total = lambda name: sum(role.get(name, 0) for role in roles.values())
    # Boxes are counted by the warp that asks for them, and go through shared memory once; what a block
    # sends is read here, and as much is written by the other block.
    moved = total("copy_bytes") + 2 * total("sent_bytes")
    shared = total("wavefronts") + (total("wgmma_operand_bytes") + moved) / 128
    chunk = {"issue": max(schedulers), "shared": shared, "tensor": tensor,
             "special": total("special") * 32 / 16, "bytes": total("copy_bytes")}
    rounded = lambda counts: {name: round(value, 1) for name, value in counts.items()}
    said = of_which_chunks(roles) if split else {name: {} for name in roles}
    return {**{name: {**said[name], **rounded(role)} for name, role in roles.items()},
            "chunk": rounded(chunk)}


def of_which_chunks(roles):
    """What to write of each role of the split form; where it sees every second chunk, the counts become
    those of such a chunk."""
    for name, role in roles.items():
        if name not in SPLIT_EVERY:
            role.update({field: 2 * value for field, value in role.items() if field != "warps"})
    return {name: {"of": "every chunk" if name in SPLIT_EVERY else "own chunk"} for name in roles}


def written(table):
    """JSON with a line for each role."""
    lines = []
    for name, value in table.items():
        if name in ("forms", "machine"):
            forms = ",\n".join(
                f'    "{form}": {{\n' + ",\n".join(f'      "{role}": {json.dumps(counts)}'
                                                  for role, counts in roles.items()) + "\n    }"
                for form, roles in value.items())
            lines.append(f'  "{name}": {{\n{forms}\n  }}')
        else:
            lines.append(f'  "{name}": {json.dumps(value)}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def differences(recorded, found):
    for form, roles in found.items():
        for role, counts in roles.items():
            old = recorded.get(form, {}).get(role, {})
            for name in {**old, **counts}:
                if old.get(name, 0) != counts.get(name, 0):
                    yield f"{form} {role} {name}: recorded {old.get(name, 0)}, got {counts.get(name, 0)}"


def main():
    arguments = [a for a in sys.argv[1:] if a != "--update"]
    program, path = arguments
    found = {form: count_form(program, form) for form in ("bounded", "general", "split")}
    recorded = {}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            recorded = json.load(file)
    if "--update" in sys.argv:
        with open(path, "w", encoding="utf-8") as file:
            file.write(written({**recorded, "budget": BUDGET, "forms": found}))
        return 0
    problems = list(differences(recorded["forms"], found))
    chunk = found["bounded"]["chunk"]
    print("\n".join(problems) if problems else
          "as recorded; a chunk, of its budget: " +
          ", ".join(f"{name} {chunk[name]:.0f} of {budget}" for name, budget in BUDGET.items()))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
