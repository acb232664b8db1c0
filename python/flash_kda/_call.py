"""prefill, fwd, supports: arguments of Python to one call of the library."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

from . import _arrays, _core
from ._options import (BACKENDS, BETA_FORMS, CUTS, FLAGS, GATES, PRECISIONS, STATE_LAYOUTS, Array,
                       Backend, BetaForm, Cuts, Gate, Precision, StateLayout, number)

# FLA 0.5's adapter takes allow_neg_eigval and does not hand it on (integrations/fla.py).
_FLA_ADAPTERS = {"fla.ops.kda.backends.flash_kda", "fla.ops.kda.backends.flashkda"}


class PrefillResult(NamedTuple):
    """What prefill returns. Tensors that were not asked for are None."""

    out: Array  # [B, T, HV, V]
    final_state: Array | None  # [N, HV, V, K], or [N, HV, K, V] for state_layout="kv"
    checkpoints: Array | None  # [rows, HV, V, K] or [N, C, HV, V, K]


def _thread_limit(threads):
    """PyTorch programs set their thread count with torch.set_num_threads; others use all."""
    if threads is not None:
        return threads
    return 0 if _arrays.torch is None else _arrays.torch.get_num_threads()


def _arguments(q, k, v, g, beta, out, A_log, dt_bias, cu_seqlens, initial_state, final_state,
               state_pool, state_indices, has_initial_state, checkpoints, checkpoint_offsets,
               checkpoint_slots, gate, lower_bound, qk_l2norm, beta_form, neg_eigval, scale,
               state_layout, checkpoint_every, backend, precision, threads, cuts, multiprocessors,
               v_panel):
    """The positional arguments of _core.run before workspace and stream."""
    if lower_bound is None:
        gate = "softplus" if isinstance(gate, str) and gate == "lower_bound" else gate
        lower_bound = -5.0  # not read by the other gates
    return (q, k, v, g, beta, out, A_log, dt_bias, cu_seqlens, initial_state, final_state,
            state_pool, state_indices, has_initial_state, checkpoints, checkpoint_offsets,
            checkpoint_slots, number(GATES, "gate", gate),
            number(FLAGS, "qk_l2norm", qk_l2norm), number(BETA_FORMS, "beta_form", beta_form),
            number(FLAGS, "neg_eigval", neg_eigval),
            number(STATE_LAYOUTS, "state_layout", state_layout), checkpoint_every,
            number(BACKENDS, "backend", backend), number(PRECISIONS, "precision", precision),
            _thread_limit(threads), number(CUTS, "cuts", cuts), multiprocessors, v_panel,
            lower_bound, scale)


def _run(arguments, workspace):
    torch = _arrays.torch
    if torch is None:
        _arrays.connect()
        torch = _arrays.torch
    q = arguments[0]
    if torch is None:
        _core.run(*arguments, workspace, 0)
        return
    if torch.is_grad_enabled():
        _arrays.refuse_gradients(q=q, k=arguments[1], v=arguments[2], g=arguments[3],
                                 beta=arguments[4], A_log=arguments[6], dt_bias=arguments[7],
                                 initial_state=arguments[9])
    if not _arrays.is_cuda(q):
        _core.run(*arguments, workspace, 0)
        return
    device = q.device
    if workspace is None:
        workspace = _arrays.cuda_workspace(device)
    if torch.cuda.current_device() == device.index:
        _core.run(*arguments, workspace, _arrays.cuda_stream(device.index))
    else:
        with torch.cuda.device(device):
            _core.run(*arguments, workspace, _arrays.cuda_stream(device.index))


def fwd(q: Array, k: Array, v: Array, g: Array, beta: Array, scale: float | None, out: Array,
        A_log: Array | None, dt_bias: Array | None, lower_bound: float | None,
        initial_state: Array | None = None, final_state: Array | None = None,
        cu_seqlens: Array | None = None, *, workspace: Array | None = None,
        state_pool: Array | None = None, state_indices: Array | None = None,
        has_initial_state: Array | None = None, checkpoint_state: Array | None = None,
        checkpoint_offsets: Array | None = None, checkpoint_slots: Array | None = None,
        checkpoint_every: int = 0, gate: Gate = "lower_bound", qk_l2norm: bool = True,
        beta_form: BetaForm = "logits", neg_eigval: bool = False,
        state_layout: StateLayout = "vk", backend: Backend = None, precision: Precision = "fp32",
        threads: int | None = None, cuts: Cuts = "auto", multiprocessors: int = 0,
        v_panel: int = 0) -> None:
    """The published call of the flash_kda package: writes `out` (and the states), returns None.

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

    Keyword arguments beyond the published call are those of prefill, where `checkpoint_state` is
    called `checkpoints`. The last dimension of every tensor must be contiguous, all other strides
    are free, and q to out may hold more tokens than cu_seqlens names.

    On CUDA tensors the call is queued on the current stream of their device and never waits.

    Raises ValueError or TypeError for a bad argument (the message names it, what was expected, and
    what came), NotImplementedError for a case that the backend does not support, and MemoryError.
    """
    if _arrays.is_compiling():
        _arrays.torch.ops.flash_kda.fwd(
            q, k, v, g, beta, scale, out, A_log, dt_bias, lower_bound, initial_state, final_state,
            cu_seqlens, workspace=workspace, state_pool=state_pool, state_indices=state_indices,
            has_initial_state=has_initial_state, checkpoint_state=checkpoint_state,
            checkpoint_offsets=checkpoint_offsets, checkpoint_slots=checkpoint_slots,
            checkpoint_every=checkpoint_every, gate=gate, qk_l2norm=qk_l2norm,
            beta_form=beta_form, neg_eigval=neg_eigval, state_layout=state_layout,
            backend=backend, precision=precision, threads=threads, cuts=cuts,
            multiprocessors=multiprocessors, v_panel=v_panel)
        return
    caller = sys._getframe(1)
    if caller.f_globals.get("__name__") in _FLA_ADAPTERS:
        neg_eigval = neg_eigval or caller.f_locals.get("kwargs", {}).get("allow_neg_eigval", False)
    _run(_arguments(q, k, v, g, beta, out, A_log, dt_bias, cu_seqlens, initial_state, final_state,
                    state_pool, state_indices, has_initial_state, checkpoint_state,
                    checkpoint_offsets, checkpoint_slots, gate, lower_bound, qk_l2norm, beta_form,
                    neg_eigval, scale, state_layout, checkpoint_every, backend, precision, threads,
                    cuts, multiprocessors, v_panel),
         workspace)


def state_shape(q, v, leading, state_layout):
    K, HV, V = q.shape[3], v.shape[2], v.shape[3]
    return (*leading, HV, V, K) if state_layout == "vk" else (*leading, HV, K, V)


def _checkpoint_rows(q, cu_seqlens, every):
    """Rows that checkpoints after every n tokens need. On a CUDA device lengths are not read:
    there it is the bound floor(T / n)."""
    B, T = q.shape[:2]
    if cu_seqlens is None:
        return B * (T // every)
    if _arrays.is_cuda(cu_seqlens):
        return T // every
    try:
        ends = [int(end) for end in cu_seqlens.tolist()]
    except (AttributeError, RuntimeError, ValueError, TypeError) as error:
        raise TypeError(f"cu_seqlens: expected integers [N + 1] in host memory ({error})") from None
    return sum(max(end - begin, 0) // every for begin, end in zip(ends, ends[1:]))


def _expect_dims(name, tensor, *shapes):
    """The one check that is needed before the library's own: outputs are made from these shapes."""
    if not hasattr(tensor, "shape"):
        raise TypeError(f"{name}: expected a tensor, got {type(tensor).__name__}")
    if len(tensor.shape) not in [shape.count(",") + 1 for shape in shapes]:
        raise ValueError(f"{name}: expected {' or '.join(shapes)}, got {len(tensor.shape)} dimensions")


