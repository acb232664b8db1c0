"""The calls that are measured, and their inputs."""

from dataclasses import dataclass

import torch

K = V = 128
LOWER_BOUND = -5.0
MIXED = (1300, 547, 2048, 963, 271, 3063)


@dataclass(frozen=True)
class Case:
    name: str
    heads: int
    lengths: tuple  # one: a fixed length; several: packed, with cu_seqlens
    # "published": A_log, dt_bias ~ U(0, 1), g ~ N(0, 1), as FlashKDA's benchmark: about e^-3 a token.
    # "slow": the same with g - 8: 0.998 a token, as the slow channels of trained models.
    # "mixed": every second head slow; "slow channels": every eighth channel of every head.
    gate: str = "published"
    state: str = "final"  # "none", "final" (fp32, written only) or "both" (read and written)
    group: str = ""  # the named set it belongs to

    @property
    def tokens(self):
        return sum(self.lengths)

    def least_bytes(self):
        """Of HBM: q, k, v, g read, out written, beta, and the states."""
        token_bytes = 2 * (4 * K + V) + 2
        states = {"none": 0, "final": 1, "both": 2}[self.state]
        return self.heads * (self.tokens * token_bytes + len(self.lengths) * states * 4 * K * V)


def all_cases():
    cases = []

    def add(group, name, heads, lengths, **kwargs):
        cases.append(Case(f"{name} H={heads}", heads, tuple(lengths), group=group, **kwargs))

    for heads in (96, 64):
        add("headline", "fixed 8192", heads, [8192])
        add("headline", "mixed 8192", heads, MIXED)
        add("headline", "8 x 1024", heads, [1024] * 8)
    for heads in (4, 8, 12, 16, 32):
        add("few", "fixed 8192", heads, [8192])
    for tokens, heads in ((65536, 8), (65536, 4), (262144, 4), (1048576, 1), (1048576, 4)):
        add("long", f"fixed {tokens}", heads, [tokens])
    # Ten shapes with few heads; NVIDIA/cudnn-frontend #1017 times them on an H100.
    for tokens, heads, sequences in ((2048, 12, 1), (2048, 16, 1), (4096, 8, 1), (4096, 12, 1),
                                     (8192, 12, 4), (8192, 16, 1), (1024, 4, 1), (3072, 10, 1),
                                     (8192, 24, 1), (16384, 16, 8)):
        lengths = [tokens // sequences] * sequences
        add("ten", f"{sequences} x {tokens // sequences}", heads, lengths, state="both")
    for tokens in (128, 256, 512):
        for heads in (4, 16):
            add("short", f"1 x {tokens}", heads, [tokens], state="both")
    for length, sequences in ((1, 64), (7, 64), (63, 64), (1, 256)):
        add("residual", f"{sequences} x {length}", 32, [length] * sequences, state="both")
    for heads, lengths in ((96, [8192]), (32, [8192]), (8, [8192])):
        add("slow", "fixed 8192 slow gates", heads, lengths, gate="slow")
    for tokens, heads in ((8192, 4), (8192, 8), (8192, 16), (65536, 4)):
        for gate in ("published", "slow", "mixed", "slow channels"):
            add("mixed", f"{gate} gates, {tokens}", heads, [tokens], gate=gate)
    assert len({case.name for case in cases}) == len(cases)
    return cases


def make_inputs(case, device, seed=1):
    generator = torch.Generator(device=device).manual_seed(seed)
    T, H = case.tokens, case.heads

    def normal(*shape):
        return torch.randn(*shape, generator=generator, device=device, dtype=torch.bfloat16)

    def uniform(*shape):
        return torch.rand(*shape, generator=generator, device=device)

    tensors = {name: normal(1, T, H, K) for name in "qkvg"}
    slow = {"slow": tensors["g"], "mixed": tensors["g"][:, :, ::2],
            "slow channels": tensors["g"][:, :, :, ::8]}.get(case.gate)
    if slow is not None:
        slow -= 8
    tensors["beta"] = normal(1, T, H)
    tensors["out"] = torch.full((1, T, H, V), float("nan"), device=device, dtype=torch.bfloat16)
    tensors["A_log"] = uniform(H)
    tensors["dt_bias"] = uniform(H, K)
    N = len(case.lengths)
    if N > 1:
        offsets = [0]
        for length in case.lengths:
            offsets.append(offsets[-1] + length)
        tensors["cu_seqlens"] = torch.tensor(offsets, device=device, dtype=torch.int64)
    if case.state != "none":
        tensors["final_state"] = torch.full((N, H, V, K), float("nan"), device=device)
    if case.state == "both":
        tensors["initial_state"] = torch.randn(N, H, V, K, generator=generator, device=device)
    return tensors
