"""FLA's own chunk_kda finds this package and calls it, on CPU tensors."""

import pytest
import torch
from fla.ops.kda import chunk_kda

import flash_kda
from oracle import IN_KERNEL, LIMIT, VERSION, make_inputs, make_parameters, naive, relative_rms

CHECKED_BEFORE_US = "this version refuses the case before it chooses us; its Triton kernels need a GPU"


@pytest.fixture
def calls(monkeypatch):
    """Counts calls of flash_kda.fwd."""
    counted = []
    fwd = flash_kda.fwd

    # The adapter stays the caller of the real function: that is where fwd looks for allow_neg_eigval.
    monkeypatch.setattr(flash_kda._call._core, "run",
                        lambda *args, run=flash_kda._call._core.run: (counted.append(fwd), run(*args))[1])
    return counted


def test_dense(calls):
    inputs, parameters = make_inputs(B=2), make_parameters()
    state = torch.randn(2, 3, 128, 128)
    got, final = chunk_kda(**inputs, **parameters, initial_state=state, output_final_state=True, **IN_KERNEL)
    expected, expected_final = naive(**inputs, **parameters, initial_state=state)
    assert len(calls) == 1
    assert relative_rms(got, expected) <= LIMIT and relative_rms(final, expected_final) <= LIMIT


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_packed(calls, dtype):
    inputs, parameters = make_inputs(), make_parameters()
    cu_seqlens = [0, 31, 100, 150]
    got, final = chunk_kda(**inputs, **parameters, cu_seqlens=torch.tensor(cu_seqlens, dtype=dtype),
                           output_final_state=True, scale=0.3, **IN_KERNEL)
    expected, expected_final = naive(**inputs, **parameters, cu_seqlens=cu_seqlens, scale=0.3)
    assert len(calls) == 1
    assert relative_rms(got, expected) <= LIMIT and relative_rms(final, expected_final) <= LIMIT


def test_strided_inputs_and_outputs_like_them(calls):
    inputs, parameters = make_inputs(), make_parameters()
    strided = {name: x.transpose(1, 2).contiguous().transpose(1, 2) if x.dim() == 4 else x
               for name, x in inputs.items()}
    got, _ = chunk_kda(**strided, **parameters, **IN_KERNEL)
    plain, _ = chunk_kda(**inputs, **parameters, **IN_KERNEL)
    assert len(calls) == 2 and torch.equal(got, plain)


def test_inference_mode(calls):
    inputs, parameters = make_inputs(), make_parameters()
    with torch.inference_mode():
        chunk_kda(**inputs, **parameters, **IN_KERNEL)
    assert len(calls) == 1


@pytest.mark.skipif(VERSION >= (0, 6), reason=CHECKED_BEFORE_US)
def test_without_A_log_and_dt_bias(calls):
    inputs = make_inputs()
    got, _ = chunk_kda(**inputs, A_log=None, dt_bias=None, **IN_KERNEL)
    assert len(calls) == 1 and relative_rms(got, naive(**inputs)[0]) <= LIMIT


@pytest.mark.skipif(VERSION >= (0, 6), reason=CHECKED_BEFORE_US)
def test_allow_neg_eigval(calls):
    """The adapter of 0.5 drops this flag on its way to us."""
    inputs, parameters = make_inputs(), make_parameters()
    got, _ = chunk_kda(**inputs, **parameters, allow_neg_eigval=True, **IN_KERNEL)
    assert len(calls) == 1
    assert relative_rms(got, naive(**inputs, **parameters, beta_scale=2.0)[0]) <= LIMIT
    plain, _ = chunk_kda(**inputs, **parameters, **IN_KERNEL)
    assert relative_rms(plain, naive(**inputs, **parameters)[0]) <= LIMIT


@pytest.mark.parametrize("change", [{"safe_gate": False}, {"use_gate_in_kernel": False}])
def test_what_the_adapter_refuses_never_reaches_us(calls, change):
    inputs, parameters = make_inputs(), make_parameters()
    with pytest.raises(Exception):  # the Triton kernels, which find no GPU
        chunk_kda(**inputs, **parameters, **{**IN_KERNEL, **change})
    assert not calls


def test_with_gradients_it_never_reaches_us(calls):
    inputs, parameters = make_inputs(), make_parameters()
    with torch.enable_grad(), pytest.raises(Exception):
        chunk_kda(**inputs, **parameters, **IN_KERNEL)
    assert not calls
