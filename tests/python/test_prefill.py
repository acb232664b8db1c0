"""prefill and fwd on CPU tensors against the fp64 reference backend."""

import pytest
import torch

import flash_kda
from helpers import check_against_reference, error, gate_parameters, limit, make_inputs, randn

CU_SEQLENS = [0, 17, 17, 64, 65]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_types(dtype, precision):
    gate_dtype = torch.float32 if dtype == torch.float16 else dtype
    inputs = make_inputs(B=2, dtype=dtype, gate_dtype=gate_dtype)
    check_against_reference(inputs, precision=precision, **gate_parameters())


@pytest.mark.parametrize("H, HV, K, V", [(1, 1, 128, 128), (2, 4, 64, 32), (3, 3, 60, 100),
                                         (1, 2, 256, 256)])
def test_shapes(H, HV, K, V):
    inputs = make_inputs(T=130, H=H, HV=HV, K=K, V=V)
    check_against_reference(inputs, **gate_parameters(HV, K))


@pytest.mark.parametrize("T", [1, 2, 15, 16, 63, 64, 200])
def test_lengths(T):
    check_against_reference(make_inputs(B=2, T=T), **gate_parameters())


def test_gates():
    inputs = make_inputs(dtype=torch.float32)
    parameters = gate_parameters()
    check_against_reference(inputs, gate="softplus", **parameters)
    check_against_reference(inputs, gate="lower_bound", lower_bound=-1.5, **parameters)
    check_against_reference(inputs, gate="lower_bound")  # A_log and dt_bias absent: 0
    inputs["g"] = -inputs["g"].abs()
    check_against_reference(inputs, gate="log")


def test_lower_bound_none_is_the_softplus_gate():
    inputs, parameters = make_inputs(), gate_parameters()
    a, b = torch.empty_like(inputs["v"]), torch.empty_like(inputs["v"])
    flash_kda.fwd(*inputs.values(), 1.0, a, parameters["A_log"], parameters["dt_bias"], None)
    flash_kda.fwd(*inputs.values(), 1.0, b, parameters["A_log"], parameters["dt_bias"], -5.0,
                  gate="softplus")
    assert torch.equal(a, b)


def test_beta_and_norm_options():
    inputs = make_inputs(dtype=torch.float32)
    logits = check_against_reference(inputs)
    doubled = check_against_reference(inputs, neg_eigval=True)
    assert error(doubled.out, logits.out) > 0.01
    inputs["beta"] = torch.sigmoid(inputs["beta"])
    activated = check_against_reference(inputs, beta_form="activated")
    assert error(activated.out, logits.out) < limit(torch.float32)
    for name in "qk":
        inputs[name] = torch.nn.functional.normalize(inputs[name], dim=-1)
    check_against_reference(inputs, beta_form="activated", qk_l2norm=False, scale=0.25)


