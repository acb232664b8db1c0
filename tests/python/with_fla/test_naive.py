"""flash_kda against FLA's naive_recurrent_kda and its two naive gates."""

import pytest
import torch

import flash_kda
from oracle import LIMIT, make_inputs, make_parameters, naive, relative_rms


@pytest.mark.parametrize("lower_bound", [-5.0, -1.0, None])
@pytest.mark.parametrize("H, HV, D", [(3, 3, 128), (2, 4, 64)])
def test_gates_and_grouped_heads(lower_bound, H, HV, D):
    inputs, parameters = make_inputs(B=2, H=H, HV=HV, D=D), make_parameters(HV, D)
    state = torch.randn(2, HV, D, D)
    out, final = naive(**inputs, **parameters, initial_state=state, lower_bound=lower_bound)
    got = flash_kda.prefill(**inputs, **parameters, initial_state=state, lower_bound=lower_bound,
                            final_state=True)
    assert relative_rms(got.out, out) <= LIMIT and relative_rms(got.final_state, final) <= LIMIT


def test_packed():
    inputs, parameters = make_inputs(), make_parameters()
    cu_seqlens = [0, 7, 64, 150]
    state = torch.randn(3, 3, 128, 128)
    out, final = naive(**inputs, **parameters, initial_state=state, cu_seqlens=cu_seqlens)
    got = flash_kda.prefill(**inputs, **parameters, initial_state=state, final_state=True,
                            cu_seqlens=torch.tensor(cu_seqlens, dtype=torch.int32))
    assert relative_rms(got.out, out) <= LIMIT and relative_rms(got.final_state, final) <= LIMIT


def test_absent_gate_parameters_and_doubled_beta():
    inputs = make_inputs()
    out, _ = naive(**inputs, beta_scale=2.0)
    assert relative_rms(flash_kda.prefill(**inputs, neg_eigval=True).out, out) <= LIMIT


@pytest.mark.parametrize("D", [60, 64, 128])
def test_inputs_that_are_activated_already(D):
    inputs, parameters = make_inputs(D=D, dtype=torch.float32), make_parameters(D=D)
    from oracle import activate
    q, k, g, beta = activate(inputs["q"], inputs["k"], inputs["g"], inputs["beta"], **parameters)
    out, _ = naive(**inputs, **parameters, scale=1.0)
    got = flash_kda.prefill(q, k, inputs["v"], g, beta, gate="log", beta_form="activated",
                            qk_l2norm=False, scale=1.0)
    assert relative_rms(got.out, out) <= 1e-4
