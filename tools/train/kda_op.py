"""The KDA operation for training: a chunked, differentiable form in fp32, and its definition.

Definition (state S is [V, K], one per value head; g is a natural logarithm, <= 0):

    S_t = S_{t-1} Diag(exp(g_t))
    S_t = S_t + beta_t (v_t - S_t k_t) k_t^T
    o_t = scale * S_t q_t

The code below keeps the transpose, [K, V], so that a chunk is a product of row matrices.
"""

import torch
import torch.nn.functional as F

CHUNK = 16

# Decay of one token below which training does not look: exp(-8) = 3.4e-4. With chunks of 16 and
# factors referenced to the chunk's row 7, no exponent exceeds 8 * 8 = 64 nats, and
# exp(64) = 6.2e27 is far inside fp32. Inference uses the exact decay.
MIN_LOG_DECAY = -8.0


def l2_normalize(x, eps=1e-6):
    return x * torch.rsqrt((x * x).sum(-1, keepdim=True) + eps)


def activate_gate(g_raw, a_log, dt_bias, gate, lower_bound):
    """g_raw [B, T, HV, K], a_log [HV], dt_bias [HV * K] -> natural log decay, same shape."""
    heads, width = g_raw.shape[-2:]
    rate = a_log.exp().view(heads, 1)
    x = g_raw + dt_bias.view(heads, width)
    if gate == "lower_bound":
        return lower_bound * torch.sigmoid(rate * x)
    if gate == "softplus":
        return -rate * F.softplus(x)
    raise ValueError(f"gate: expected lower_bound or softplus, got {gate}")


def expand_heads(x, heads_v):
    """Grouped values: value head h reads query/key head h // (HV / H)."""
    return x.repeat_interleave(heads_v // x.shape[2], dim=2)


# Both forms take q, k [B, T, H, K], normalised; v [B, T, HV, V]; g [B, T, HV, K], log decays;
# beta [B, T, HV], activated.
def kda_recurrent(q, k, v, g, beta, scale):
    """The definition, token by token from a zero state, in the dtype of the inputs. Returns out."""
    batch, tokens, heads_v, width_v = v.shape
    q, k = expand_heads(q, heads_v), expand_heads(k, heads_v)
    state = v.new_zeros(batch, heads_v, q.shape[-1], width_v)
    out = []
    for t in range(tokens):
        state = state * g[:, t].exp().unsqueeze(-1)
        error = v[:, t] - torch.einsum("bhkv,bhk->bhv", state, k[:, t])
        state = state + torch.einsum("bhk,bhv->bhkv", k[:, t], error * beta[:, t].unsqueeze(-1))
        out.append(scale * torch.einsum("bhkv,bhk->bhv", state, q[:, t]))
    return torch.stack(out, dim=1)


def to_chunks(x):
    """[B, T, HV, D] -> [B * HV, T / CHUNK, CHUNK, D]"""
    batch, tokens, heads, width = x.shape
    x = x.transpose(1, 2).reshape(batch * heads, tokens // CHUNK, CHUNK, width)
    return x


def kda_chunked(q, k, v, g, beta, scale, min_log_decay=MIN_LOG_DECAY):
    """Same result as kda_recurrent, for T a multiple of CHUNK."""
    batch, tokens, heads_v, width_v = v.shape
    if tokens % CHUNK != 0:
        raise ValueError(f"tokens: expected a multiple of {CHUNK}, got {tokens}")
    q, k, g = (to_chunks(x) for x in (expand_heads(q, heads_v), expand_heads(k, heads_v), g))
    v, beta = to_chunks(v), to_chunks(beta.unsqueeze(-1))

    g_cum = g.clamp(min=min_log_decay).cumsum(dim=2)
    g_mid = g_cum[:, :, CHUNK // 2 - 1 : CHUNK // 2]
    g_end = g_cum[:, :, -1:]
    gamma = g_cum.exp()
    gamma_mid = (g_cum - g_mid).exp()
    k_inv = k * (g_mid - g_cum).exp()
    k_to_end = k * (g_end - g_cum).exp()

    # Above the diagonal a product may overflow; tril writes zeros there and no gradient passes.
    score_kk = ((k * gamma_mid) @ k_inv.transpose(-1, -2)).tril(-1)
    score_qk = ((q * gamma_mid) @ k_inv.transpose(-1, -2)).tril()
    system = beta * score_kk + torch.eye(CHUNK, dtype=v.dtype)
    solved = torch.linalg.solve_triangular(
        system, beta * torch.cat((v, k * gamma), dim=-1), upper=False, unitriangular=True
    )
    u, w = solved[..., :width_v], solved[..., width_v:]

    state = v.new_zeros(v.shape[0], k.shape[-1], width_v)
    gamma_end = g_end.exp().transpose(-1, -2)
    states, deltas = [], []
    for us, ws, ks, gs in zip(
        u.unbind(1), w.unbind(1), k_to_end.transpose(-1, -2).unbind(1), gamma_end.unbind(1)
    ):
        states.append(state)
        delta = torch.baddbmm(us, ws, state, alpha=-1)
        deltas.append(delta)
        state = torch.baddbmm(state * gs, ks, delta)
    out = (q * gamma) @ torch.stack(states, dim=1) + score_qk @ torch.stack(deltas, dim=1)
    return scale * out.view(batch, heads_v, tokens, width_v).transpose(1, 2)
