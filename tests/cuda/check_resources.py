#!/usr/bin/env python3
"""Compares what ptxas says of every kernel with the table in resources.txt.

    check_resources.py NVCC SOURCE_DIR TABLE ARCH... [--update]

One line per kernel and architecture: registers, spilled bytes, stack bytes, static shared bytes,
and how many blocks of the largest size fit on a multiprocessor. Fails on any difference, and on any
spill or stack but those of the fused kernel, of which the table is the record. --update writes the
table.
"""
import os
import re
import subprocess
import sys
import tempfile

KERNELS = ["checkpoint_rows", "merge", "prepare", "recurrence", "recurrent"]
# For sm_90a alone. Roles but the recurrence (sm90/check_fused.py) may spill.
FUSED_KERNELS = ["find_shares", "fused", "split", "fused_then_split", "fused_then_segments"]
SPILLING = ("fused_kernel", "split_kernel", "fused_then_split_kernel", "fused_then_segments_kernel")

# Threads of the largest block, and dynamic shared bytes: of the recurrence four stages of chunk images
# with their barriers, padded to 128, and one more image for checkpoints; of the fused kernel
# SharedPlan::kBytes.
FUSED_THREADS = {"find_shares_kernel": 512, "fused_kernel<0,0>": 640, "fused_kernel<0,1>": 640,
                 "fused_kernel<1,0>": 512, "fused_kernel<1,1>": 512, "split_kernel<0>": 640,
                 "split_kernel<1>": 640, "fused_then_split_kernel<0>": 640, "fused_then_split_kernel<1>": 640,
                 "fused_then_segments_kernel": 640}
THREADS = {"checkpoint_rows_kernel": 256, "merge_kernel<128>": 512, "merge_kernel<64>": 256,
           "prepare_kernel<128>": 64, "prepare_kernel<64>": 32, "prepare_some_kernel": 64,
           "recurrent_kernel<128>": 128, "recurrent_kernel<64>": 128, **FUSED_THREADS}
RECURRENCE_THREADS = 256
DYNAMIC_SHARED = {"recurrence_kernel<128,0,0>": 55680, "recurrence_kernel<128,0,1>": 69632,
                  "recurrence_kernel<128,1,0>": 55680, "recurrence_kernel<64,0,0>": 30080,
                  "recurrence_kernel<64,0,1>": 37632, "recurrence_kernel<64,1,0>": 30080,
                  **dict.fromkeys(FUSED_THREADS, 232280)}

# CUDA C++ Programming Guide, "Technical Specifications per Compute Capability": resident threads
# and shared bytes of a multiprocessor. All have 65536 registers, given to warps in units of 256.
# The runtime keeps 1 KiB of shared memory of every block.
LIMITS = {80: (2048, 164), 86: (1536, 100), 89: (1536, 100), 90: (2048, 228), 100: (2048, 228),
          103: (2048, 228), 120: (1536, 100), 121: (1536, 100)}
RESERVED = 1024


def resident_blocks(name, arch, registers, shared):
    threads = THREADS.get(name, RECURRENCE_THREADS)
    most_threads, shared_kib = LIMITS[arch]
    warps_by_registers = 65536 // ((registers * 32 + 255) // 256 * 256)
    shared += DYNAMIC_SHARED.get(name, 0) + RESERVED
    return min(warps_by_registers // ((threads + 31) // 32), most_threads // threads,
               shared_kib * 1024 // shared)


def demangle(symbol):
    name = re.search(r"\d+([a-z_]+_kernel)", symbol).group(1)
    arguments = re.findall(r"(?:Li|E)(\d+)E", symbol.split(name, 1)[1])
    return f"{name}<{','.join(arguments)}>" if arguments else name


def describe(block):
    """One "Compiling entry function" report of ptxas as a line of the table."""
    def number(pattern):
        match = re.search(pattern, block)
        return int(match.group(1)) if match else 0
    symbol, arch = re.match(r"'(\w+)' for 'sm_(\d+)a?'", block).groups()
    name = demangle(symbol)
    registers = number(r"Used (\d+) registers")
    spilled = number(r"(\d+) bytes spill stores")
    stack = number(r"(\d+) bytes stack frame")
    shared = number(r"(\d+) bytes smem")
    return (f"sm_{arch} {name} registers {registers} spilled {spilled} "
            f"stack {stack} shared {shared} "
            f"blocks {resident_blocks(name, int(arch), registers, shared)}")


def resources(nvcc, source_dir, kernel, targets):
    """The lines of one source file. The front end runs once a level, as in the build."""
    command = [nvcc, "-std=c++20", "-O3", "-lineinfo", "-I", source_dir,
               "-I", os.path.join(source_dir, os.pardir, "include"), "-Xptxas", "-v", "-c",
               os.path.join(source_dir, "cuda", kernel + ".cu")]
    for level, arch in targets:
        command += ["-gencode", f"arch=compute_{level},code=sm_{arch}"]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(command + ["-o", os.path.join(folder, "out.o")],
                              capture_output=True, text=True, check=True)
    return [describe(block) for block in done.stderr.split("Compiling entry function ")[1:]]


def all_resources(nvcc, source_dir, archs):
    targets = [(90 if int(arch) >= 90 else 80, arch) for arch in archs]
    sources = [("two_kernel/" + kernel, targets) for kernel in KERNELS]
    if "90" in archs:
        sources += [("sm90/" + kernel, [("90a", "90a")]) for kernel in FUSED_KERNELS]
    return [line for source in sources for line in resources(nvcc, source_dir, *source)]


def order(line):
    arch, name = line.split()[:2]
    return int(arch[3:]), name


def main():
    arguments = [a for a in sys.argv[1:] if a != "--update"]
    nvcc, source_dir, table, *archs = arguments
    found = sorted(all_resources(nvcc, source_dir, archs), key=order)
    if "--update" in sys.argv:
        with open(table, "w", encoding="utf-8") as file:
            file.write("\n".join(found) + "\n")
        return 0
    with open(table, encoding="utf-8") as file:
        recorded = set(file.read().splitlines())
    problems = [f"not in the table: {line}" for line in found if line not in recorded]
    problems += [f"spills or uses stack: {line}" for line in found
                 if " spilled 0 stack 0 " not in line and not line.split()[1].startswith(SPILLING)]
    print("\n".join(problems) if problems else f"{len(found)} kernels as recorded")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
