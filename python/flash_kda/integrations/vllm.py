"""torch.ops._flashkda_C as vLLM calls it (vllm/models/kimi_k3/nvidia/kda.py), served by this library.

    import flash_kda.integrations.vllm
    flash_kda.integrations.vllm.register()

registers `fwd` and `get_workspace_size` with vLLM's schema, unless vLLM's own extension is there. A
vLLM plugin calls it from the entry point group `vllm.general_plugins`; docs/integrations.md shows one.

vLLM gathers initial states from its pool before the call and scatters final states after it. The
pool arguments of flash_kda.fwd (state_pool, state_indices, has_initial_state) make both unnecessary.
"""

from __future__ import annotations

import importlib.util

import torch

from .. import _call, get_workspace_size

_library = None


def _fwd(q, k, v, g, beta, scale, out, workspace, A_log, dt_bias, lower_bound, initial_state=None,
         final_state=None, cu_seqlens=None, checkpoint_state=None, checkpoint_offsets=None):
    _call.fwd(q, k, v, g, beta, scale, out, A_log, dt_bias, lower_bound, initial_state, final_state,
              cu_seqlens, workspace=workspace, checkpoint_state=checkpoint_state,
              checkpoint_offsets=checkpoint_offsets)


def _fake_fwd(q, k, v, g, beta, scale, out, *args, **options):
    torch._check(out.shape == v.shape, lambda: f"out: expected {list(v.shape)}, got {list(out.shape)}")


def _vllm_has_its_own():
    if hasattr(torch.ops._flashkda_C, "fwd"):
        return True
    # Not loaded yet, but defining its operators now would make its import fail later.
    return (importlib.util.find_spec("vllm") is not None
            and importlib.util.find_spec("vllm._flashkda_C") is not None)


def register() -> bool:
    """Defines the operators. True if this call (or an earlier one) did, False if vLLM's own are there."""
    global _library
    if _library is not None:
        return True
    if _vllm_has_its_own():
        return False
    library = torch.library.Library("_flashkda_C", "FRAGMENT")
    library.define(
        "fwd(Tensor q, Tensor k, Tensor v, Tensor g, Tensor beta, float scale, Tensor(a!) out, "
        "Tensor(d!) workspace, Tensor A_log, Tensor dt_bias, float lower_bound, "
        "Tensor? initial_state, Tensor(b!)? final_state, Tensor? cu_seqlens, "
        "Tensor(c!)? checkpoint_state=None, Tensor? checkpoint_offsets=None) -> ()")
    library.define("get_workspace_size(int T_total, int H, int N=1) -> int")
    for device in ("CPU", "CUDA"):
        library.impl("fwd", _fwd, device)
    library.impl("get_workspace_size", get_workspace_size, "CompositeExplicitAutograd")
    torch.library.register_fake("_flashkda_C::fwd", _fake_fwd, lib=library)
    _library = library
    return True
