"""Chains over blocks, as src/cuda/sm90/balance.hpp lays them: chunks of the busiest block."""

from dataclasses import dataclass

CHUNK = 32
MIN_SHARE = 2  # kMinReplayedShare
REPLAY_COST = 2  # kReplayCost
CHAIN_COST = 2  # kChainCost


@dataclass(frozen=True)
class Work:
    layout: str
    blocks: int
    chunks: int  # of the busiest block, replayed ones included
    parts: int  # of chains, in that block


def cost(tokens):
    return -(-tokens // CHUNK) + CHAIN_COST


def whole_cost(costs, blocks):
    """The busiest block when chains, longest first, are taken in turns."""
    return sum(max(costs[i:i + blocks]) for i in range(0, len(costs), blocks))


def lay_out(lengths, heads, multiprocessors, proven):
    """`proven`: every cut may be replayed, one chunk early. Otherwise replays wait for each other,
    and a chain takes as long as alone."""
    costs = sorted((cost(n) for n in lengths for _ in range(heads)), reverse=True)
    total, longest = sum(costs), costs[0]
    whole = whole_cost(costs, multiprocessors)
    even = -(-total // multiprocessors)
    cut, replayed = max(even, longest), max(even, MIN_SHARE)
    pays = lambda new, old: 20 * new <= 19 * old
    if pays(replayed + REPLAY_COST, cut if pays(cut, whole) else whole):
        blocks = min(multiprocessors, -(-total // replayed))
        parts = 1 + max(1, round(replayed / (total / len(costs))))
        if proven:
            return Work("replayed", blocks, replayed + 1, parts)
        return Work("replayed, unproven", blocks, max(replayed, longest), parts)
    if pays(cut, whole):
        return Work("cut", min(multiprocessors, -(-total // cut)), cut, 1 + round(cut / (total / len(costs))))
    rounds = -(-len(costs) // multiprocessors)
    return Work("whole", min(len(costs), multiprocessors), whole - CHAIN_COST * rounds, rounds)
