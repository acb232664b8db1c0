"""PyTorch before 2.10 has no table of DLPack functions: its tensors come as capsules."""

import subprocess
import sys

PROGRAM = """
import flash_kda
import torch
from flash_kda import _arrays, _core

assert _arrays.torch is None
_core.set_torch(torch.Tensor, torch._C._to_dlpack, None)
_arrays.torch, _arrays.is_compiling = torch, torch.compiler.is_compiling
torch.set_grad_enabled(False)
inputs = [torch.randn(1, 65, 2, 64).bfloat16() for _ in range(4)] + [torch.randn(1, 65, 2).bfloat16()]
options = dict(A_log=torch.nn.Parameter(torch.rand(2)), cu_seqlens=torch.tensor([0, 20, 65]),
               has_initial_state=torch.tensor([True, False]), initial_state=torch.randn(2, 2, 64, 64),
               final_state=True)
got = flash_kda.prefill(*inputs, **options)
expected = flash_kda.prefill(*inputs, **options, backend="reference")
assert (got.out.float() - expected.out.float()).norm() <= 2e-3 * expected.out.float().norm()
assert (got.final_state - expected.final_state).norm() <= 1e-5 * expected.final_state.norm()
for strange in (torch.empty(3, device="meta"), torch.zeros(3).to_sparse(), torch.zeros(3, dtype=torch.int8)):
    try:
        flash_kda.prefill(*inputs, A_log=strange)
    except (TypeError, ValueError) as error:
        assert str(error).startswith("A_log: expected"), error
    else:
        raise AssertionError("not refused")
"""


def test_capsules():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
