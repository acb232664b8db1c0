"""Wrong arguments: an exception that names them, never a crash."""

import random

import numpy
import pytest
import torch

import flash_kda
from helpers import gate_parameters, make_inputs

INPUTS = make_inputs(T=20)
PARAMETERS = gate_parameters()
STATE = torch.zeros(1, 2, 64, 64)


def prefill(**changes):
    return flash_kda.prefill(**{**INPUTS, **PARAMETERS, **changes})


@pytest.mark.parametrize("changes, error, message", [
    ({"q": None}, TypeError, "q: expected a tensor, got NoneType"),
    ({"k": None}, TypeError, "k: expected a tensor, got None"),
    ({"k": [1, 2]}, TypeError, "k: expected a tensor, got list"),
    ({"q": INPUTS["q"][0]}, ValueError, r"q: expected \[B, T, H, K\], got 3 dimensions"),
    ({"k": INPUTS["k"][..., :32]}, ValueError, r"k: expected \[B=1, T>=20, H=2, K=64\], got \[1, 20, 2, 32\]"),
    ({"k": INPUTS["k"].float()}, ValueError, "k: expected dtype bf16, got f32"),
    ({"v": INPUTS["v"].double()}, TypeError, "v: expected float32, .*code 2 with 64 bits"),
    ({"v": INPUTS["v"].to(torch.complex64)}, TypeError, "v: expected float32"),
    ({"g": INPUTS["g"].transpose(2, 3)}, ValueError, "g: expected"),
    ({"q": INPUTS["q"].transpose(2, 3), "k": INPUTS["k"].transpose(2, 3)}, ValueError, "contiguous|expected"),
    ({"out": INPUTS["v"][:, :1].expand(1, 20, 2, 64)}, ValueError, "out: expected strides under which"),
    ({"v": INPUTS["v"].to("meta")}, TypeError, "meta"),
    ({"A_log": PARAMETERS["A_log"][:1]}, ValueError, "A_log: expected at least 2 elements"),
    ({"A_log": PARAMETERS["A_log"].bfloat16()}, ValueError, "A_log: expected dtype f32, got bf16"),
    ({"dt_bias": torch.zeros(3)}, ValueError, "dt_bias: expected 128 elements"),
    ({"lower_bound": 1.0}, ValueError, "lower_bound"),
    ({"lower_bound": float("nan")}, ValueError, "lower_bound"),
    ({"lower_bound": "low"}, TypeError, "lower_bound: expected a number, got 'low'"),
    ({"scale": float("nan")}, ValueError, "scale"),
    ({"gate": "tanh"}, ValueError, "gate: expected one of 'lower_bound', 'softplus', 'log', got 'tanh'"),
    ({"gate": []}, ValueError, "gate: expected one of"),
    ({"beta_form": None}, ValueError, "beta_form: expected one of"),
    ({"state_layout": "kk"}, ValueError, "state_layout: expected one of"),
    ({"backend": "cuda"}, ValueError, "backend: does not match the device of q, which is the CPU"),
    ({"precision": "fp8"}, ValueError, "precision: expected one of 'fp32', 'bf16'"),
    ({"threads": -1}, ValueError, "threads: expected 0"),
    ({"threads": 2**40}, ValueError, "threads: expected a 32-bit integer"),
    ({"threads": 1.5}, TypeError, "threads: expected an integer, got 1.5"),
    ({"cuts": "none"}, ValueError, "cuts: expected one of 'auto', 'exact', got 'none'"),
    ({"multiprocessors": -1}, ValueError, r"multiprocessors: expected 0 \(all\) or more, got -1"),
    ({"multiprocessors": "all"}, TypeError, "multiprocessors: expected an integer, got 'all'"),
    ({"v_panel": 32}, ValueError, "v_panel: expected 0, 64 or 128, got 32"),
    ({"v_panel": "64"}, TypeError, "v_panel: expected an integer, got '64'"),
    ({"checkpoint_every": -3}, ValueError, "checkpoint"),
    ({"checkpoint_every": 4, "checkpoint_offsets": torch.tensor([4])}, ValueError, "checkpoint_every: expected 0"),
    ({"cu_seqlens": torch.tensor(0)}, ValueError, r"cu_seqlens: expected \[N \+ 1\]"),
    ({"cu_seqlens": torch.tensor([], dtype=torch.int64)}, ValueError, "cu_seqlens: expected"),
    ({"cu_seqlens": torch.tensor([0, 21])}, ValueError, "cu_seqlens"),
    ({"cu_seqlens": torch.tensor([0, 8, 4, 20])}, ValueError, "cu_seqlens"),
    ({"cu_seqlens": torch.tensor([0.0, 20.0])}, ValueError, "cu_seqlens: expected dtype i32 or i64"),
    ({"initial_state": STATE[..., :32]}, ValueError, r"initial_state: expected \[N=1, HV=2, V=64, K=64\]"),
    ({"initial_state": STATE, "final_state": STATE.bfloat16()}, ValueError, "final_state: expected dtype"),
    ({"state_pool": STATE}, ValueError, "state_indices: required"),
    ({"state_pool": STATE, "state_indices": torch.tensor([1])}, ValueError, "state_indices"),
    ({"state_pool": STATE, "state_indices": torch.tensor([-2])}, ValueError, "state_indices"),
    ({"has_initial_state": torch.ones(1)}, ValueError, "has_initial_state: expected dtype u8"),
    ({"workspace": torch.empty(3)}, ValueError, "workspace: expected contiguous uint8"),
    ({"workspace": torch.empty(3, dtype=torch.uint8)}, ValueError, "workspace: expected at least"),
    ({"workspace": 17}, TypeError, "workspace: expected a tensor, got int"),
])
def test_messages(changes, error, message):
    with pytest.raises(error, match=message):
        prefill(**changes)
    ok, reason = flash_kda.supports(**{**INPUTS, **PARAMETERS, **changes})
    # What is found only by looking at the data, or at the workspace, is beyond supports.
    if not any(name in changes for name in ("cu_seqlens", "workspace", "state_indices")):
        assert not ok and reason


