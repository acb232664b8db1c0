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


def predecessors(role, c, p):
    """What has to be over before `role` begins chunk c."""
    ahead = p.scores_ahead
    # A score buffer is free once the inverse has read it: whoever stores scores waits for that. The
    # recurrence does so at the end of a chunk, by when it is.
    prepare = [] if ahead else [("inverse", c - p.scores)]
    inverse = [("recurrence", c - ahead)] if ahead else []
    return {
        "load": [("recurrence", c - p.stages)],
        "scalars": [("load", c), ("scalars", c - 1)],
        "prepare": [("scalars", c), ("prepare", c - p.prepare_turns)] + prepare,
        "inverse": [("prepare", c), ("inverse", c - 1)] + inverse,
        "recurrence": [("inverse", c), ("recurrence", c - 1), ("store", c - p.outs)],
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
    done, running, next_chunk = set(), {}, {role: 0 for role in ORDER}
    finished = {}
    now = 0.0
    while len(finished) < len(ORDER) * chunks:
        for role in ORDER:
            c = next_chunk[role]
            while c < chunks and all(before < 0 or (name, before) in done
                                     for name, before in predecessors(role, c, protocol)):
                running[role, c] = max(roles[role].alone, 1e-9)
                c += 1
            next_chunk[role] = c
        speed = speeds(running, roles)
        step = min(left / speed[task] for task, left in running.items())
        now += step
        for task in list(running):
            running[task] -= step * speed[task]
            if running[task] <= 1e-6:
                del running[task]
                done.add(task)
                finished[task] = now
    first, last = chunks // 3, chunks - 1 - protocol.stages
    period = (finished["recurrence", last] - finished["recurrence", first]) / (last - first)
    return Run(period, finished["store", 0],
               {role: roles[role].alone / period for role in ORDER},
               {r: sum(roles[role].demands.get(r, 0) for role in ORDER) / period
                for r in roles["recurrence"].demands})
