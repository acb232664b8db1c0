"""Without PyTorch: NumPy arrays, in a process of its own that never imports torch."""

import subprocess
import sys

PROGRAM = """
import sys
import numpy
import flash_kda

rng = numpy.random.default_rng(0)
randn = lambda *shape: rng.standard_normal(shape, dtype="float32")
inputs = [randn(1, 65, 2, 64) for _ in range(4)] + [randn(1, 65, 2)]
options = dict(A_log=randn(2), dt_bias=randn(2, 64), final_state=True, checkpoint_every=32,
               cu_seqlens=numpy.array([0, 20, 65], dtype="int32"))
got = flash_kda.prefill(*inputs, **options)
expected = flash_kda.prefill(*inputs, **options, backend="reference")
for ours, theirs in zip(got, expected):
    assert isinstance(ours, numpy.ndarray) and ours.dtype == numpy.float32
    assert numpy.linalg.norm(ours - theirs) <= 1e-5 * numpy.linalg.norm(theirs)
assert flash_kda.supports(*inputs) == (True, "")
assert flash_kda.get_workspace_size(65, 2) > 0
strided = [numpy.stack([x, x], axis=1)[:, 1] for x in inputs]
assert numpy.array_equal(flash_kda.prefill(*strided).out, flash_kda.prefill(*inputs).out)
assert "torch" not in sys.modules
print(flash_kda.__version__, flash_kda.build_info())
"""


def test_without_torch():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "backends: " in done.stdout
