"""Machine instructions of the loops over chunks of the fused kernel, from its disassembly."""
import re

# setmaxnreg at the begin of a role's code, as the disassembler writes it.
ROLE_BEGIN = re.compile(r"USETMAXREG\.(?:TRY_ALLOC|DEALLOC)\.CTAPOOL")

PRODUCTS = 22  # wgmma of a chunk in the recurrence
SCORE_PRODUCTS = 8


def instructions(function):
    return [(int(m.group(1), 16), m.group(2)) for m in
            re.finditer(r"/\*([0-9a-f]{4,})\*/\s+([^;]*);", function)]


def loops(code):
    """Index ranges of the loops that lie in `code`, smallest first."""
    at = {address: i for i, (address, _) in enumerate(code)}
    found = []
    for i, (address, text) in enumerate(code):
        target = re.search(r"\bBRA\b.*?(0x[0-9a-f]+)", text)
        if target and int(target.group(1), 16) <= address and int(target.group(1), 16) in at:
            found.append((at[int(target.group(1), 16)], i + 1))
    return sorted(found, key=lambda ends: ends[1] - ends[0])


def count(code, begin, end, opcode):
    return sum(re.search(rf"\b{opcode}\b", text) is not None for _, text in code[begin:end])


def loop_with(code, opcode, times):
    """Size of the smallest loop with so many of an opcode in `code`, and of loops in it of 100 and more."""
    for begin, end in loops(code):
        if count(code, begin, end, opcode) >= times:
            inner = [e - b for b, e in loops(code) if begin <= b and e <= end and 100 <= e - b < end - begin]
            return [end - begin, *inner]
    return []


def chunk_loops(listing):
    """By form of the gate and role: instructions of the loop over chunks, then of loops inside it. Of
    the kernels that keep no checkpoints (Keeps 0 in the mangled name).

    The recurrence is told by its products: 22 of a chunk and, where the gate is bounded, 8 more of the
    scores ahead, in the loop and before it."""
    found = {}
    for function in listing.split("Function :")[1:]:
        if not re.match(r"\s*\S*KeepsE0E", function):
            continue
        code = instructions(function)
        starts = [i for i, (_, text) in enumerate(code) if ROLE_BEGIN.search(text)]
        parts = [code[begin:end] for begin, end in zip(starts, starts[1:] + [len(code)])]
        products = {id(part): count(part, 0, len(part), r"HGMMA\S*") for part in parts}
        recurrence = [part for part in parts if products[id(part)] >= PRODUCTS]
        io = [part for part in parts if count(part, 0, len(part), r"UTMALDG\S*") > 0]
        prepare = [part for part in parts if part not in recurrence and part not in io]
        if [len(recurrence), len(prepare), len(io)] != [1, 1, 1]:
            continue
        bounded = products[id(recurrence[0])] == PRODUCTS + 2 * SCORE_PRODUCTS
        found["bounded" if bounded else "general"] = {
            "recurrence": loop_with(recurrence[0], r"HGMMA\S*",
                                    PRODUCTS + (SCORE_PRODUCTS if bounded else 0)),
            "prepare": loop_with(prepare[0], r"HMMA\S*", count(prepare[0], 0, len(prepare[0]), r"HMMA\S*")),
            "inverse": loop_with(io[0], r"HMMA\S*", count(io[0], 0, len(io[0]), r"HMMA\S*")),
        }
    return dict(sorted(found.items()))
