"""torch.ops.flash_kda: opcheck, torch.compile without graph breaks, gradients."""

import pytest
import torch

import flash_kda
import flash_kda.torch_ops  # noqa: F401
from helpers import gate_parameters, make_inputs, randn

CU_SEQLENS = torch.tensor([0, 17, 65])


def fwd_samples():
    inputs, parameters = make_inputs(), gate_parameters()
    base = (*inputs.values(), 0.1, torch.empty_like(inputs["v"]), *parameters.values(), -5.0)
    yield base, {}
    yield base + (randn(2, 2, 64, 64), torch.empty(2, 2, 64, 64), CU_SEQLENS), {
        "checkpoint_state": torch.empty(2, 2, 64, 64),
        "checkpoint_offsets": torch.tensor([16, 32])}
    yield base, {"cu_seqlens": CU_SEQLENS, "state_pool": randn(5, 2, 64, 64),
                 "state_indices": torch.tensor([4, 1]), "has_initial_state": torch.tensor([True, False]),
                 "workspace": torch.empty(flash_kda.get_workspace_size(65, 2, 2, K=64, V=64),
                                          dtype=torch.uint8)}


@pytest.mark.parametrize("sample", range(3))
def test_opcheck_fwd(sample):
    args, options = list(fwd_samples())[sample]
    torch.library.opcheck(torch.ops.flash_kda.fwd.default, args, options)


@pytest.mark.parametrize("options", [{}, {"cu_seqlens": CU_SEQLENS}, {"state_layout": "kv"},
                                     {"cuts": "exact", "multiprocessors": 4, "v_panel": 64}])
def test_opcheck_prefill(options):
    inputs = make_inputs(K=64, V=32)
    torch.library.opcheck(torch.ops.flash_kda.prefill.default, tuple(inputs.values()),
                          {**gate_parameters(), **options})


def test_operators_equal_the_direct_calls():
    inputs, parameters = make_inputs(), gate_parameters()
    direct = flash_kda.prefill(**inputs, **parameters, final_state=True)
    out, state = torch.ops.flash_kda.prefill(*inputs.values(), **parameters)
    assert torch.equal(out, direct.out) and torch.equal(state, direct.final_state)


def compiled(function):
    torch._dynamo.reset()
    return torch.compile(function, fullgraph=True, backend="aot_eager")


def test_compile_fwd():
    inputs, parameters = make_inputs(), gate_parameters()

    def layer(q, k, v, g, beta, state):
        out = torch.empty_like(v)
        flash_kda.fwd(q * 2, k, v, g, beta, None, out, parameters["A_log"], parameters["dt_bias"],
                      -5.0, initial_state=state, final_state=state)
        return out + 1

    states = [randn(1, 2, 64, 64, seed=3) for _ in range(2)]
    eager = layer(*inputs.values(), states[0])
    assert torch.equal(compiled(layer)(*inputs.values(), states[1]), eager)
    assert torch.equal(states[0], states[1])


def test_compile_prefill_with_a_pool():
    inputs, parameters = make_inputs(), gate_parameters()

    def layer(q, k, v, g, beta, pool, slots, cu_seqlens):
        result = flash_kda.prefill(q, k, v, g, beta, **parameters, cu_seqlens=cu_seqlens,
                                   state_pool=pool, state_indices=slots, checkpoint_offsets=slots)
        return result.out * 2, result.checkpoints

    pools = [randn(9, 2, 64, 64, seed=4) for _ in range(2)]
    slots = torch.tensor([7, 2])
    eager = layer(*inputs.values(), pools[0], slots, CU_SEQLENS)
    got = compiled(layer)(*inputs.values(), pools[1], slots, CU_SEQLENS)
    assert torch.equal(got[0], eager[0]) and torch.equal(pools[0], pools[1])
    assert torch.equal(got[1][0], eager[1][0])


def test_compile_with_inductor_and_dynamic_lengths():
    parameters = gate_parameters()

    def layer(q, k, v, g, beta):
        out, state = torch.ops.flash_kda.prefill(q, k, v, g, beta, **parameters)
        return out.float() + 1, state

    torch._dynamo.reset()
    function = torch.compile(layer, fullgraph=True, dynamic=True)
    for T in (65, 40):
        inputs = make_inputs(T=T)
        for got, expected in zip(function(*inputs.values()), layer(*inputs.values())):
            assert torch.equal(got, expected)


@pytest.mark.parametrize("name", ["q", "beta", "A_log"])
@pytest.mark.parametrize("call", ["fwd", "prefill", "operator", "compiled"])
def test_gradients_are_refused(name, call):
    arguments = {**make_inputs(), **gate_parameters()}
    arguments[name].requires_grad_()
    calls = {
        "fwd": lambda **a: flash_kda.fwd(scale=None, out=torch.empty_like(a["v"].detach()),
                                         lower_bound=-5.0, **a),
        "prefill": flash_kda.prefill,
        "operator": torch.ops.flash_kda.prefill,
        "compiled": lambda **a: compiled(lambda: flash_kda.prefill(**a).out)()}
    with torch.enable_grad(), pytest.raises(Exception, match=f"{name}: requires grad.*no_grad") as caught:
        calls[call](**arguments)
    if call != "compiled":
        assert caught.type is ValueError
    ok, reason = flash_kda.supports(**arguments)
    assert ok, reason
    with torch.enable_grad():
        ok, reason = flash_kda.supports(**arguments)
    assert not ok and reason.startswith(f"{name}: requires grad")


def test_inference_mode():
    inputs = make_inputs()
    with torch.inference_mode():
        inside = flash_kda.prefill(**{name: x.clone() for name, x in inputs.items()}).out
    assert torch.equal(inside, flash_kda.prefill(**inputs).out)
