"""Random inputs in PyTorch, and the one comparison: relative RMS error against the fp64 reference."""

import torch

import flash_kda

# Relative RMS. Outputs round to nearest: bf16 keeps 8 significant bits, so each value is off by at
# most 2^-9 of itself, fp16 by 2^-12. fp32 arithmetic adds at most 6e-6 over these lengths and the
# bf16 mode 4e-3 (docs/numerics.md), states of bf16 round like outputs of bf16.
ROUNDING = {torch.float32: 0.0, torch.float16: 2.0**-12, torch.bfloat16: 2.0**-9}
ARITHMETIC = {"fp32": 1e-5, "bf16": 4e-3}


def limit(dtype, precision="fp32"):
    return ROUNDING[dtype] + ARITHMETIC[precision]


def randn(*shape, dtype=torch.float32, seed=None):
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator).to(dtype)


def make_inputs(B=1, T=65, H=2, HV=None, K=64, V=64, dtype=torch.bfloat16, gate_dtype=None, seed=0):
    """q, k, v, g, beta as a dict."""
    HV = HV or H
    torch.manual_seed(seed)
    gate_dtype = gate_dtype or dtype
    return {"q": randn(B, T, H, K, dtype=dtype), "k": randn(B, T, H, K, dtype=dtype),
            "v": randn(B, T, HV, V, dtype=dtype), "g": randn(B, T, HV, K, dtype=gate_dtype),
            "beta": randn(B, T, HV, dtype=gate_dtype)}


def gate_parameters(HV=2, K=64):
    return {"A_log": torch.rand(HV), "dt_bias": torch.rand(HV, K)}


def error(got, expected):
    """NaN and infinity are errors, also where nothing is expected."""
    got, expected = got.double(), expected.double()
    assert torch.isfinite(got).all(), "not finite"
    scale = expected.norm()
    return ((got - expected).norm() / (scale if scale > 0 else 1.0)).item()


def check_against_reference(inputs, final_state=True, out_dtype=None, precision="fp32", **options):
    """Runs the CPU backend and the reference on the same inputs, compares all that they return."""
    def run(backend):
        out = torch.full_like(inputs["v"], float("nan"), dtype=out_dtype or inputs["v"].dtype,
                              memory_format=torch.contiguous_format)
        return flash_kda.prefill(**inputs, out=out, final_state=final_state, backend=backend,
                                 precision=precision, **options)

    got, expected = run("cpu"), run("reference")
    for name in ("out", "final_state", "checkpoints"):
        ours, theirs = getattr(got, name), getattr(expected, name)
        assert (ours is None) == (theirs is None)
        if ours is not None:
            assert error(ours, theirs) <= limit(ours.dtype, precision), name
    return got
