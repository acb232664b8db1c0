"""A block of the fused kernel, chunk by chunk: roles wait for each other as its barriers say, and
slow each other down where together they ask more of a resource than it has."""

from dataclasses import dataclass

ORDER = ("load", "scalars", "prepare", "inverse", "recurrence", "store")


@dataclass(frozen=True)
class Protocol:
    """Numbers of config.hpp and smem_plan.cuh; test_model.py compares them."""

    stages: int = 5
    scores: int = 2
    outs: int = 2
    prepare_turns: int = 1  # groups of prepare warps, each on its own chunk
    scores_ahead: int = 2  # chunks before which the recurrence multiplies scores; 0: prepare does

    paces = "recurrence"  # the role whose chunks are timed
    leaves = "store"  # the role at whose end a chunk has left

    def chunks_of(self, role, chunks):
        """Those of so many that `role` sees."""
        return range(chunks)

    def predecessors(self, role, c):
        """What has to be over before `role` begins chunk c."""
        ahead = self.scores_ahead
        # A score buffer is free once the inverse has read it: whoever stores scores waits for that. The
        # recurrence does so at the end of a chunk, by when it is.
        prepare = [] if ahead else [("inverse", c - self.scores)]
        inverse = [("recurrence", c - ahead)] if ahead else []
        return {
            "load": [("recurrence", c - self.stages)],
            "scalars": [("load", c), ("scalars", c - 1)],
            "prepare": [("scalars", c), ("prepare", c - self.prepare_turns)] + prepare,
            "inverse": [("prepare", c), ("inverse", c - 1)] + inverse,
            "recurrence": [("inverse", c), ("recurrence", c - 1), ("store", c - self.outs)],
            "store": [("recurrence", c), ("store", c - 1)],
        }[role]


@dataclass
class Run:
    cycles_per_chunk: float
    first_chunk: float  # until the first output has left
    working: dict  # part of the time that a role has a chunk, by role
    busy: dict  # part of the time that a resource is busy


def speeds(running, roles):
    """Every task goes at full speed, unless one of its resources is asked for more than it has."""
    asked = {}
    for role, _ in running:
        for resource, cycles in roles[role].demands.items():
            asked[resource] = asked.get(resource, 0) + cycles / max(roles[role].alone, 1e-9)
    return {task: min([1.0] + [1 / asked[r] for r, cycles in roles[task[0]].demands.items()
                               if cycles > 0 and asked[r] > 1]) for task in running}


def simulate(roles, protocol, chunks=48):
    waiting = {role: list(protocol.chunks_of(role, chunks)) for role in roles}
    share = {role: len(seen) / chunks for role, seen in waiting.items()}
    tasks = sum(len(seen) for seen in waiting.values())
    running, finished = {}, {}
    now = 0.0
    while len(finished) < tasks:
        for role, seen in waiting.items():
            while seen and all(before < 0 or (name, before) in finished
                               for name, before in protocol.predecessors(role, seen[0])):
                running[role, seen.pop(0)] = max(roles[role].alone, 1e-9)
        speed = speeds(running, roles)
        step = min(left / speed[task] for task, left in running.items())
        now += step
        for task in list(running):
            running[task] -= step * speed[task]
            if running[task] <= 1e-6:
                del running[task]
                finished[task] = now
    first, last = chunks // 3, chunks - 1 - protocol.stages
    last -= (last - first) % 2  # as many chunks of the one block as of the other, where there are two
    period = (finished[protocol.paces, last] - finished[protocol.paces, first]) / (last - first)
    return Run(period, finished[protocol.leaves, 0],
               {role: roles[role].alone * share[role] / period for role in roles},
               {r: sum(roles[role].demands.get(r, 0) * share[role] for role in roles) / period
                for r in roles[protocol.paces].demands})
