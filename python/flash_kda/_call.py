"""prefill, fwd and supports: arguments of Python to one call of the library."""

from typing import Any, NamedTuple, Optional

from . import _arrays, _core
from ._options import BACKENDS, BETA_FORMS, GATES, PRECISIONS, STATE_LAYOUTS, number


class PrefillResult(NamedTuple):
    """What prefill returns. Tensors that were not asked for are None."""

    out: Any  # [B, T, HV, V]
    final_state: Optional[Any]  # [N, HV, V, K], or [N, HV, K, V] for state_layout="kv"
    checkpoints: Optional[Any]  # [rows, HV, V, K] or [N, C, HV, V, K]


def _core_arguments(q, k, v, g, beta, out, A_log, dt_bias, cu_seqlens, initial_state, final_state,
                    state_pool, state_indices, has_initial_state, checkpoints, checkpoint_offsets,
                    checkpoint_slots, *, gate, lower_bound, qk_l2norm, beta_form, neg_eigval, scale,
                    state_layout, checkpoint_every, backend, precision, threads):
    """The positional arguments of _core.run before workspace and stream."""
    _arrays.torch_module()
    free = _arrays.without_grad
    return (
        free("q", q), free("k", k), free("v", v), free("g", g), free("beta", beta), out,
        free("A_log", A_log), free("dt_bias", dt_bias), cu_seqlens,
        free("initial_state", initial_state), final_state, state_pool, state_indices,
        has_initial_state, checkpoints, checkpoint_offsets, checkpoint_slots,
        number(GATES, "gate", gate), 1 if qk_l2norm else 0, number(BETA_FORMS, "beta_form", beta_form),
        1 if neg_eigval else 0, number(STATE_LAYOUTS, "state_layout", state_layout),
        checkpoint_every, number(BACKENDS, "backend", backend),
        number(PRECISIONS, "precision", precision), threads, lower_bound, scale)


def _run(q, arguments, workspace):
    stream = 0
    if _arrays.is_torch(q) and q.is_cuda:
        stream = _arrays.stream_of(q)
        if workspace is None:
            size = _core.workspace_bytes(*arguments)
            workspace = q.new_empty(size, dtype=_arrays.torch_module().uint8)
    _core.run(*arguments, workspace, stream)


def fwd(q, k, v, g, beta, scale, out, A_log, dt_bias, lower_bound, initial_state=None,
        final_state=None, cu_seqlens=None, *, workspace=None, state_pool=None, state_indices=None,
        has_initial_state=None, checkpoint_state=None, checkpoint_offsets=None,
        checkpoint_slots=None, checkpoint_every=0, gate="lower_bound", qk_l2norm=True,
        beta_form="logits", neg_eigval=False, state_layout="vk", backend=None, precision="fp32",
        threads=0):
    """The published call of the flash_kda package: writes `out` (and the states) and returns None.

    q, k        [B, T, H, K]   bf16, fp16 or fp32
    v, out      [B, T, HV, V]  HV a multiple of H
    g           [B, T, HV, K]  gate logits, bf16 or fp32
    beta        [B, T, HV]     logits (or activated, with beta_form), bf16 or fp32; any token stride
    scale       of the output; None: K ** -0.5
    A_log       [HV] or more elements, fp32, or None (0)
    dt_bias     [HV, K] or [HV * K], fp32, or None (0)
    lower_bound of the log decay in nats, below 0; None selects the unbounded softplus gate
    initial_state, final_state  [N, HV, V, K], fp32 or bf16; may be one tensor
    cu_seqlens  [N + 1], int32 or int64; requires B = 1

    Keyword arguments beyond the published call: prefill's docstring. The last dimension of every
    tensor must be contiguous, all other strides are free.

    Raises ValueError or TypeError for a bad argument (the message names it),
    NotImplementedError for a case that the backend does not support.
    """
    if lower_bound is None:
        gate, lower_bound = ("softplus" if gate == "lower_bound" else gate), -5.0
    arguments = _core_arguments(
        q, k, v, g, beta, out, A_log, dt_bias, cu_seqlens, initial_state, final_state, state_pool,
        state_indices, has_initial_state, checkpoint_state, checkpoint_offsets, checkpoint_slots,
        gate=gate, lower_bound=lower_bound, qk_l2norm=qk_l2norm, beta_form=beta_form,
        neg_eigval=neg_eigval, scale=scale, state_layout=state_layout,
        checkpoint_every=checkpoint_every, backend=backend, precision=precision, threads=threads)
    _run(q, arguments, workspace)


def state_shape(q, v, leading, state_layout):
    K, HV, V = q.shape[3], v.shape[2], v.shape[3]
    return (*leading, HV, V, K) if state_layout == "vk" else (*leading, HV, K, V)


