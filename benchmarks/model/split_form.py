"""The split form (src/cuda/sm90/split_roles.cuh) for pipeline.simulate(): two blocks that carry one
chain, prepare its chunks in turns and send each other the operands. A role is its name and its block;
so are the resources of a multiprocessor."""

from dataclasses import dataclass

import machines

EVERY = ("values", "recurrence", "store")  # roles that see every chunk; others every second one
SEND_US = 0.6  # a copy to the other block, without load: assumed as for a box; 1.0 gives the same times


@dataclass(frozen=True)
class SplitProtocol:
    """Numbers of split_roles.cuh and config.hpp; test_model.py compares them."""

    own_stages: int = 4
    sent_stages: int = 2
    values: int = 3
    outs: int = 3
    scores: int = 2

    paces = ("recurrence", 0)
    leaves = ("store", 0)
    stages = 8  # chunks of the chain that the own stages of both blocks hold

    def chunks_of(self, role, chunks):
        name, block = role
        return range(chunks) if name in EVERY else range(block, chunks, 2)

    def predecessors(self, role, c):
        """What has to be over before `role` begins chunk c. Own chunks are c - 2, c - 4, ..."""
        name, block = role
        here = lambda other, chunk: ((other, block), chunk)
        both = lambda chunk: [(("recurrence", 0), chunk), (("recurrence", 1), chunk)]
        owner = c % 2
        arrived = ([here("inverse", c)] if owner == block else
                   [(("send", owner), c), (("send_rest", owner), c)])
        inverse = [here("scores", c), here("inverse", c - 2)] + both(c - 2 * self.sent_stages)
        return {
            "values": [here("recurrence", c - self.values)],
            # One warpgroup loads a chunk, then multiplies the scores of the own chunk before it.
            "load": [here("scores", c - 4)] + both(c - 2 * self.own_stages),
            "scores": [here("prepare", c), here("scores", c - 2), here("inverse", c - 2 * self.scores)]
            + both(c + 2 - 2 * self.own_stages),
            "scalars": [here("load", c), here("scalars", c - 2)],
            "prepare": [here("scalars", c), here("prepare", c - 2)],
            "inverse": inverse,
            "send": inverse,  # the tiles; what the inverse makes comes after it
            "send_rest": [here("inverse", c)],
            "recurrence": arrived + [here("recurrence", c - 1), here("values", c),
                                     here("store", c - self.outs)],
            "store": [here("recurrence", c), here("store", c - 1)],
        }[name]


def make_roles(table, machine, active, calibration):
    """`table`: counts by role, `active`: blocks at work. Scores go at the pace of the recurrence, whose
    part they are in the other form."""
    transfer, send = machine.cycles(machines.TRANSFER_US), machine.cycles(SEND_US)
    scores = table["scores"]
    loads = {"instructions": 0, "copy_bytes": scores["copy_bytes"]}
    values = {name: table["values"][name] / 2 for name in ("instructions", "wavefronts", "copy_bytes")}
    counts = {**table, "scores": {**scores, "copy_bytes": 0}, "load": loads, "values": values,
              "store": values}
    sent = table["inverse"]["sent_bytes"] / 128
    roles = {}
    for block in (0, 1):
        for name in ("scalars", "prepare", "scores", "inverse", "recurrence", "load", "values", "store"):
            alone = transfer if name in ("load", "values", "store") else calibration.alone(
                name, counts[name]["instructions"] / counts[name]["warps"], counts[name], machine)
            demands = machines.demands_of(counts[name], machine, active)
            roles[name, block] = machines.Role(alone, {(r, block): c for r, c in demands.items()})
        roles["send", block] = machines.Role(send, {("shared", 0): sent, ("shared", 1): sent})
        roles["send_rest", block] = machines.Role(send, {})
    return roles