@pytest.mark.parametrize("index_dtype", [torch.int32, torch.int64])
@pytest.mark.parametrize("state_dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("state_layout", ["vk", "kv"])
def test_packed_with_states(index_dtype, state_dtype, state_layout):
    inputs = make_inputs(K=64, V=32)
    shape = (4, 2, 32, 64) if state_layout == "vk" else (4, 2, 64, 32)
    got = check_against_reference(
        inputs, cu_seqlens=torch.tensor(CU_SEQLENS, dtype=index_dtype), state_layout=state_layout,
        initial_state=randn(*shape, dtype=state_dtype), **gate_parameters())
    assert got.final_state.dtype == state_dtype and got.final_state.shape == shape


def test_packed_equals_one_by_one():
    inputs, parameters = make_inputs(), gate_parameters()
    packed = flash_kda.prefill(**inputs, **parameters, cu_seqlens=torch.tensor(CU_SEQLENS),
                               final_state=True)
    for n, (begin, end) in enumerate(zip(CU_SEQLENS, CU_SEQLENS[1:])):
        if begin == end:
            assert packed.final_state[n].count_nonzero() == 0
            continue
        alone = flash_kda.prefill(**{name: x[:, begin:end] for name, x in inputs.items()},
                                  **parameters, final_state=True)
        assert error(packed.out[:, begin:end], alone.out) <= limit(torch.bfloat16)
        assert error(packed.final_state[n], alone.final_state[0]) <= limit(torch.float32)


def test_rows_past_the_last_sequence_stay_untouched():
    inputs = make_inputs(T=80)
    out = torch.full_like(inputs["v"], 7.0)
    flash_kda.prefill(**inputs, out=out, cu_seqlens=torch.tensor(CU_SEQLENS))
    assert (out[:, CU_SEQLENS[-1]:] == 7.0).all() and (out[:, :CU_SEQLENS[-1]] != 7.0).all()


def test_pool_in_place():
    inputs, parameters = make_inputs(), gate_parameters()
    pool = randn(9, 3, 64, 64)[:, :2]  # a slot pitch of three heads, two of them ours
    slots = torch.tensor([7, 2, -1, 0], dtype=torch.int32)
    has_initial = torch.tensor([True, True, True, False])
    initial = torch.stack([pool[7], pool[2], torch.zeros(2, 64, 64), torch.zeros(2, 64, 64)])
    dense = flash_kda.prefill(**inputs, **parameters, cu_seqlens=torch.tensor(CU_SEQLENS),
                              initial_state=initial, final_state=True)
    before = pool.clone()
    pooled = flash_kda.prefill(**inputs, **parameters, cu_seqlens=torch.tensor(CU_SEQLENS),
                               state_pool=pool, state_indices=slots, has_initial_state=has_initial)
    assert torch.equal(pooled.out, dense.out)
    assert torch.equal(pool[slots[[0, 1, 3]].long()], dense.final_state[[0, 1, 3]])
    untouched = [1, 3, 4, 5, 6, 8]
    assert torch.equal(pool[untouched], before[untouched])


def test_initial_and_final_state_may_be_one_tensor():
    inputs = make_inputs()
    state = randn(1, 2, 64, 64)
    apart = flash_kda.prefill(**inputs, initial_state=state, final_state=True)
    together = flash_kda.prefill(**inputs, initial_state=state, final_state=state)
    assert together.final_state is state and torch.equal(state, apart.final_state)


def test_checkpoints_every_n_tokens():
    inputs = make_inputs(T=100)
    cu_seqlens = torch.tensor([0, 40, 40, 100])
    got = check_against_reference(inputs, cu_seqlens=cu_seqlens, checkpoint_every=16)
    assert got.checkpoints.shape[0] == 2 + 0 + 3
    fixed = check_against_reference(make_inputs(B=2, T=100), checkpoint_every=32)
    assert fixed.checkpoints.shape[0] == 2 * 3


@pytest.mark.parametrize("columns", [None, 2])
def test_checkpoints_at_offsets_are_final_states_of_prefixes(columns):
    inputs = make_inputs(T=100)
    cu_seqlens = torch.tensor([0, 40, 100], dtype=torch.int32)
    offsets = torch.tensor([[16, 33], [48, 0]], dtype=torch.int32)
    offsets = offsets[:, 0].contiguous() if columns is None else offsets
    checkpoints = torch.zeros(*offsets.shape, 2, 64, 64)
    flash_kda.prefill(**inputs, cu_seqlens=cu_seqlens, checkpoint_offsets=offsets,
                      checkpoints=checkpoints)
    for n, begin in enumerate([0, 40]):
        row = offsets[n].reshape(-1)
        states = checkpoints[n].reshape(-1, 2, 64, 64)
        for offset, state in zip(row.tolist(), states):
            if offset <= 0:
                assert state.count_nonzero() == 0
                continue
            prefix = {name: x[:, begin:begin + offset] for name, x in inputs.items()}
            expected = flash_kda.prefill(**prefix, final_state=True,
                                         cu_seqlens=torch.tensor([0, offset])).final_state[0]
            assert torch.equal(state, expected)


@pytest.mark.parametrize("columns", [None, 2])
def test_checkpoints_into_a_pool(columns):
    inputs = make_inputs(T=100)
    cu_seqlens = torch.tensor([0, 40, 100])
    offsets = torch.tensor([[16, 33], [48, 60]])
    slots = torch.tensor([[3, -1], [0, 4]])
    if columns is None:
        offsets, slots = offsets[:, 0].contiguous(), slots[:, 0].contiguous()
    dense = flash_kda.prefill(**inputs, cu_seqlens=cu_seqlens, checkpoint_offsets=offsets)
    pool = torch.zeros(6, 2, 64, 64)
    flash_kda.prefill(**inputs, cu_seqlens=cu_seqlens, checkpoint_offsets=offsets, checkpoints=pool,
                      checkpoint_slots=slots)
    used = slots >= 0
    assert torch.equal(pool[slots[used]], dense.checkpoints[used])
    assert pool[[1, 2, 5]].count_nonzero() == 0


def test_strided_tensors():
    B, T, H, D = 2, 50, 2, 64
    torch.manual_seed(0)
    fused = randn(B, T, 4 * H * D + 24, dtype=torch.bfloat16)  # a fused projection with a ragged tail
    q, k, v, g = (fused[..., i * H * D:(i + 1) * H * D].unflatten(-1, (H, D)) for i in range(4))
    beta = fused[..., -20:-20 + H]
    strided = {"q": q, "k": k, "v": v, "g": g, "beta": beta}
    plain = {name: x.contiguous() for name, x in strided.items()}
    wide = torch.zeros(B, T, 3 * H * D, dtype=torch.bfloat16)
    out = wide[..., H * D:2 * H * D].unflatten(-1, (H, D))
    flash_kda.prefill(**strided, out=out)
    assert torch.equal(out, flash_kda.prefill(**plain).out)
    assert wide[..., :H * D].count_nonzero() == 0 and wide[..., 2 * H * D:].count_nonzero() == 0
    head_first = {name: plain[name].transpose(1, 2).contiguous().transpose(1, 2) for name in "qkvg"}
    assert torch.equal(flash_kda.prefill(**head_first, beta=plain["beta"]).out, out)


def test_parameters_of_any_shape_and_nn_parameters():
    inputs, parameters = make_inputs(), gate_parameters()
    expected = flash_kda.prefill(**inputs, **parameters).out
    padded = torch.nn.Parameter(torch.cat([parameters["A_log"], torch.zeros(126)]))
    got = flash_kda.prefill(**inputs, A_log=padded,
                            dt_bias=torch.nn.Parameter(parameters["dt_bias"].flatten())).out
    assert torch.equal(got, expected)
    old = parameters["A_log"].reshape(1, 1, 2, 1)
    assert torch.equal(flash_kda.prefill(**inputs, A_log=old, dt_bias=parameters["dt_bias"]).out,
                       expected)


def test_decode_continues_prefill():
    inputs = make_inputs(T=40)
    whole = flash_kda.prefill(**inputs, final_state=True)
    state = flash_kda.prefill(**{name: x[:, :30] for name, x in inputs.items()},
                              final_state=True).final_state
    for t in range(30, 40):
        step = flash_kda.prefill(**{name: x[:, t:t + 1] for name, x in inputs.items()},
                                 initial_state=state, final_state=state)
        assert error(step.out, whole.out[:, t:t + 1]) <= limit(torch.bfloat16)
    assert error(state, whole.final_state) <= limit(torch.float32)


def test_threads_do_not_change_the_bits():
    inputs = make_inputs(B=2, T=300, H=4)
    outs = [flash_kda.prefill(**inputs, threads=threads).out for threads in (None, 0, 1, 2, 3)]
    assert all(torch.equal(out, outs[0]) for out in outs)


def test_a_workspace_of_the_caller():
    inputs = make_inputs(T=200)
    size = flash_kda.get_workspace_size(200, 2, K=64, V=64, device="cpu")
    for shift in (0, 1, 63):
        memory = torch.full((size + 64,), 0xff, dtype=torch.uint8)
        got = flash_kda.prefill(**inputs, workspace=memory[shift:shift + size]).out
        assert torch.equal(got, flash_kda.prefill(**inputs).out)
        assert (memory[shift + size:] == 0xff).all() and (memory[:shift] == 0xff).all()


def test_calls_from_many_threads():
    from concurrent.futures import ThreadPoolExecutor
    inputs = [make_inputs(T=64 + n, seed=n) for n in range(8)]
    expected = [flash_kda.prefill(**i).out for i in inputs]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            got = list(pool.map(lambda i: flash_kda.prefill(**{k: x.detach() for k, x in i.items()}).out,
                                inputs))
            assert all(torch.equal(a, b) for a, b in zip(got, expected))


def test_the_environment_may_choose_the_reference(monkeypatch):
    inputs = make_inputs()
    assert flash_kda.describe(**inputs).startswith("cpu")
    for name, expected in (("reference", "reference"), ("cpu", "cpu"), ("cuda", "cpu"), ("", "cpu")):
        monkeypatch.setenv("FLASH_KDA_BACKEND", name)
        assert flash_kda.describe(**inputs).startswith(expected)
    monkeypatch.setenv("FLASH_KDA_BACKEND", "abacus")
    with pytest.raises(ValueError, match="FLASH_KDA_BACKEND: expected reference, cpu or cuda"):
        flash_kda.prefill(**inputs)


def test_empty_calls():
    for shape in ({"B": 0}, {"T": 0}):
        result = flash_kda.prefill(**make_inputs(**shape), final_state=True)
        assert result.out.numel() == 0
    none = flash_kda.prefill(**make_inputs(T=5), cu_seqlens=torch.tensor([0]), final_state=True)
    assert none.final_state.shape[0] == 0
