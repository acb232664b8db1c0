"""flash-linear-attention's naive functions as an independent reference, and its dispatch."""

import fla
import torch
import torch.nn.functional as F
from fla.ops.kda.gate import naive_kda_gate, naive_kda_lowerbound_gate
from fla.ops.kda.naive import naive_recurrent_kda

VERSION = tuple(int(part) for part in fla.__version__.split(".")[:2])
# The name of the flag for [V, K] states changed after 0.5.0.
V_FIRST = {"transpose_state_layout": True} if fla.__version__ == "0.5.0" else {"state_v_first": True}
IN_KERNEL = {"use_qk_l2norm_in_kernel": True, "use_gate_in_kernel": True,
             "use_beta_sigmoid_in_kernel": True, "safe_gate": True, "lower_bound": -5.0, **V_FIRST}
# Relative RMS: rounding of the bf16 output (2^-9 at most) and of fp32 token by token in both.
LIMIT = 2.0**-9 + 1e-4


def activate(q, k, g, beta, A_log=None, dt_bias=None, lower_bound=-5.0, beta_scale=1.0):
    q, k = (x.float() * torch.rsqrt(x.float().square().sum(-1, keepdim=True) + 1e-6) for x in (q, k))
    A_log = torch.zeros(g.shape[-2]) if A_log is None else A_log
    if lower_bound is None:
        g = naive_kda_gate(g.float(), A_log, dt_bias)
    else:
        g = naive_kda_lowerbound_gate(g.float(), A_log, dt_bias, lower_bound)
    return q, k, g, beta_scale * torch.sigmoid(beta.float())


def naive(q, k, v, g, beta, initial_state=None, cu_seqlens=None, scale=None, **gate):
    """Output [B, T, HV, V] and final states [N, HV, V, K] in fp32."""
    q, k, g, beta = activate(q, k, g, beta, **gate)
    v = v.float()
    if cu_seqlens is None:
        state = None if initial_state is None else initial_state.float().transpose(-1, -2)
        out, final = naive_recurrent_kda(q, k, v, g, beta, scale, state, True)
        return out, final.transpose(-1, -2)
    outs, finals = [], []
    for n, (begin, end) in enumerate(zip(cu_seqlens[:-1], cu_seqlens[1:])):
        state = None if initial_state is None else initial_state[n:n + 1].float().transpose(-1, -2)
        cut = [x[:, begin:end] for x in (q, k, v, g, beta)]
        out, final = naive_recurrent_kda(*cut, scale, state, True)
        outs.append(out)
        finals.append(final.transpose(-1, -2))
    return torch.cat(outs, 1), torch.cat(finals)


def relative_rms(got, expected):
    assert torch.isfinite(got).all()
    return ((got.double() - expected.double()).norm() / expected.double().norm()).item()


def make_inputs(B=1, T=150, H=3, HV=None, D=128, dtype=torch.bfloat16, seed=0):
    torch.manual_seed(seed)
    HV = HV or H
    randn = lambda *shape: torch.randn(*shape).to(dtype)
    return {"q": randn(B, T, H, D), "k": randn(B, T, H, D), "v": randn(B, T, HV, D),
            "g": randn(B, T, HV, D), "beta": randn(B, T, HV)}


def make_parameters(H=3, D=128):
    """As a model has them: parameters that require a gradient."""
    return {"A_log": torch.nn.Parameter(torch.rand(H) + 0.5),
            "dt_bias": torch.nn.Parameter(F.softplus(torch.randn(H * D)))}