def _outputs(q, v, out, cu_seqlens, initial_state, final_state, state_pool, state_layout, every,
             offsets, checkpoints, checkpoint_slots):
    """out, final_state and checkpoints as the library takes them: new where they are wanted."""
    _expect_dims("q", q, "[B, T, H, K]")
    _expect_dims("v", v, "[B, T, HV, V]")
    if cu_seqlens is not None:
        _expect_dims("cu_seqlens", cu_seqlens, "[N + 1]")
    if out is None:
        out = _arrays.empty(v, "out", tuple(v.shape))
    like = initial_state if initial_state is not None else state_pool
    is_bf16 = str(getattr(like, "dtype", "")) == "torch.bfloat16"
    dtype = "bfloat16" if is_bf16 else "float32"
    if final_state is True:
        sequences = q.shape[0] if cu_seqlens is None else max(cu_seqlens.shape[0] - 1, 0)
        final_state = _arrays.empty(q, "final_state",
                                    state_shape(q, v, (sequences,), state_layout), dtype)
    elif final_state is False:
        final_state = None
    if checkpoints is None and checkpoint_slots is None:
        if offsets is not None:
            _expect_dims("checkpoint_offsets", offsets, "[N]", "[N, C]")
            leading = tuple(offsets.shape)
        elif isinstance(every, int) and every > 0:
            leading = (_checkpoint_rows(q, cu_seqlens, every),)
        else:
            return out, final_state, None
        checkpoints = _arrays.empty(q, "checkpoints", state_shape(q, v, leading, state_layout), dtype)
    return out, final_state, checkpoints


