"""A KDA layer that calls flash-linear-attention's chunk_kda. Where this package is installed, that call
runs here, on the CPU too: nothing in the model changes."""

import torch
from fla.ops.kda import chunk_kda
from torch import nn

import flash_kda


class KdaLayer(nn.Module):
    def __init__(self, hidden, heads, dim=128):
        super().__init__()
        self.heads, self.dim = heads, dim
        self.project = nn.Linear(hidden, heads * (4 * dim + 1), bias=False)
        self.output = nn.Linear(heads * dim, hidden, bias=False)
        self.A_log = nn.Parameter(torch.rand(heads))
        self.dt_bias = nn.Parameter(torch.zeros(heads * dim))

    def forward(self, x):
        *qkvg, beta = self.project(x).split([self.heads * self.dim] * 4 + [self.heads], dim=-1)
        q, k, v, g = (y.unflatten(-1, (self.heads, self.dim)) for y in qkvg)
        out, _ = chunk_kda(q, k, v, g, beta, A_log=self.A_log, dt_bias=self.dt_bias,
                           use_qk_l2norm_in_kernel=True, use_gate_in_kernel=True,
                           use_beta_sigmoid_in_kernel=True, safe_gate=True, lower_bound=-5.0,
                           state_v_first=True)
        return self.output(out.flatten(-2))


layer = KdaLayer(hidden=256, heads=2)
layer.project.bfloat16()
layer.output.bfloat16()
with torch.no_grad():
    y = layer(torch.randn(2, 300, 256).bfloat16())
print("out of the layer:", tuple(y.shape), "by", flash_kda.build_info())
