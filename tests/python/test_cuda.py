"""CUDA tensors: right, on the current stream and device, without a wait, in a graph."""

import pytest
import torch

import flash_kda
from helpers import error, gate_parameters, make_inputs, randn

has_gpu = torch.cuda.is_available() and "cuda" in flash_kda.build_info()
pytestmark = pytest.mark.skipif(not has_gpu, reason="needs a GPU and a build with the CUDA backend")

# Relative RMS: tensor cores multiply bf16 (docs/numerics.md, 4e-3) and the output rounds to bf16.
LIMIT = 4e-3 + 2.0**-9
CU_SEQLENS = [0, 17, 17, 300, 513]


def on_gpu(values):
    return {name: x.cuda() if isinstance(x, torch.Tensor) else x for name, x in values.items()}


def host_and_device(inputs, **options):
    """The fp64 reference on the CPU, and the GPU's result."""
    expected = flash_kda.prefill(**inputs, **options, backend="reference")
    return expected, flash_kda.prefill(**on_gpu(inputs), **on_gpu(options))


@pytest.mark.parametrize("H, HV, D", [(2, 2, 128), (2, 4, 128), (3, 3, 64)])
@pytest.mark.parametrize("T", [1, 16, 65, 1000])
def test_dense(H, HV, D, T):
    inputs = make_inputs(B=2, T=T, H=H, HV=HV, K=D, V=D)
    expected, got = host_and_device(inputs, initial_state=randn(2, HV, D, D), final_state=True,
                                    **gate_parameters(HV, D))
    assert got.out.is_cuda and got.final_state.is_cuda
    assert error(got.out.cpu(), expected.out) <= LIMIT
    assert error(got.final_state.cpu(), expected.final_state) <= LIMIT


@pytest.mark.parametrize("options", [{"gate": "softplus"}, {"neg_eigval": True}, {"lower_bound": None},
                                     {"cuts": "exact"}, {"multiprocessors": 1}, {"v_panel": 128}])
def test_options(options):
    expected, got = host_and_device(make_inputs(T=200, K=128, V=128), **gate_parameters(2, 128), **options)
    assert error(got.out.cpu(), expected.out) <= LIMIT


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_packed_pool_and_checkpoints(dtype):
    inputs = make_inputs(T=513, K=128, V=128)
    pool = randn(9, 2, 128, 128)
    options = {"cu_seqlens": torch.tensor(CU_SEQLENS, dtype=dtype),
               "state_indices": torch.tensor([7, 2, -1, 0], dtype=dtype),
               "has_initial_state": torch.tensor([True, True, True, False]),
               "checkpoint_offsets": torch.tensor([[16, 0], [0, 0], [64, 100], [208, 5]], dtype=dtype),
               **gate_parameters(2, 128)}
    pools = [pool.clone(), pool.cuda()]
    expected = flash_kda.prefill(**inputs, **options, state_pool=pools[0], backend="reference",
                                 checkpoints=torch.zeros(4, 2, 2, 128, 128))
    got = flash_kda.prefill(**on_gpu(inputs), **on_gpu(options), state_pool=pools[1],
                            checkpoints=torch.zeros(4, 2, 2, 128, 128, device="cuda"))
    assert error(got.out.cpu(), expected.out) <= LIMIT
    assert error(pools[1].cpu(), pools[0]) <= LIMIT
    assert error(got.checkpoints.cpu(), expected.checkpoints) <= LIMIT


def test_the_published_call_and_nn_parameters():
    inputs = on_gpu(make_inputs(T=100, K=128, V=128))
    A_log, dt_bias = (torch.nn.Parameter(x.cuda()) for x in gate_parameters(2, 128).values())
    out, final = torch.empty_like(inputs["v"]), torch.empty(1, 2, 128, 128, device="cuda")
    assert flash_kda.fwd(*inputs.values(), 128**-0.5, out, A_log, dt_bias, -5.0, final_state=final) is None
    again = flash_kda.prefill(**inputs, A_log=A_log, dt_bias=dt_bias, final_state=True)
    assert torch.equal(out, again.out) and torch.equal(final, again.final_state)


