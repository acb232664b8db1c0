"""vLLM's call of torch.ops._flashkda_C (its KDA layer): strided beta, int32 cu_seqlens, a shared
workspace, checkpoints, gather before and scatter after; and the pool arguments that replace both."""

import pytest
import torch

import flash_kda
from flash_kda.integrations import vllm
from helpers import randn

H, D = 3, 128
LENGTHS = [5, 130, 64, 1]
CU_SEQLENS = torch.tensor([0, 5, 135, 199, 200], dtype=torch.int32)


@pytest.fixture(scope="module", autouse=True)
def registered():
    assert vllm.register()
    assert vllm.register()  # again: nothing to do


@pytest.fixture
def layer():
    """What the layer holds when it calls: projections are slices of one padded buffer."""
    torch.manual_seed(0)
    T = sum(LENGTHS)
    projected = randn(T, 4 * H * D + H + 5, dtype=torch.bfloat16)
    q, k, v, g = (projected[:, i * H * D:(i + 1) * H * D].reshape(1, T, H, D) for i in range(4))
    beta = projected[:, 4 * H * D:4 * H * D + H].unsqueeze(0)
    assert not beta.is_contiguous()
    return {"q": q, "k": k, "v": v, "g": g, "beta": beta, "A_log": torch.rand(H),
            "dt_bias": torch.rand(H * D), "pool": randn(9, H, D, D),
            "indices": torch.tensor([4, 0, 7, 2]),
            "has_initial_state": torch.tensor([True, False, True, True])}


def call_as_vllm(layer, checkpoint_state=None, checkpoint_offsets=None):
    pool, indices = layer["pool"], layer["indices"]
    initial = pool[indices]
    initial[~layer["has_initial_state"]] = 0
    T, N = layer["q"].shape[1], len(indices)
    size = torch.ops._flashkda_C.get_workspace_size(T, H, N)
    workspace = torch.empty(size, dtype=torch.uint8)
    final = torch.empty(N, H, D, D)
    buffer = torch.zeros(T + 8, H * D, dtype=torch.bfloat16)
    out = buffer[:T].view(1, T, H, D)
    torch.ops._flashkda_C.fwd(
        layer["q"], layer["k"], layer["v"], layer["g"], layer["beta"], D**-0.5, out, workspace,
        layer["A_log"], layer["dt_bias"], -5.0, initial, final, CU_SEQLENS, checkpoint_state,
        checkpoint_offsets)
    pool[indices] = final
    assert buffer[T:].count_nonzero() == 0
    return out


@pytest.mark.parametrize("columns", [None, 2])
def test_the_layers_call(layer, columns):
    expected = flash_kda.prefill(
        layer["q"], layer["k"], layer["v"], layer["g"], layer["beta"].contiguous(),
        A_log=layer["A_log"], dt_bias=layer["dt_bias"], cu_seqlens=CU_SEQLENS, final_state=True,
        initial_state=layer["pool"][layer["indices"]], backend="reference",
        has_initial_state=layer["has_initial_state"])
    offsets = torch.tensor([[0, 0], [128, 64], [48, -1], [0, 0]], dtype=torch.int32)
    offsets = offsets[:, 0].contiguous() if columns is None else offsets
    checkpoints = torch.zeros(*offsets.shape, H, D, D)
    out = call_as_vllm(layer, checkpoints, offsets)
    torch.testing.assert_close(out.float(), expected.out.float(), rtol=2**-7, atol=1e-4)
    torch.testing.assert_close(layer["pool"][layer["indices"]], expected.final_state, rtol=1e-3, atol=1e-4)
    # Sequence 1, 130 tokens: the state at its last full block of 64.
    prefix = {name: layer[name][:, 5:5 + 128] for name in ("q", "k", "v", "g", "beta")}
    at_128 = flash_kda.prefill(**prefix, A_log=layer["A_log"], dt_bias=layer["dt_bias"],
                               cu_seqlens=torch.tensor([0, 128]), final_state=True).final_state
    assert torch.equal(checkpoints[1].reshape(-1, H, D, D)[0], at_128[0])


def test_the_pool_makes_gather_and_scatter_unnecessary(layer):
    pool = layer["pool"].clone()
    out = torch.empty_like(layer["v"])
    flash_kda.fwd(layer["q"], layer["k"], layer["v"], layer["g"], layer["beta"], D**-0.5, out,
                  layer["A_log"], layer["dt_bias"], -5.0, cu_seqlens=CU_SEQLENS, state_pool=pool,
                  state_indices=layer["indices"], has_initial_state=layer["has_initial_state"])
    assert torch.equal(out, call_as_vllm(layer))
    assert torch.equal(pool, layer["pool"])


def test_compile(layer):
    def call(q, out, workspace, final):
        torch.ops._flashkda_C.fwd(q, layer["k"], layer["v"], layer["g"], layer["beta"], D**-0.5, out,
                                  workspace, layer["A_log"], layer["dt_bias"], -5.0, None, final,
                                  CU_SEQLENS)
        return out * 2

    torch._dynamo.reset()
    workspace = torch.empty(flash_kda.get_workspace_size(200, H, 4), dtype=torch.uint8)
    buffers = [(torch.empty_like(layer["v"]), workspace, torch.empty(4, H, D, D)) for _ in range(2)]
    got = torch.compile(call, fullgraph=True, backend="aot_eager")(layer["q"], *buffers[0])
    assert torch.equal(got, call(layer["q"], *buffers[1]))
    assert torch.equal(buffers[0][2], buffers[1][2])


def test_a_workspace_that_is_too_small_is_refused(layer):
    with pytest.raises(ValueError, match="workspace: expected at least"):
        torch.ops._flashkda_C.fwd(
            layer["q"], layer["k"], layer["v"], layer["g"], layer["beta"], 1.0,
            torch.empty_like(layer["v"]), torch.empty(100, dtype=torch.uint8), layer["A_log"],
            layer["dt_bias"], -5.0, None, None, CU_SEQLENS)
