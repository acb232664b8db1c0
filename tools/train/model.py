"""A small byte-level language model whose token mixing is Kimi Delta Attention (KDA).

Block: RMSNorm -> q/k/v projections -> causal depthwise convolution + SiLU -> KDA -> gated
per-head RMSNorm -> output projection; then RMSNorm -> SwiGLU MLP. Both halves are residual.
models/README.md lists the tensors; apps/lm/ is the same model in C++.
"""

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn

import kda_op

VOCAB = 256
NORM_EPS = 1e-5


@dataclass
class Config:
    gate: str  # "lower_bound" or "softplus"
    lower_bound: float = -5.0  # read by the lower_bound gate only
    n_heads_qk: int = 2
    n_heads_v: int = 2
    head_dim: int = 128
    d_model: int = 256
    n_layers: int = 4
    d_mlp: int = 384
    gate_rank: int = 128
    conv_width: int = 4

    def as_dict(self):
        return asdict(self)


def widen(x):
    """Undoes autocast's bf16; fp64, in which export.py evaluates, stays fp64."""
    return x if x.dtype == torch.float64 else x.float()


def linear(inputs, outputs, gain=1.0):
    layer = nn.Linear(inputs, outputs, bias=False)
    nn.init.normal_(layer.weight, std=gain * inputs**-0.5)
    return layer


class RmsNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return F.rms_norm(widen(x), self.weight.shape, self.weight, NORM_EPS)


class ShortConv(nn.Module):
    """Causal depthwise convolution: y_t = sum_i weight[:, i] x_{t - (width - 1) + i}."""

    def __init__(self, channels, width):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, width) * width**-0.5)

    def forward(self, x):
        width = self.weight.shape[1]
        padded = F.pad(widen(x), (0, 0, width - 1, 0))
        y = padded[:, width - 1 :] * self.weight[:, width - 1]
        for i in range(width - 1):
            y = y + padded[:, i : i + x.shape[1]] * self.weight[:, i]
        return F.silu(y)


class Layer(nn.Module):
    def __init__(self, config):
        super().__init__()
        c = self.config = config
        self.exact = False  # True: the token-by-token definition without the decay floor
        width_qk, width_v = c.n_heads_qk * c.head_dim, c.n_heads_v * c.head_dim
        residual_gain = (2 * c.n_layers) ** -0.5
        self.attn_norm = RmsNorm(c.d_model)
        self.q_proj = linear(c.d_model, width_qk)
        self.k_proj = linear(c.d_model, width_qk)
        self.v_proj = linear(c.d_model, width_v)
        self.q_conv = ShortConv(width_qk, c.conv_width)
        self.k_conv = ShortConv(width_qk, c.conv_width)
        self.v_conv = ShortConv(width_v, c.conv_width)
        self.beta_proj = linear(c.d_model, c.n_heads_v)
        self.gate_down = linear(c.d_model, c.gate_rank)
        self.gate_up = linear(c.gate_rank, width_v, gain=0.5)
        a_log, dt_bias = initial_gate(c)
        self.A_log = nn.Parameter(a_log)
        self.dt_bias = nn.Parameter(dt_bias)
        self.out_gate_down = linear(c.d_model, c.gate_rank)
        self.out_gate_up = linear(c.gate_rank, width_v)
        self.out_norm = RmsNorm(c.head_dim)
        self.o_proj = linear(width_v, c.d_model, gain=residual_gain)
        self.mlp_norm = RmsNorm(c.d_model)
        self.mlp_gate = linear(c.d_model, c.d_mlp)
        self.mlp_up = linear(c.d_model, c.d_mlp)
        self.mlp_down = linear(c.d_mlp, c.d_model, gain=residual_gain)

    def kda_inputs(self, x):
        """From the normed input, what the library's prefill reads: q, k, v, g_raw, beta logits."""
        c = self.config
        heads = lambda y: widen(y.unflatten(-1, (-1, c.head_dim)))
        q = heads(self.q_conv(self.q_proj(x)))
        k = heads(self.k_conv(self.k_proj(x)))
        v = heads(self.v_conv(self.v_proj(x)))
        g_raw = heads(self.gate_up(self.gate_down(x)))
        return q, k, v, g_raw, widen(self.beta_proj(x))

    def attention(self, x):
        c = self.config
        normed = self.attn_norm(x)
        q, k, v, g_raw, beta_logits = self.kda_inputs(normed)
        with torch.autocast("cpu", enabled=False):
            q, k = kda_op.l2_normalize(q), kda_op.l2_normalize(k)
            g = kda_op.activate_gate(g_raw, self.A_log, self.dt_bias, c.gate, c.lower_bound)
            kda = kda_op.kda_recurrent if self.exact else kda_op.kda_chunked
            out = kda(q, k, v, g, torch.sigmoid(beta_logits), c.head_dim**-0.5)
        gate = torch.sigmoid(widen(self.out_gate_up(self.out_gate_down(normed))))
        return self.o_proj(self.out_norm(out).flatten(-2) * gate)

    def mlp(self, x):
        x = self.mlp_norm(x)
        return self.mlp_down(F.silu(self.mlp_gate(x)) * self.mlp_up(x))

    def forward(self, x):
        x = x + self.attention(x)
        return x + self.mlp(x)


def initial_gate(config):
    """Decays of -log a spread evenly in log scale, so channels start with many memory lengths."""
    channels = config.n_heads_v * config.head_dim
    if config.gate == "lower_bound":
        a_log = torch.zeros(config.n_heads_v)
        decay = torch.exp(torch.empty(channels).uniform_(math.log(3e-3), math.log(1.0)))
        fraction = decay / -config.lower_bound
        return a_log, torch.log(fraction) - torch.log1p(-fraction)
    a_log = torch.log(torch.empty(config.n_heads_v).uniform_(1.0, 4.0))
    decay = torch.exp(torch.empty(channels).uniform_(math.log(1e-3), math.log(0.5)))
    return a_log, torch.log(torch.expm1(decay))


class KdaLanguageModel(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(VOCAB, config.d_model)
        nn.init.normal_(self.embedding.weight, std=0.5)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.n_layers))
        self.final_norm = RmsNorm(config.d_model)
        self.lm_head = linear(config.d_model, VOCAB, gain=0.5)

    def forward(self, tokens):
        """tokens [B, T] int64 -> logits [B, T, 256]."""
        x = self.embedding(tokens)
        for layer in self.layers:
            x = layer(x)
        return widen(self.lm_head(self.final_norm(x)))