def test_it_runs_on_the_current_stream_and_does_not_wait():
    inputs = on_gpu(make_inputs(T=256, K=128, V=128))
    expected = flash_kda.prefill(**inputs).out
    late = torch.zeros_like(inputs["q"])
    stream = torch.cuda.Stream()
    torch.cuda.synchronize()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(int(2e8))  # about 0.1 s: the call must return long before
        late.copy_(inputs["q"])      # and must read q after this copy
        got = flash_kda.prefill(**{**inputs, "q": late}).out
        assert not stream.query(), "the call waited for its stream"
    stream.synchronize()
    assert torch.equal(got, expected)


def test_cuda_graph():
    inputs, parameters = on_gpu(make_inputs(T=256, K=128, V=128)), on_gpu(gate_parameters(2, 128))
    cu_seqlens = torch.tensor([0, 100, 256], device="cuda")
    pool = randn(4, 2, 128, 128).cuda()
    slots = torch.tensor([3, 1], device="cuda")

    def call():
        return flash_kda.prefill(**inputs, **parameters, cu_seqlens=cu_seqlens, state_pool=pool,
                                 state_indices=slots).out

    start = pool.clone()
    call()  # plans and loads kernels
    graph = torch.cuda.CUDAGraph()
    pool.copy_(start)
    with torch.cuda.graph(graph):
        captured = call()
    for step in range(2):  # new data in the same memory, another division of the tokens
        inputs["v"].copy_(torch.randn_like(inputs["v"]))
        cu_seqlens.copy_(torch.tensor([0, 30 + step, 256]))
        pool.copy_(start)
        graph.replay()
        replayed, replayed_pool = captured.clone(), pool.clone()
        pool.copy_(start)
        assert torch.equal(replayed, call()) and torch.equal(replayed_pool, pool)


def test_workspace_of_the_caller():
    inputs = on_gpu(make_inputs(T=256, K=128, V=128))
    size = flash_kda.get_workspace_size(256, 2, device="cuda")
    for T in (256, 100, 1):
        cut = {name: x[:, :T] for name, x in inputs.items()}
        got = flash_kda.prefill(**cut, workspace=torch.empty(size, dtype=torch.uint8, device="cuda")).out
        assert torch.equal(got, flash_kda.prefill(**cut).out)
    with pytest.raises(ValueError, match="workspace: expected at least"):
        flash_kda.prefill(**inputs, workspace=torch.empty(64, dtype=torch.uint8, device="cuda"))


def test_mixed_devices_are_refused():
    inputs = on_gpu(make_inputs(K=128, V=128))
    with pytest.raises(ValueError, match="k: expected on the device of q"):
        flash_kda.prefill(**{**inputs, "k": inputs["k"].cpu()})
    with pytest.raises(ValueError, match="backend: does not match"):
        flash_kda.prefill(**inputs, backend="cpu")
    ok, reason = flash_kda.supports(**{name: x.float() for name, x in inputs.items()})
    assert not ok and "bf16" in reason


def test_operator_and_compile():
    inputs, parameters = on_gpu(make_inputs(K=128, V=128)), on_gpu(gate_parameters(2, 128))
    expected = flash_kda.prefill(**inputs, **parameters, final_state=True)
    torch.library.opcheck(torch.ops.flash_kda.prefill.default, tuple(inputs.values()), parameters)
    compiled = torch.compile(lambda: flash_kda.prefill(**inputs, **parameters).out, fullgraph=True)
    assert torch.equal(compiled(), expected.out)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_the_device_of_the_tensors_not_the_current_one():
    inputs = on_gpu(make_inputs(K=128, V=128))
    with torch.cuda.device(1):
        got = flash_kda.prefill(**inputs).out
    assert torch.equal(got, flash_kda.prefill(**inputs).out)
