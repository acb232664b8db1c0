"""A few calls of one shape, for a profiler: one_call.py LIBRARY H T [CALLS]."""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "torch"))
from c_abi import BACKEND_CUDA, Library  # noqa: E402
from cases import Case, make_inputs  # noqa: E402

library = Library(sys.argv[1])
heads, tokens = int(sys.argv[2]), int(sys.argv[3])
calls = int(sys.argv[4]) if len(sys.argv) > 4 else 4
call = library.prepare(make_inputs(Case("one call", heads, (tokens,)), "cuda"), BACKEND_CUDA, "bf16", 0)
print(call.description)
for _ in range(calls):
    call(torch.cuda.current_stream().cuda_stream)
torch.cuda.synchronize()