def prefill(q: Array, k: Array, v: Array, g: Array, beta: Array, *, out: Array | None = None,
            scale: float | None = None, gate: Gate = "lower_bound",
            lower_bound: float | None = -5.0, A_log: Array | None = None,
            dt_bias: Array | None = None, qk_l2norm: bool = True, beta_form: BetaForm = "logits",
            neg_eigval: bool = False, cu_seqlens: Array | None = None,
            initial_state: Array | None = None, final_state: Array | bool = False,
            state_pool: Array | None = None, state_indices: Array | None = None,
            has_initial_state: Array | None = None, state_layout: StateLayout = "vk",
            checkpoint_every: int = 0, checkpoint_offsets: Array | None = None,
            checkpoints: Array | None = None, checkpoint_slots: Array | None = None,
            workspace: Array | None = None, backend: Backend = None,
            precision: Precision = "fp32", threads: int | None = None, cuts: Cuts = "auto",
            multiprocessors: int = 0, v_panel: int = 0) -> PrefillResult:
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
      final_state          a tensor to write (it may be initial_state), True for a new one (of
                           initial_state's type, else fp32), False for none
      state_pool           [slots, HV, V, K], any slot pitch, updated in place, with
      state_indices        [N] int32/int64 slots; -1: start from zero and write nothing
      has_initial_state    [N] uint8/bool; False: this sequence starts from zero
      state_layout         "vk" ([.., V, K]) or "kv"
      checkpoint_every     n: keep the state after tokens n, 2n, ... of each sequence, or
      checkpoint_offsets   [N] or [N, C] int32/int64: after these tokens; <= 0 means none
      checkpoints          where to: [rows, HV, V, K], [N, HV, V, K] or [N, C, HV, V, K]
                           (None: new), or a pool with
      checkpoint_slots     [rows], [N] or [N, C] slots of it; -1 skips
      workspace            uint8 on the device of q, get_workspace_size bytes; None: this thread's
                           own (CPU) or of PyTorch's caching allocator (CUDA)
      backend              None (by device), "cpu", "cuda", "reference" (fp64)
      precision            "fp32" or "bf16" arithmetic of the CPU backend
      threads              CPU threads at most, 0 for all; None: torch.get_num_threads(), or all
      cuts                 where the fused CUDA kernel may cut a sequence among multiprocessors:
                           "auto", also where the gates prove that nothing above 2^-20 of the state
                           from before is left (results then differ in rounding with the lengths of
                           other sequences), or "exact", only where a part waits for its state
      multiprocessors      of the GPU that the fused kernel may use at most; 0: all
      v_panel              value rows that a block of the fused CUDA kernel owns: 128; 64, in
                           clusters of two blocks that share a chain; 0: the plan's choice

    Returns PrefillResult(out, final_state, checkpoints).
    Raises as fwd.
    """
    out, final_state, checkpoints = _outputs(
        q, v, out, cu_seqlens, initial_state, final_state, state_pool, state_layout,
        checkpoint_every, checkpoint_offsets, checkpoints, checkpoint_slots)
    fwd(q, k, v, g, beta, scale, out, A_log, dt_bias, lower_bound, initial_state, final_state,
        cu_seqlens, workspace=workspace, state_pool=state_pool, state_indices=state_indices,
        has_initial_state=has_initial_state, checkpoint_state=checkpoints,
        checkpoint_offsets=checkpoint_offsets, checkpoint_slots=checkpoint_slots,
        checkpoint_every=checkpoint_every, gate=gate, qk_l2norm=qk_l2norm, beta_form=beta_form,
        neg_eigval=neg_eigval, state_layout=state_layout, backend=backend, precision=precision,
        threads=threads, cuts=cuts, multiprocessors=multiprocessors, v_panel=v_panel)
    return PrefillResult(out, final_state, checkpoints)


def describe(q: Array, k: Array, v: Array, g: Array, beta: Array, *, out: Array | None = None,
             scale: float | None = None, gate: Gate = "lower_bound",
             lower_bound: float | None = -5.0, A_log: Array | None = None,
             dt_bias: Array | None = None, qk_l2norm: bool = True,
             beta_form: BetaForm = "logits", neg_eigval: bool = False,
             cu_seqlens: Array | None = None, initial_state: Array | None = None,
             final_state: Array | bool = False, state_pool: Array | None = None,
             state_indices: Array | None = None, has_initial_state: Array | None = None,
             state_layout: StateLayout = "vk", checkpoint_every: int = 0,
             checkpoint_offsets: Array | None = None, checkpoints: Array | None = None,
             checkpoint_slots: Array | None = None, workspace: Array | None = None,
             backend: Backend = None, precision: Precision = "fp32", threads: int | None = None,
             cuts: Cuts = "auto", multiprocessors: int = 0, v_panel: int = 0) -> str:
    """The plan that prefill makes for these arguments, in one line: backend, instruction set,
    algorithm, chunk size, why. Looks at types, shapes, strides and options, not at the data, and
    raises what prefill would raise for them."""
    _arrays.connect()
    out, final_state, checkpoints = _outputs(
        q, v, out, cu_seqlens, initial_state, final_state, state_pool, state_layout,
        checkpoint_every, checkpoint_offsets, checkpoints, checkpoint_slots)
    arguments = _arguments(
        q, k, v, g, beta, out, A_log, dt_bias, cu_seqlens, initial_state, final_state,
        state_pool, state_indices, has_initial_state, checkpoints, checkpoint_offsets,
        checkpoint_slots, gate, lower_bound, qk_l2norm, beta_form, neg_eigval, scale,
        state_layout, checkpoint_every, backend, precision, threads, cuts, multiprocessors, v_panel)
    if _arrays.torch is not None and _arrays.torch.is_grad_enabled():
        _arrays.refuse_gradients(q=q, k=k, v=v, g=g, beta=beta, A_log=A_log, dt_bias=dt_bias,
                                 initial_state=initial_state)
    if _arrays.is_cuda(q):
        with _arrays.torch.cuda.device(q.device):
            return _core.check(*arguments)
    return _core.check(*arguments)


def supports(*args: Any, **options: Any) -> tuple[bool, str]:
    """Whether prefill with these arguments would run, and why not: (True, "") or (False, reason).

    For dispatchers that fall back to other kernels. Types, shapes, strides, options and what the
    backend of the tensors' device can do are looked at, the data is not, and nothing is raised. A
    workspace that is too small is not noticed.
    """
    try:
        describe(*args, **options)
    except (TypeError, ValueError, NotImplementedError, AttributeError, RuntimeError,
            MemoryError) as error:
        return False, str(error)
    return True, ""
