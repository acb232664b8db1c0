#!/usr/bin/env python3
"""What ptxas and the disassembler say of the fused kernel.

    check_fused.py NVCC SOURCE_DIR [--update]

Fails if ptxas serialises wgmma (warnings C75xx), if the launch would not get its 128 registers a
thread, or if the recurrence role spills. The role's code lies between the setmaxnreg that gives it
168 registers and the next setmaxnreg; it is looked at where a disassembler is installed
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
# Everything spilled, all of it outside the recurrence role and most in the roles that move tokens and
# scalars, which have 40 registers. Those of the kernels that keep checkpoints also carry, through the
# loop over chunks, how far an item is: two values more in each of four roles.
MAX_SPILLED_BYTES = 256
MAX_SPILLED_BYTES_KEEPING = 320


def recurrence_code(disassembly):
    """The instructions of the recurrence role and how many wgmma it has to have, for each kernel."""
    grow = f"USETMAXREG.TRY_ALLOC.CTAPOOL UP0, {RECURRENCE_REGISTERS:#x}"
    for function in disassembly.split("Function :")[1:]:
        lines = [line for line in function.splitlines() if re.match(r"\s*/\*[0-9a-f]{4,}\*/", line)]
        starts = [i for i, line in enumerate(lines) if grow in line]
        bounded = "GateFormE0" in function.splitlines()[0]
        products = machine_counts.PRODUCTS + (2 * machine_counts.SCORE_PRODUCTS if bounded else 0)
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


def main():
    nvcc, source_dir = sys.argv[1:3]
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "fused.o")
        done = subprocess.run(
            [nvcc, "-std=c++20", "-O3", "-lineinfo", "-I", source_dir,
             "-I", os.path.join(source_dir, os.pardir, "include"),
             "-gencode", "arch=compute_90a,code=sm_90a", "-Xptxas", "-v",
             "-c", os.path.join(source_dir, "cuda", "sm90", "fused.cu"), "-o", out],
            capture_output=True, text=True, check=True)
        text = done.stdout + done.stderr
        problems += re.findall(r".*C75\d\d.*", text)
        registers = [int(x) for x in re.findall(r"Used (\d+) registers", text)]
        spilled = [(name, int(x)) for name, x in re.findall(
            r"Function properties for (\S+)\n.*?(\d+) bytes spill stores", text)]
        if not registers or any(x > 128 for x in registers):
            problems.append(f"registers: expected at most 128 at launch, got {registers}")
        if len(spilled) != len(registers):
            problems.append(f"spills: {len(spilled)} reports of {len(registers)} kernels")
        for name, x in spilled:
            most = MAX_SPILLED_BYTES_KEEPING if "KeepsE1" in name else MAX_SPILLED_BYTES
            if "fused_kernel" in name and x > most:
                problems.append(f"spills: expected at most {most} bytes, got {x} in {name}")

        tool = shutil.which("cuobjdump", path=os.path.dirname(nvcc)) or shutil.which("cuobjdump")
        checked = 0
        if tool:
            listing = subprocess.run([tool, "-sass", out], capture_output=True, text=True, check=True)
            for code, expected in recurrence_code(listing.stdout):
                if code is None:
                    problems.append("recurrence role: its setmaxnreg was not found")
                    continue
                checked += 1
                products = sum("HGMMA" in line for line in code)
                if products != expected:
                    problems.append(f"recurrence role: expected {expected} wgmma, got {products}")
                problems += [f"recurrence role spills: {line.strip()}" for line in code
                             if re.search(r"\b(STL|LDL)\b", line)]
            problems += compare_counts(listing.stdout)
    print("\n".join(problems) if problems else
          f"{len(registers)} kernels, spills {[x for _, x in spilled]}, recurrence roles disassembled: {checked}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
