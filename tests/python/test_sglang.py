"""SGLang's extend: positional fwd between gather and scatter as its FlashKDA backend does it, against
the pool in place; intermediate states at every 64 tokens."""

import pytest
import torch

import flash_kda
from flash_kda.integrations import sglang
from helpers import error, limit, randn

H, D = 2, 128
STARTS = [0, 130, 131, 331]


@pytest.fixture
def batch():
    torch.manual_seed(0)
    T = STARTS[-1]
    inputs = [randn(1, T, H, D, dtype=torch.bfloat16) for _ in range(4)]
    return {"inputs": inputs, "beta": randn(1, T, H, dtype=torch.bfloat16), "pool": randn(8, H, D, D),
            "A_log": torch.rand(1, 1, H, 1), "dt_bias": torch.rand(H * D),
            "slots": torch.tensor([6, 1, 3], dtype=torch.int32)}


def extend(batch, **options):
    return sglang.extend(*batch["inputs"], batch["beta"], ssm_states=batch["pool"],
                         cache_indices=batch["slots"], A_log=batch["A_log"], dt_bias=batch["dt_bias"],
                         query_start_loc=torch.tensor(STARTS, dtype=torch.int32), lower_bound=-5.0,
                         **options)


def test_gather_call_scatter_against_the_pool_in_place(batch):
    pool, slots = batch["pool"].clone(), batch["slots"].long()
    initial, out = pool[slots].contiguous(), torch.empty_like(batch["inputs"][2])
    final = torch.empty_like(initial)
    flash_kda.fwd(*batch["inputs"], batch["beta"], D**-0.5, out, batch["A_log"].reshape(-1).float(),
                  batch["dt_bias"].view(H, D), -5.0, initial, final, torch.tensor(STARTS))
    pool[slots] = final
    assert torch.equal(extend(batch), out)
    assert torch.equal(batch["pool"], pool)


def test_padding_slots_are_neither_read_nor_written(batch):
    before = batch["pool"].clone()
    batch["slots"][1] = -1
    extend(batch)
    unchanged = [0, 1, 2, 4, 5, 7]
    assert torch.equal(batch["pool"][unchanged], before[unchanged])


def test_intermediate_states(batch):
    expected = []
    for n, (begin, end) in enumerate(zip(STARTS, STARTS[1:])):
        state = batch["pool"][batch["slots"][n].item()].unsqueeze(0)
        for at in range(begin, end - 63, 64):
            part = [x[:, at:at + 64] for x in (*batch["inputs"], batch["beta"])]
            state = flash_kda.prefill(*part, A_log=batch["A_log"], dt_bias=batch["dt_bias"],
                                      initial_state=state, final_state=True).final_state
            expected.append(state[0])
    out, states = extend(batch, return_intermediate_states=True)
    assert states.shape == (2 + 0 + 3, H, D, D)
    assert error(states, torch.stack(expected)) <= limit(torch.float32)


def test_activated_beta_needs_no_logit(batch):
    raw_pool = batch["pool"].clone()
    raw = extend(batch)
    batch["pool"].copy_(raw_pool)
    batch["beta"] = torch.sigmoid(batch["beta"].float())
    assert error(extend(batch, beta_is_raw=False), raw) <= limit(torch.bfloat16)
