"""Machine instructions of the loops over chunks of the fused kernel and of its split form, from the
disassembly."""
import math
import re

# setmaxnreg at the begin of a role's code, as the disassembler writes it.
ROLE_BEGIN = re.compile(r"USETMAXREG\.(?:TRY_ALLOC|DEALLOC)\.CTAPOOL")

BOTH_FORMS = "fused_then_split"  # in the name of the kernel whose roles run one form after the other
SEGMENTS = "fused_then_segments"  # and of that whose roles run one form again and again

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


def loop_with(code, opcode, times, fewer=math.inf):
    """Size of the smallest loop with so many of an opcode in `code`, and of loops in it of 100 and more."""
    for begin, end in loops(code):
        if times <= count(code, begin, end, opcode) < fewer:
            inner = [e - b for b, e in loops(code) if begin <= b and e <= end and 100 <= e - b < end - begin]
            return [end - begin, *inner]
    return []


def loads_of_chunks(listing):
    """Problems: loops over chunks of prepare and of the recurrence, of kernels that keep no checkpoints, that
    load spilled values. Shared memory leaves hardly any cache, so each takes 500 cycles a chunk."""
    for function in listing.split("Function :")[1:]:
        name = function.splitlines()[0]
        if "GateFormE1" in name or ("KeepsE0E" not in name and SEGMENTS not in name):
            continue
        code = instructions(function)
        is_chunk = lambda ends: (count(code, *ends, r"MUFU\S*") >= 30 or
                                 count(code, *ends, r"HGMMA\S*") >= PRODUCTS)
        # Code that waits lies behind the roles, so that branches back to them look like longer loops.
        chunks = [ends for ends in loops(code) if ends[1] - ends[0] <= 1200 and is_chunk(ends)]
        for begin, end in chunks:
            inner = any(begin <= b and e <= end and (b, e) != (begin, end) for b, e in chunks)
            if not inner and (spilled := count(code, begin, end, r"LDL\S*")) > 0:
                yield f"{spilled} spilled values loaded each chunk in {name.strip()}"


def chunk_loops(listing):
    """By form of the kernel and role: instructions of the loop over chunks, then of loops inside it. Of
    the kernels that keep no checkpoints (Keeps 0 in the mangled name).

    The recurrence is told by its products: 22 of a chunk and, but for the general form of the gate, 8
    more of the scores, in a loop and before or after it. That loop is the recurrence's own where it
    multiplies scores ahead, and that of loads and scores in the split form. The inverse is with the
    warps that load or, in the split form, load values. Of the kernel with both forms, only the two
    recurrences."""
    found = {}
    for function in listing.split("Function :")[1:]:
        name = function.splitlines()[0]
        if "KeepsE0E" not in name and SEGMENTS not in name:
            continue
        form = ("segments" if SEGMENTS in name else "both" if BOTH_FORMS in name else
                "split" if "split_kernel" in name else
                "bounded" if "GateFormE0" in name else "general")
        code = instructions(function)
        starts = [i for i, (_, text) in enumerate(code) if ROLE_BEGIN.search(text)]
        parts = [code[begin:end] for begin, end in zip(starts, starts[1:] + [len(code)])]
        has = lambda part, opcode: count(part, 0, len(part), opcode)
        recurrence = [part for part in parts if has(part, r"HGMMA\S*") >= PRODUCTS]
        rest = [part for part in parts if part not in recurrence]
        io = [part for part in rest if has(part, r"UTMALDG\S*") > 0]
        prepare = [part for part in rest if part not in io]
        if [len(recurrence), len(prepare), len(io)] != [1, 1, 1]:
            continue
        if form == "both":
            found[form] = {"bounded": loop_with(recurrence[0], r"HGMMA\S*", PRODUCTS + SCORE_PRODUCTS),
                           "split": loop_with(recurrence[0], r"HGMMA\S*", PRODUCTS,
                                              PRODUCTS + SCORE_PRODUCTS)}
            continue
        loop_products = PRODUCTS + (SCORE_PRODUCTS if form in ("bounded", "segments") else 0)
        found[form] = {"recurrence": loop_with(recurrence[0], r"HGMMA\S*", loop_products)}
        if form == "split":
            found[form]["scores"] = loop_with(recurrence[0], r"HGMMA\S*", SCORE_PRODUCTS, PRODUCTS)
        # Scores of the general form are prepare's. Elsewhere a chunk is what waits at a barrier and
        # arrives at another one.
        found[form]["prepare"] = (loop_with(prepare[0], r"HMMA\S*", has(prepare[0], r"HMMA\S*"))
                                  if form == "general" else loop_with(prepare[0], r"SYNCS\S*", 2))
        # Of the kernel with segments twice: of the first pass, and of later ones.
        passes = 2 if form == "segments" else 1
        found[form]["inverse"] = loop_with(io[0], r"HMMA\S*", has(io[0], r"HMMA\S*") // passes)
    return dict(sorted(found.items()))
