"""FlashKDA: Kimi Delta Attention prefill, fast on CPUs and NVIDIA GPUs.

    import flash_kda
    result = flash_kda.prefill(q, k, v, g, beta, A_log=A_log, dt_bias=dt_bias, final_state=True)

`fwd` is the published call (a drop-in for flash-linear-attention's backend); `prefill` the full one.
"""

from . import _core
from ._call import PrefillResult, fwd, prefill

__version__ = _core.version()
build_info = _core.build_info

__all__ = ["PrefillResult", "__version__", "build_info", "fwd", "prefill"]
