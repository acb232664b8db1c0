"""torch.ops.flash_kda: the calls as PyTorch operators, for torch.compile and torch.export.

    import flash_kda.torch_ops
    torch.ops.flash_kda.fwd(...)      # flash_kda.fwd: writes out and the states
    torch.ops.flash_kda.prefill(...)  # returns (out, final_state)

`import flash_kda` imports this module if PyTorch is there already. Inside torch.compile,
flash_kda.fwd and flash_kda.prefill become the first operator by themselves; in eager code they call
the library directly, without the dispatcher's cost.
"""

from __future__ import annotations

import torch

from . import _arrays, _call

_arrays.connect()
_library = torch.library.Library("flash_kda", "DEF")

# The arguments of flash_kda.fwd in its order; what it writes is marked.
_library.define(
    "fwd(Tensor q, Tensor k, Tensor v, Tensor g, Tensor beta, float? scale, Tensor(a!) out, "
    "Tensor? A_log, Tensor? dt_bias, float? lower_bound, Tensor? initial_state=None, "
    "Tensor(b!)? final_state=None, Tensor? cu_seqlens=None, *, Tensor(c!)? workspace=None, "
    "Tensor(d!)? state_pool=None, Tensor? state_indices=None, Tensor? has_initial_state=None, "
    "Tensor(e!)? checkpoint_state=None, Tensor? checkpoint_offsets=None, "
    "Tensor? checkpoint_slots=None, int checkpoint_every=0, str gate=\"lower_bound\", "
    "bool qk_l2norm=True, str beta_form=\"logits\", bool neg_eigval=False, "
    "str state_layout=\"vk\", str? backend=None, str precision=\"fp32\", int? threads=None, "
    "str cuts=\"auto\", int multiprocessors=0, int v_panel=0) -> ()")
_library.define(
    "prefill(Tensor q, Tensor k, Tensor v, Tensor g, Tensor beta, *, float? scale=None, "
    "str gate=\"lower_bound\", float? lower_bound=-5.0, Tensor? A_log=None, Tensor? dt_bias=None, "
    "bool qk_l2norm=True, str beta_form=\"logits\", bool neg_eigval=False, "
    "Tensor? cu_seqlens=None, Tensor? initial_state=None, str state_layout=\"vk\", "
    "str? backend=None, str precision=\"fp32\", int? threads=None, str cuts=\"auto\", "
    "int multiprocessors=0, int v_panel=0) -> (Tensor, Tensor)")


def _prefill(q, k, v, g, beta, **options):
    out = torch.empty_like(v, memory_format=torch.contiguous_format)
    result = _call.prefill(q, k, v, g, beta, out=out, final_state=True, **options)
    return result.out, result.final_state


# Above the devices: whatever backend runs, an input that wants a gradient is refused.
def _without_autograd(operator):
    names = [argument.name for argument in operator._schema.arguments]

    def call(*args, **options):
        if torch.is_grad_enabled():
            given = dict(zip(names, args)) | options
            written = ("out", "final_state", "workspace", "state_pool", "checkpoint_state")
            _arrays.refuse_gradients(**{name: value for name, value in given.items()
                                        if isinstance(value, torch.Tensor) and name not in written})
        with torch._C._AutoDispatchBelowAutograd():
            return operator(*args, **options)

    return call


for _name, _function in (("fwd", _call.fwd), ("prefill", _prefill)):
    for _device in ("CPU", "CUDA"):
        _library.impl(_name, _function, _device)
    _library.impl(_name, _without_autograd(getattr(torch.ops.flash_kda, _name).default), "Autograd")


def _check_shapes(q, v):
    torch._check(q.dim() == 4, lambda: f"q: expected [B, T, H, K], got {q.dim()} dimensions")
    torch._check(v.dim() == 4, lambda: f"v: expected [B, T, HV, V], got {v.dim()} dimensions")


@torch.library.register_fake("flash_kda::fwd", lib=_library)
def _(q, k, v, g, beta, scale, out, *args, **options):
    _check_shapes(q, v)
    torch._check(out.shape == v.shape, lambda: f"out: expected {list(v.shape)}, got {list(out.shape)}")


@torch.library.register_fake("flash_kda::prefill", lib=_library)
def _(q, k, v, g, beta, *, cu_seqlens=None, initial_state=None, state_layout="vk", **options):
    _check_shapes(q, v)
    sequences = q.shape[0] if cu_seqlens is None else cu_seqlens.shape[0] - 1
    shape = _call.state_shape(q, v, (sequences,), state_layout)
    dtype = torch.float32 if initial_state is None else initial_state.dtype
    return (torch.empty_like(v, memory_format=torch.contiguous_format),
            q.new_empty(shape, dtype=dtype))
