"""KDA prefill as SGLang's linear-attention backends call it, with the pool updated in place.

    from flash_kda.integrations import sglang
    out = sglang.extend(q, k, v, g, beta, ssm_states=pool, cache_indices=slots,
                        query_start_loc=cu_seqlens, A_log=A_log, dt_bias=dt_bias, lower_bound=-5.0)

No gather before and no scatter after the call, no conversion of beta, int32 or int64 indices.
"""

from __future__ import annotations

from .. import _call

CHECKPOINT_INTERVAL = 64  # tokens between two states that the prefix cache may keep


def extend(q, k, v, g, beta, *, ssm_states, cache_indices, query_start_loc, A_log, dt_bias,
           lower_bound, has_initial_state=None, beta_is_raw=True, return_intermediate_states=False,
           intermediate_states=None, scale=None, out=None, workspace=None, **_unused):
    """q, k [1, T, H, K]; v [1, T, HV, V]; g [1, T, HV, K] logits; beta [1, T, HV].

    ssm_states       [slots, HV, V, K] fp32 or bf16, any slot pitch: read and written in place
    cache_indices    [N] slots; -1 (padding of a graph): start from zero, write nothing
    query_start_loc  [N + 1] int32 or int64
    lower_bound      None: the unbounded softplus gate
    beta_is_raw      False: beta went through its sigmoid already

    Returns out, or (out, states) where states [rows, HV, V, K] hold the state after every 64th token
    of each sequence, floor(length / 64) rows a sequence, packed. `intermediate_states` may bring the
    memory for them; on a CUDA device, where lengths are not read, new memory has floor(T / 64) rows,
    of which the first are used.
    """
    result = _call.prefill(
        q, k, v, g, beta, out=out, scale=scale, lower_bound=lower_bound, A_log=A_log,
        dt_bias=dt_bias, beta_form="logits" if beta_is_raw else "activated",
        cu_seqlens=query_start_loc, state_pool=ssm_states, state_indices=cache_indices,
        has_initial_state=has_initial_state, workspace=workspace, checkpoints=intermediate_states,
        checkpoint_every=CHECKPOINT_INTERVAL if return_intermediate_states else 0)
    return (result.out, result.checkpoints) if return_intermediate_states else result.out