def test_unsupported_says_why():
    wide = make_inputs(K=300, V=300)
    with pytest.raises(NotImplementedError, match="head_dim_k and head_dim_v: expected at most 256"):
        flash_kda.prefill(**wide)
    ok, reason = flash_kda.supports(**wide)
    assert not ok and "expected at most 256" in reason


def test_supports():
    assert flash_kda.supports(**INPUTS, **PARAMETERS) == (True, "")
    ok, reason = flash_kda.supports(1, 2, 3, 4, 5)
    assert not ok and reason == "q: expected a tensor, got int"


def test_other_devices_than_q():
    with pytest.raises(TypeError, match="got NotATensor"):
        class NotATensor:
            shape = (1, 20, 2, 64)
        prefill(k=NotATensor())

    class OnMetal:
        shape = (1, 20, 2, 64)

        def __dlpack__(self, **_):
            raise BufferError("not for you")
    with pytest.raises(TypeError, match=r"k: expected a tensor that DLPack can export, got OnMetal \(not for you\)"):
        prefill(k=OnMetal())


def test_tensors_whose_memory_is_gone():
    for name in (*INPUTS, "out"):
        dead = torch.zeros_like(INPUTS["beta"] if name == "beta" else INPUTS["v"])
        dead.untyped_storage().resize_(0)
        with pytest.raises(ValueError, match=f"{name}: expected data, got a null pointer"):
            prefill(**{name: dead})


