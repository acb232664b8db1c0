"""What bench measures: this library, and flash-linear-attention's forms of the same call."""

from __future__ import annotations

import contextlib
import os

import torch

import flash_kda

from .. import _core

LOWER_BOUND = -5.0


class Method:
    """`call` computes once into `out` and `state` (both returned); limit: relative RMS of out."""

    def __init__(self, name, precision, call, limit):
        self.name, self.precision, self.call, self.limit = name, precision, call, limit


@contextlib.contextmanager
def library_must_stay_idle(name):
    """FLA dispatches chunk_kda to this very package where it can: no time of ours under its name."""
    calls = 0
    run = _core.run

    def counted(*arguments):
        nonlocal calls
        calls += 1
        return run(*arguments)

    _core.run = counted
    try:
        yield
    finally:
        _core.run = run
    if calls:
        raise RuntimeError(f"{name}: dispatched to flash_kda itself; nothing was measured")


def library(inputs, precision, threads):
    out = torch.empty_like(inputs["v"])
    B, _, HV, V = inputs["v"].shape
    state = torch.empty(B, HV, V, inputs["q"].shape[3], device=out.device)

    def call():
        flash_kda.fwd(inputs["q"], inputs["k"], inputs["v"], inputs["g"], inputs["beta"], None, out,
                      inputs["A_log"], inputs["dt_bias"], LOWER_BOUND, final_state=state,
                      precision=precision, threads=threads)
        return out, state

    # bf16 of the output rounds by 2^-9 at most; products in bf16 add 4e-3 (docs/numerics.md).
    is_bf16 = precision == "bf16" or out.is_cuda
    return Method("cuda" if out.is_cuda else "cpu", "bf16" if out.is_cuda else precision, call,
                  2.0**-9 + (4e-3 if is_bf16 else 1e-5))


def fla_naive(inputs):
    """FLA's naive_recurrent_kda and naive_chunk_kda with what precedes them (norms, gate, beta)."""
    from fla.ops.kda.gate import naive_kda_lowerbound_gate
    from fla.ops.kda.naive import naive_chunk_kda, naive_recurrent_kda

    def activated():
        q, k = (x.float() * torch.rsqrt(x.float().square().sum(-1, keepdim=True) + 1e-6)
                for x in (inputs["q"], inputs["k"]))
        g = naive_kda_lowerbound_gate(inputs["g"], inputs["A_log"], inputs["dt_bias"], LOWER_BOUND)
        return q, k, inputs["v"], g, torch.sigmoid(inputs["beta"].float())

    def form(function):
        def call():
            out, state = function(*activated(), output_final_state=True)
            return out, state.transpose(-1, -2)
        return call

    limit = 2.0**-9 + 1e-3  # fp32 of another order of sums
    methods = [Method("FLA naive_recurrent_kda", "fp32", form(naive_recurrent_kda), limit)]
    if inputs["q"].shape[1] % 64 == 0:
        methods.append(Method("FLA naive_chunk_kda", "fp32", form(naive_chunk_kda), limit))
    return methods


def fla_triton(inputs):
    """FLA's chunk_kda on its Triton kernels."""
    os.environ["FLA_FLASH_KDA"] = "0"  # before FLA's first dispatch: its adapter to us stays out
    import fla
    from fla.ops.kda import chunk_kda

    v_first = {"transpose_state_layout": True} if fla.__version__ == "0.5.0" else {"state_v_first": True}

    def call():
        return chunk_kda(inputs["q"], inputs["k"], inputs["v"], inputs["g"], inputs["beta"],
                         A_log=inputs["A_log"], dt_bias=inputs["dt_bias"].flatten(),
                         output_final_state=True, use_qk_l2norm_in_kernel=True,
                         use_gate_in_kernel=True, use_beta_sigmoid_in_kernel=True, safe_gate=True,
                         lower_bound=LOWER_BOUND, **v_first)

    return [Method("FLA chunk_kda (Triton)", "bf16", call, 6e-3)]  # 6e-3: FLA's own tolerance


def others(inputs):
    """FLA's methods for this device, and a note where there are none."""
    try:
        import fla.ops.kda  # noqa: F401
    except ImportError as error:
        return [], f"no comparison: flash-linear-attention is not installed ({error})"
    return (fla_triton if inputs["q"].is_cuda else fla_naive)(inputs), ""
