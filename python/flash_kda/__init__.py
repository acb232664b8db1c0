"""FlashKDA: Kimi Delta Attention prefill, fast on CPUs and NVIDIA GPUs.

    import torch, flash_kda
    result = flash_kda.prefill(q, k, v, g, beta, A_log=A_log, dt_bias=dt_bias, final_state=True)

`fwd` is the published call (a drop-in for flash-linear-attention's backend), `prefill` the full one,
`supports` says whether prefill would run, `get_workspace_size` what scratch memory it needs. Where
PyTorch is imported before this package, both are torch operators too (flash_kda.torch_ops) and may
be called inside torch.compile. `python -m flash_kda --help`: info, verify, bench.
"""

from . import _arrays, _core
from ._call import PrefillResult, describe, fwd, prefill, supports
from ._workspace import get_workspace_size

__version__: str = _core.version()


def build_info() -> str:
    """Version, backends and instruction sets in one line."""
    return _core.build_info()


_arrays.connect()
if _arrays.torch is not None:
    from . import torch_ops  # noqa: F401

__all__ = ["PrefillResult", "__version__", "build_info", "describe", "fwd", "get_workspace_size",
           "prefill", "supports"]
