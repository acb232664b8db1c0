"""What a serving engine does: sequences packed, states in a pool updated in place, and checkpoints at
block boundaries that a prefix cache can keep."""

import torch

import flash_kda

H, D, slots = 4, 128, 16
lengths = [300, 17, 130]
T = sum(lengths)
q, k, v, g = (torch.randn(1, T, H, D).bfloat16() for _ in range(4))
beta = torch.randn(1, T, H).bfloat16()
parameters = {"A_log": torch.rand(H), "dt_bias": torch.rand(H, D)}

pool = torch.zeros(slots, H, D, D)  # [slots, HV, V, K]
state_indices = torch.tensor([3, 11, 7])  # where each sequence's state lives
is_continued = torch.tensor([False, True, False])  # the others start from zero, whatever is in the slot
cu_seqlens = torch.tensor([0, *lengths]).cumsum(0).to(torch.int32)

# The last multiple of 64 of each sequence, 0 where there is none.
block_ends = torch.tensor([length // 64 * 64 for length in lengths])
result = flash_kda.prefill(q, k, v, g, beta, **parameters, cu_seqlens=cu_seqlens, state_pool=pool,
                           state_indices=state_indices, has_initial_state=is_continued,
                           checkpoint_offsets=block_ends)

used = sorted({slot for slot in range(slots) if pool[slot].count_nonzero()})
print("slots written:", used)

# A request that shares the first 256 tokens of sequence 0 starts from its checkpoint.
rest = [x[:, 256:300] for x in (q, k, v, g, beta)]
cached = flash_kda.prefill(*rest, **parameters, initial_state=result.checkpoints[:1])
difference = (cached.out.float() - result.out[:, 256:300].float()).norm() / cached.out.float().norm()
print(f"from the checkpoint against the whole prompt: relative difference {difference:.1e}")
assert used == sorted(state_indices.tolist()) and difference < 2e-3
