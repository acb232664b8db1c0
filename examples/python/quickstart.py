"""Prefill a prompt, then decode token by token from the state it left."""

import torch

import flash_kda

B, T, H, D = 1, 1000, 4, 128
q, k, v, g = (torch.randn(B, T, H, D).bfloat16() for _ in range(4))  # g: gate logits
beta = torch.randn(B, T, H).bfloat16()  # logits too
A_log, dt_bias = torch.rand(H), torch.rand(H, D)

prompt = flash_kda.prefill(q, k, v, g, beta, A_log=A_log, dt_bias=dt_bias, final_state=True)
print("output", tuple(prompt.out.shape), "state", tuple(prompt.final_state.shape))

state = prompt.final_state
for t in range(3):  # T = 1 is a decode step; the state is updated in place
    step = flash_kda.prefill(*(x[:, t:t + 1] for x in (q, k, v, g, beta)), A_log=A_log,
                             dt_bias=dt_bias, initial_state=state, final_state=state)
print("plan:", flash_kda.describe(q, k, v, g, beta, A_log=A_log, dt_bias=dt_bias))