def test_read_only_arrays():
    arrays = {name: x.float().numpy() for name, x in INPUTS.items()}
    for array in arrays.values():
        array.flags.writeable = False
    expected = flash_kda.prefill(**{name: numpy.array(x) for name, x in arrays.items()}).out
    assert numpy.array_equal(flash_kda.prefill(**arrays).out, expected)
    with pytest.raises(ValueError, match="out: expected a writable array, got a read-only one"):
        flash_kda.prefill(**arrays, out=arrays["v"])


def test_fake_tensors_are_refused():
    from torch._subclasses import FakeTensorMode
    with FakeTensorMode() as mode:
        fake = {name: mode.from_tensor(x) for name, x in INPUTS.items()}
        with pytest.raises((TypeError, ValueError, RuntimeError)):
            flash_kda.prefill(**fake)


STRANGE = [None, 0, -1, 2**70, 1.5, float("nan"), "x", b"x", [], [[1.0]], {}, object, True,
           torch.tensor(3.0), torch.zeros(0), torch.zeros(1, 0, 2, 64), torch.zeros(2, 2, 2, 2, 2, 2, 2),
           torch.zeros(1, 20, 2, 64, dtype=torch.int8), torch.zeros(1, 20, 2, 64).to_sparse(),
           torch.zeros(20, 20, 2, 64)[::2], torch.ones(1, 20, 2, 64).bool(),
           torch.empty(1, 20, 2, 64, device="meta"), torch.zeros(64, 2, 20, 1).permute(3, 2, 1, 0),
           torch.quantize_per_tensor(torch.zeros(1, 20, 2, 64), 0.1, 0, torch.qint8),
           numpy.zeros((1, 20, 2, 64), dtype="float32"), numpy.zeros((1, 20, 2, 64), dtype=">f4"),
           numpy.zeros((1, 20, 2, 64), dtype=object), numpy.array(["a"]),
           numpy.zeros((1, 20, 2, 128), dtype="float32")[..., ::-1], numpy.float32(1.0)]


def test_fuzz():
    """Random arguments replaced by strange ones: any outcome but a crash or an unexpected type."""
    random.seed(1)
    names = ["q", "k", "v", "g", "beta", "out", "scale", "A_log", "dt_bias", "lower_bound",
             "cu_seqlens", "initial_state", "final_state", "state_pool", "state_indices",
             "has_initial_state", "checkpoints", "checkpoint_offsets", "checkpoint_slots",
             "checkpoint_every", "workspace", "gate", "beta_form", "state_layout", "backend",
             "precision", "threads", "cuts", "multiprocessors", "v_panel", "qk_l2norm", "neg_eigval"]
    refused = 0
    for _ in range(1500):
        changes = {name: random.choice(STRANGE) for name in random.sample(names, random.randint(1, 3))}
        for call in (prefill, lambda **c: flash_kda.supports(**{**INPUTS, **PARAMETERS, **c})):
            try:
                call(**changes)
            except (TypeError, ValueError, NotImplementedError) as error:
                assert call is prefill, "supports never raises"
                assert str(error), changes
                refused += 1
    assert refused > 1000


def test_fuzz_shapes_and_strides():
    """Random shapes and strides over memory that is large enough: right or refused."""
    random.seed(2)
    memory = torch.randn(1 << 16)
    ran = 0
    for _ in range(2000):
        def view(*usual):
            rare = lambda usual, *others: random.choice([usual] * 30 + list(others))
            shape = [rare(extent, extent + 1, 1, 0) for extent in usual]
            strides = [rare(stride, 0, 1, stride + 3) for stride in torch.empty(shape).stride()]
            return memory.as_strided(shape, strides)
        try:
            flash_kda.prefill(view(1, 9, 2, 16), view(1, 9, 2, 16), view(1, 9, 2, 16),
                              view(1, 9, 2, 16), view(1, 9, 2), initial_state=view(1, 2, 16, 16),
                              out=torch.empty(1, 9, 2, 16))
            ran += 1
        except (ValueError, NotImplementedError) as error:
            assert ": " in str(error)
    assert 50 < ran < 1950
