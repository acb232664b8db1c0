"""KDA in PyTorch as the flash-linear-attention project publishes its mathematics (fla/ops/kda/naive.py):
token by token, and in chunks of 64 with the decay differences formed pair by pair."""

import torch
import torch.nn.functional as F


def activate(q, k, g, beta, A_log, dt_bias, lower_bound):
    """Norms, lower-bound gate (nats) and beta in fp32, as the library does them inside the call."""
    q, k = (x.float() * torch.rsqrt((x.float() ** 2).sum(-1, keepdim=True) + 1e-6) for x in (q, k))
    g = lower_bound * torch.sigmoid(A_log.exp()[:, None] * (g.float() + dt_bias))
    return q * q.shape[-1] ** -0.5, k, g, torch.sigmoid(beta.float())


def recurrent(q, k, v, g, beta):
    """[B, T, H, .] -> out [B, T, H, V], S [B, H, K, V]; q is scaled, g in nats."""
    B, T, H, K = q.shape
    v = v.float()
    S = torch.zeros(B, H, K, v.shape[-1])
    out = torch.empty_like(v)
    for t in range(T):
        k_t, b_t = k[:, t], beta[:, t]
        S = S * g[:, t].exp()[..., None]
        delta = v[:, t] - (k_t[..., None] * S).sum(-2)
        S = S + (b_t[..., None] * k_t)[..., None] * delta[..., None, :]
        out[:, t] = (q[:, t][..., None] * S).sum(-2)
    return out, S


def chunkwise(q, k, v, g, beta, C=64):
    """The same in chunks of C tokens; T must be a multiple of C."""
    B, T, H, K = q.shape
    split = lambda x: x.transpose(1, 2).reshape(B, H, T // C, C, *x.shape[3:])
    q, k, v, g, beta = map(split, (q, k, v.float(), g, beta))
    G = g.cumsum(-2)
    Akk = torch.zeros(B, H, T // C, C, C)
    Aqk = torch.zeros_like(Akk)
    for j in range(C):
        decay = (G - G[..., j:j + 1, :]).clamp(max=0).exp() * k[..., j:j + 1, :]
        Akk[..., j] = (k * decay).sum(-1)
        Aqk[..., j] = (q * decay).sum(-1)
    Akk = (Akk * beta[..., None]).tril(-1)
    Aqk = Aqk.tril()
    eye = torch.eye(C)
    inverse = torch.linalg.solve_triangular(eye + Akk, eye.expand_as(Akk), upper=False,
                                            unitriangular=True) * beta[..., None, :]
    w, u = inverse @ (k * G.exp()), inverse @ v
    S = torch.zeros(B, H, K, v.shape[-1])
    out = torch.empty_like(v)
    for i in range(T // C):
        v_new = u[:, :, i] - w[:, :, i] @ S
        out[:, :, i] = (q[:, :, i] * G[:, :, i].exp()) @ S + Aqk[:, :, i] @ v_new
        to_end = (G[:, :, i, -1:] - G[:, :, i]).exp() * k[:, :, i]
        S = S * G[:, :, i, -1, :, None].exp() + to_end.transpose(-1, -2) @ v_new
    return out.reshape(B, H, T, -1).transpose(1, 2), S
