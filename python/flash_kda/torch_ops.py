"""torch.ops.flash_kda: the calls as PyTorch operators, for torch.compile and export.

    import flash_kda.torch_ops
    torch.ops.flash_kda.fwd(...)      # flash_kda.fwd: writes out and final_state
    torch.ops.flash_kda.prefill(...)  # returns (out, final_state)

Eager code calls flash_kda.fwd or flash_kda.prefill directly: an operator adds the dispatcher's cost.
"""

import torch

from . import _call

_library = torch.library.Library("flash_kda", "DEF")

# Optional arguments stand in the order of flash_kda.fwd; what only serving engines need is keyword-only.
_library.define(
    "fwd(Tensor q, Tensor k, Tensor v, Tensor g, Tensor beta, float? scale, Tensor(a!) out, "
    "Tensor? A_log, Tensor? dt_bias, float? lower_bound, Tensor? initial_state=None, "
    "Tensor(b!)? final_state=None, Tensor? cu_seqlens=None, *, Tensor(c!)? state_pool=None, "
    "Tensor? state_indices=None, Tensor? has_initial_state=None, "
    "Tensor(d!)? checkpoint_state=None, Tensor? checkpoint_offsets=None, "
    "Tensor? checkpoint_slots=None, int checkpoint_every=0, str gate=\"lower_bound\", "
    "bool qk_l2norm=True, str beta_form=\"logits\", bool neg_eigval=False, "
    "str state_layout=\"vk\", str precision=\"fp32\") -> ()")
_library.define(
    "prefill(Tensor q, Tensor k, Tensor v, Tensor g, Tensor beta, *, float? scale=None, "
    "str gate=\"lower_bound\", float lower_bound=-5.0, Tensor? A_log=None, Tensor? dt_bias=None, "
    "bool qk_l2norm=True, str beta_form=\"logits\", bool neg_eigval=False, "
    "Tensor? cu_seqlens=None, Tensor? initial_state=None, str state_layout=\"vk\", "
    "str precision=\"fp32\") -> (Tensor, Tensor)")


def _prefill(q, k, v, g, beta, **options):
    out = torch.empty_like(v, memory_format=torch.contiguous_format)
    result = _call.prefill(q, k, v, g, beta, out=out, final_state=True, **options)
    return result.out, result.final_state


for _device in ("CPU", "CUDA"):
    _library.impl("fwd", _call.fwd, _device)
    _library.impl("prefill", _prefill, _device)


@torch.library.register_fake("flash_kda::fwd", lib=_library)
def _(q, k, v, g, beta, scale, out, *args, **options):
    torch._check(q.dim() == 4 and v.dim() == 4, lambda: "q, v: expected 4 dimensions")
    torch._check(out.shape == v.shape, lambda: f"out: expected {list(v.shape)}, got {list(out.shape)}")


@torch.library.register_fake("flash_kda::prefill", lib=_library)
def _(q, k, v, g, beta, *, cu_seqlens=None, state_layout="vk", **options):
    torch._check(q.dim() == 4 and v.dim() == 4, lambda: "q, v: expected 4 dimensions")
    sequences = q.shape[0] if cu_seqlens is None else cu_seqlens.shape[0] - 1
    shape = _call.state_shape(q, v, (sequences,), state_layout)
    return (torch.empty_like(v, memory_format=torch.contiguous_format),
            q.new_empty(shape, dtype=torch.float32))
