#!/usr/bin/env python3
"""Compares what ptxas says of every kernel with the table in resources.txt.

    check_resources.py NVCC SOURCE_DIR TABLE ARCH... [--update]

One line per kernel and architecture: registers, spilled bytes, stack bytes, static shared bytes.
Fails on any difference, and on any spill or stack. --update writes the table.
"""
import os
import re
import subprocess
import sys
import tempfile

KERNELS = ["checkpoint_rows", "merge", "prepare", "recurrence", "recurrent"]


def demangle(symbol):
    name = re.search(r"\d+([a-z_]+_kernel)", symbol).group(1)
    arguments = re.findall(r"(?:Li|E)(\d+)E", symbol.split(name, 1)[1])
    return f"{name}<{','.join(arguments)}>" if arguments else name


def resources(nvcc, source_dir, kernel, arch):
    source = os.path.join(source_dir, "cuda", "two_kernel", kernel + ".cu")
    with tempfile.TemporaryDirectory() as folder:
        command = [nvcc, "-std=c++20", "-O3", "-lineinfo", "-I", source_dir,
                   "-I", os.path.join(source_dir, os.pardir, "include"),
                   "-gencode", f"arch=compute_{arch},code=sm_{arch}", "-Xptxas", "-v",
                   "-c", source, "-o", os.path.join(folder, "out.o")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = []
    for block in done.stderr.split("Compiling entry function '")[1:]:
        def number(pattern):
            match = re.search(pattern, block)
            return int(match.group(1)) if match else 0
        name = demangle(block.split("'")[0])
        registers = number(r"Used (\d+) registers")
        spilled = number(r"(\d+) bytes spill stores")
        stack = number(r"(\d+) bytes stack frame")
        shared = number(r"(\d+) bytes smem")
        lines.append(f"sm_{arch} {name} registers {registers} spilled {spilled} stack {stack} "
                     f"shared {shared}")
    return sorted(lines)


def main():
    arguments = [a for a in sys.argv[1:] if a != "--update"]
    nvcc, source_dir, table, *archs = arguments
    found = [line for arch in archs for kernel in KERNELS
             for line in resources(nvcc, source_dir, kernel, arch)]
    if "--update" in sys.argv:
        with open(table, "w", encoding="utf-8") as file:
            file.write("\n".join(found) + "\n")
        return 0
    with open(table, encoding="utf-8") as file:
        recorded = set(file.read().splitlines())
    problems = [f"not in the table: {line}" for line in found if line not in recorded]
    problems += [f"spills or uses stack: {line}" for line in found
                 if " spilled 0 stack 0 " not in line]
    print("\n".join(problems) if problems else f"{len(found)} kernels as recorded")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
