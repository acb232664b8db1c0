"""torch.ops._flashkda_C as vLLM calls it (vllm/models/kimi_k3/nvidia/kda.py), served by this library.

    import flash_kda.integrations.vllm
    flash_kda.integrations.vllm.register()

registers `fwd` and `get_workspace_size` with vLLM's schema unless vLLM's own extension has done so. A
plugin calls it from the entry point group `vllm.general_plugins`.
"""

import torch

from .. import _call, get_workspace_size

_library = None


def _fwd(q, k, v, g, beta, scale, out, workspace, A_log, dt_bias, lower_bound, initial_state=None,
         final_state=None, cu_seqlens=None, checkpoint_state=None, checkpoint_offsets=None):
    if checkpoint_offsets is not None and checkpoint_offsets.dim() == 1:
        checkpoint_offsets = checkpoint_offsets.unsqueeze(1)  # [N] means one a sequence
    if checkpoint_state is not None and checkpoint_state.dim() == 4:
        checkpoint_state = checkpoint_state.unsqueeze(1)
    _call.fwd(q, k, v, g, beta, scale, out, A_log, dt_bias, lower_bound, initial_state, final_state,
              cu_seqlens, workspace=workspace, checkpoint_state=checkpoint_state,
              checkpoint_offsets=checkpoint_offsets)


def register():
    """Defines the operators. True if this call (or an earlier one) did, False if vLLM's own are there."""
    global _library
    if _library is not None:
        return True
    if hasattr(torch.ops._flashkda_C, "fwd"):
        return False
    _library = torch.library.Library("_flashkda_C", "FRAGMENT")
    _library.define(
        "fwd(Tensor q, Tensor k, Tensor v, Tensor g, Tensor beta, float scale, Tensor(a!) out, "
        "Tensor workspace, Tensor A_log, Tensor dt_bias, float lower_bound, Tensor? initial_state, "
        "Tensor(b!)? final_state, Tensor? cu_seqlens, Tensor(c!)? checkpoint_state, "
        "Tensor? checkpoint_offsets) -> ()")
    _library.define("get_workspace_size(int T_total, int H, int N=1) -> int")
    for device in ("CPU", "CUDA"):
        _library.impl("fwd", _fwd, device)
    _library.impl("get_workspace_size", get_workspace_size, "CompositeExplicitAutograd")
    return True
