"""Random inputs of one call, as training leaves them: logits of order one, gates of a few nats."""

from __future__ import annotations

import torch


def make_inputs(B=1, T=64, H=1, HV=None, K=128, V=128, dtype=torch.bfloat16, seed=1, device="cpu"):
    """q, k, v, g, beta, A_log and dt_bias of prefill, as a dict."""
    HV = HV or H
    generator = torch.Generator().manual_seed(seed)
    randn = lambda *shape: torch.randn(*shape, generator=generator).to(dtype).to(device)
    return {"q": randn(B, T, H, K), "k": randn(B, T, H, K), "v": randn(B, T, HV, V),
            "g": randn(B, T, HV, K), "beta": randn(B, T, HV),
            "A_log": torch.rand(HV, generator=generator).to(device),
            "dt_bias": torch.rand(HV, K, generator=generator).to(device)}


def relative_rms(got, expected):
    """||got - expected|| / ||expected||; infinite where anything is not finite."""
    if not torch.isfinite(got).all():
        return float("inf")
    got, expected = got.detach().cpu().double(), expected.double()
    return ((got - expected).norm() / expected.norm().clamp_min(1e-30)).item()
