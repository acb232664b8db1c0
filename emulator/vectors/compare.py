"""How far the emulator's model of the approximate instructions is from a GPU.

    python emulator/vectors/compare.py gpu.txt emulator.txt

Functions: largest difference in units of the last place, and of the documented bound. Matrix products:
how many results agree bit for bit, and the largest difference relative to the largest term.
"""

import struct
import sys

PRODUCTS = ("mma", "wgmma")


def as_float(bits):
    return struct.unpack("<f", struct.pack("<I", int(bits, 16)))[0]


def ordered(bits):
    value = int(bits, 16)
    return value if value < 1 << 31 else (1 << 31) - value


def read(path):
    groups = {}
    for line in open(path):
        name, *fields = line.split()
        groups.setdefault(name, []).append(fields)
    return groups


def main():
    gpu, emulated = read(sys.argv[1]), read(sys.argv[2])
    if {"mma", "wgmma"} <= gpu.keys():
        both = zip(gpu["mma"], gpu["wgmma"], strict=True)
        print(f"On the GPU wgmma and mma.sync agree in {sum(a == b for a, b in both)} of {len(gpu['mma'])} products.")
    print("| instruction | cases | same bits | largest difference |")
    print("| --- | --- | --- | --- |")
    for name, rows in gpu.items():
        same, worst, where = 0, 0.0, None
        for row, other in zip(rows, emulated[name], strict=True):
            assert row[:-1] == other[:-1], f"{name}: the inputs differ"
            a, b = as_float(row[-1]), as_float(other[-1])
            if row[-1] == other[-1] or a != a and b != b:
                same += 1
                continue
            if name in PRODUCTS:
                scale = max(abs(as_float(term + "0000")) for term in row[:16])
                distance = abs(a - b) / max(scale, abs(as_float(row[16])))
            elif name in ("sin", "cos", "lg2") and abs(a) < 1:
                distance = abs(a - b) / 2**-23  # their bounds are absolute near zero
            else:
                distance = float(abs(ordered(row[-1]) - ordered(other[-1])))
            if distance > worst:
                worst, where = distance, row[0] if name not in PRODUCTS else None
        unit = "of the largest term" if name in PRODUCTS else "ulp"
        at = f" at {as_float(where):.9g}" if where else ""
        print(f"| {name} | {len(rows)} | {same} | {worst:.3g} {unit}{at} |")


if __name__ == "__main__":
    main()
