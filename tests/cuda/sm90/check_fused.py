#!/usr/bin/env python3
"""What ptxas and the disassembler say of the fused kernel, of its split form, and of those that go on
with the split form or with segments.

    check_fused.py NVCC SOURCE_DIR [--update]

Fails if ptxas serialises wgmma (warnings C75xx), if a launch would not get its registers (128 a
thread, the split form 96), or if the recurrence role spills. The role's code lies between the
setmaxnreg that gives it 168 registers and the next setmaxnreg, in the split form with that of the
warpgroup that loads and multiplies scores; it is looked at where a disassembler is installed
(cuobjdump of the toolkit or of PyPI's nvidia-cuda-cuobjdump, next to nvcc or in PATH). Then the loops
over chunks must also have as many instructions as counts.json says; --update writes that there.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import check_counts
import machine_counts

TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "counts.json")
RECURRENCE_REGISTERS = 168
# By source file: registers at launch, and bytes spilled at most, all of it outside the recurrence
# role and most in the roles that move tokens and scalars, which have 40 or 48 registers. Kernels that
# keep checkpoints (KeepsE1) also carry, through the loop over chunks, how far an item is: two values
# more in each of four roles.
MOST = {"fused": {"registers": 128, "spilled": {"KeepsE0": 256, "KeepsE1": 320}},
        "split": {"registers": 96, "spilled": {"KeepsE0": 64, "KeepsE1": 128}},
        "fused_then_split": {"registers": 96, "spilled": {"KeepsE0": 128, "KeepsE1": 192}},
        "fused_then_segments": {"registers": 96, "spilled": {"": 64}}}


def recurrence_code(disassembly):
    """The instructions of the recurrence role and how many wgmma it has to have, for each kernel."""
    grow = f"USETMAXREG.TRY_ALLOC.CTAPOOL UP0, {RECURRENCE_REGISTERS:#x}"
    for function in disassembly.split("Function :")[1:]:
        lines = [line for line in function.splitlines() if re.match(r"\s*/\*[0-9a-f]{4,}\*/", line)]
        starts = [i for i, line in enumerate(lines) if grow in line]
        products = machine_counts.PRODUCTS
        if "GateFormE1" not in function.splitlines()[0]:  # general: prepare multiplies the scores
            products += 2 * machine_counts.SCORE_PRODUCTS
        if machine_counts.BOTH_FORMS in function.splitlines()[0]:
            products *= 2
        if len(starts) != 1:
            yield None, products
            continue
        rest = lines[starts[0] + 1:]
        end = next((i for i, line in enumerate(rest) if "USETMAXREG" in line), len(rest))
        yield rest[:end], products


def compare_counts(listing):
    """Problems with the table of the loops over chunks; or, with --update, none but a new table."""
    with open(TABLE, encoding="utf-8") as file:
        table = json.load(file)
    found = machine_counts.chunk_loops(listing)
    if "--update" in sys.argv:
        with open(TABLE, "w", encoding="utf-8") as file:
            file.write(check_counts.written({**table, "machine": found}))
    elif table.get("machine") != found:
        return [f"instructions of a chunk: recorded {table.get('machine')}, got {found}"]
    return []


def check_report(text, most):
    """Problems with what ptxas says of the kernels of one source file."""
    yield from re.findall(r".*C75\d\d.*", text)
    registers = [int(x) for x in re.findall(r"Used (\d+) registers", text)]
    if not registers or any(x > most["registers"] for x in registers):
        yield f"registers: expected at most {most['registers']} at launch, got {registers}"
    spilled = re.findall(r"Function properties for (\S+)\n.*?(\d+) bytes spill stores", text)
    if len(spilled) != len(registers):
        yield f"spills: {len(spilled)} reports of {len(registers)} kernels"
    for name, x in spilled:
        allowed = [limit for keeps, limit in most["spilled"].items() if keeps in name]
        if allowed and int(x) > allowed[0]:
            yield f"spills: expected at most {allowed[0]} bytes, got {x} in {name}"


def check_recurrence(code, expected):
    """Problems with the code of a recurrence role."""
    if code is None:
        yield "recurrence role: its setmaxnreg was not found"
        return
    products = sum("HGMMA" in line for line in code)
    if products != expected:
        yield f"recurrence role: expected {expected} wgmma, got {products}"
    for line in code:
        if re.search(r"\b(STL|LDL)\b", line):
            yield f"recurrence role spills: {line.strip()}"


def compile_kernel(nvcc, source_dir, name, out):
    """What ptxas says."""
    done = subprocess.run(
        [nvcc, "-std=c++20", "-O3", "-lineinfo", "-I", source_dir,
         "-I", os.path.join(source_dir, os.pardir, "include"),
         "-gencode", "arch=compute_90a,code=sm_90a", "-Xptxas", "-v",
         "-c", os.path.join(source_dir, "cuda", "sm90", name + ".cu"), "-o", out],
        capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def main():
    nvcc, source_dir = sys.argv[1:3]
    tool = shutil.which("cuobjdump", path=os.path.dirname(nvcc)) or shutil.which("cuobjdump")
    problems, spills, checked, listings = [], [], 0, ""
    with tempfile.TemporaryDirectory() as folder:
        for name, most in MOST.items():
            out = os.path.join(folder, name + ".o")
            text = compile_kernel(nvcc, source_dir, name, out)
            problems += check_report(text, most)
            spills += re.findall(r"(\d+) bytes spill stores", text)
            if tool:
                listings += subprocess.run([tool, "-sass", out], capture_output=True, text=True,
                                           check=True).stdout
    for code, expected in recurrence_code(listings):
        problems += check_recurrence(code, expected)
        checked += 1
    if tool:
        problems += machine_counts.loads_of_chunks(listings)
        problems += compare_counts(listings)
    print("\n".join(problems) if problems else
          f"{len(spills)} kernels, spills [{', '.join(spills)}], recurrence roles disassembled: {checked}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