def _checkpoint_rows(q, cu_seqlens, every):
    """Rows that checkpoints after every n tokens need. On a CUDA device lengths are not read:
    there it is the bound floor(T / n)."""
    B, T = q.shape[:2]
    if cu_seqlens is None:
        return B * (T // every)
    if getattr(cu_seqlens, "is_cuda", False):
        return T // every
    ends = [int(end) for end in cu_seqlens]
    return sum((end - begin) // every for begin, end in zip(ends, ends[1:]))


def prefill(q, k, v, g, beta, *, out=None, scale=None, gate="lower_bound", lower_bound=-5.0,
            A_log=None, dt_bias=None, qk_l2norm=True, beta_form="logits", neg_eigval=False,
            cu_seqlens=None, initial_state=None, final_state=False, state_pool=None,
            state_indices=None, has_initial_state=None, state_layout="vk", checkpoint_every=0,
            checkpoint_offsets=None, checkpoints=None, checkpoint_slots=None, workspace=None,
            backend=None, precision="fp32", threads=0):
    """Kimi Delta Attention over whole sequences; T = 1 is a decode step.

        S <- S Diag(exp(g));  S <- S + beta (v - S k) k^T;  o = scale * S q      per token and head

    Tensors (PyTorch, NumPy, or anything with __dlpack__), shapes as in fwd:
      q, k, v, g, beta     inputs; g is what `gate` says
      out                  written and returned; None: a new one like v
      gate                 "lower_bound": lower_bound * sigmoid(exp(A_log) * (g + dt_bias)) nats
                           "softplus":   -exp(A_log) * softplus(g + dt_bias) nats, unbounded
                           "log":        g itself, in nats, <= 0
      qk_l2norm            normalise q and k over K inside the call
      beta_form            "logits": sigmoid inside the call; "activated": used as it is
      neg_eigval           beta is doubled after activation
      cu_seqlens           [N + 1] int32/int64: T packs N sequences, some may be empty
      initial_state        [N, HV, V, K] fp32/bf16; None: zero
      final_state          a tensor to write, True for a new fp32 one, False for none
      state_pool           [slots, HV, V, K], any slot pitch, updated in place, with
      state_indices        [N] int32/int64 slots; -1: start from zero and write nothing
      has_initial_state    [N] uint8/bool; False: this sequence starts from zero
      state_layout         "vk" ([.., V, K]) or "kv"
      checkpoint_every     n: keep the state after tokens n, 2n, ... of each sequence, or
      checkpoint_offsets   [N, C] int32/int64: after these tokens; <= 0 means none
      checkpoints          where to: [rows, HV, V, K] or [N, C, HV, V, K] (None: new), or a pool with
      checkpoint_slots     [rows] or [N, C] slots; -1 skips
      workspace            uint8 on the device of q; None: taken from this thread's own (CPU) or
                           from PyTorch's caching allocator (CUDA)
      backend              None (by device), "cpu", "cuda", "reference" (fp64)
      precision            "fp32" or "bf16" arithmetic of the CPU backend
      threads              CPU threads at most; 0: all

    Returns PrefillResult(out, final_state, checkpoints).
    Raises as fwd.
    """
    if out is None:
        out = _arrays.empty(v, tuple(v.shape))
    sequences = q.shape[0] if cu_seqlens is None else cu_seqlens.shape[0] - 1
    if final_state is True:
        final_state = _arrays.empty(q, state_shape(q, v, (sequences,), state_layout), "float32")
    elif final_state is False:
        final_state = None
    if checkpoints is None and checkpoint_slots is None:
        if checkpoint_offsets is not None:
            leading = tuple(checkpoint_offsets.shape)
        elif checkpoint_every > 0:
            leading = (_checkpoint_rows(q, cu_seqlens, checkpoint_every),)
        else:
            leading = None
        if leading is not None:
            checkpoints = _arrays.empty(q, state_shape(q, v, leading, state_layout), "float32")
    arguments = _core_arguments(
        q, k, v, g, beta, out, A_log, dt_bias, cu_seqlens, initial_state, final_state, state_pool,
        state_indices, has_initial_state, checkpoints, checkpoint_offsets, checkpoint_slots,
        gate=gate, lower_bound=lower_bound, qk_l2norm=qk_l2norm, beta_form=beta_form,
        neg_eigval=neg_eigval, scale=scale, state_layout=state_layout,
        checkpoint_every=checkpoint_every, backend=backend, precision=precision, threads=threads)
    _run(q, arguments, workspace)
    return PrefillResult(out, final_state, checkpoints)
