"""The yardstick: a byte n-gram model with three bytes of context, interpolated (Witten-Bell).

    P_n(b | c) = (count(c b) + distinct(c) P_{n-1}(b | c')) / (count(c) + distinct(c))

where c' is c without its oldest byte, distinct(c) counts the different bytes seen after c, and
P_{-1} is uniform (Witten and Bell 1991; Chen and Goodman 1998, section 2.6).
"""

import argparse
import json

import numpy as np

import data

CONTEXT = 3


def codes(stream, length):
    """The integer made of the `length` bytes that end at each position from CONTEXT on."""
    out = np.zeros(stream.size - CONTEXT, dtype=np.int64)
    for back in range(length - 1, -1, -1):
        out = out * 256 + stream[CONTEXT - back : stream.size - back]
    return out


def lookup(keys, values, wanted):
    index = np.minimum(np.searchsorted(keys, wanted), keys.size - 1)
    return np.where(keys[index] == wanted, values[index], 0)


def bits_per_byte(train, held_out):
    """Mean of -log2 P over held_out, every byte but the first CONTEXT ones."""
    probability = np.full(held_out.size - CONTEXT, 1.0 / 256)
    for length in range(1, CONTEXT + 2):
        keys, counts = np.unique(codes(train, length), return_counts=True)
        context_keys, starts = np.unique(keys // 256, return_index=True)
        totals = np.add.reduceat(counts, starts)
        distinct = np.diff(np.append(starts, keys.size))
        wanted = codes(held_out, length)
        seen = lookup(keys, counts, wanted)
        total = lookup(context_keys, totals, wanted // 256)
        kinds = lookup(context_keys, distinct, wanted // 256)
        mixed = (seen + kinds * probability) / np.maximum(total + kinds, 1)
        probability = np.where(total > 0, mixed, probability)
    return float(-np.log2(probability).mean())


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    corpus = data.load_corpus()
    result = {"ngram_bits_per_byte": bits_per_byte(corpus.train, corpus.held_out)}
    print(json.dumps({**corpus.description, **result}, indent=2))
