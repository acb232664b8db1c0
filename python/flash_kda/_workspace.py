"""get_workspace_size: how much scratch memory a call may need."""

from __future__ import annotations

import functools
import os

from . import _arrays, _core
from ._options import BACKENDS, PRECISIONS, number

_ALIGNMENT_SLACK = 63  # any address can then be aligned to a cache line
_MAX_INT32 = 2**31 - 1


def _device(device):
    """(backend, device index) of None, "cpu", "cuda", "cuda:1" or a torch.device."""
    _arrays.connect()
    torch = _arrays.torch
    has_cuda = "cuda" in _core.build_info()
    if device is None:
        device = "cuda" if has_cuda and torch is not None and torch.cuda.is_available() else "cpu"
    kind, _, index = str(device).partition(":")
    if kind not in ("cpu", "cuda"):
        raise ValueError(f"device: expected cpu or cuda, got {device!r}")
    if kind == "cuda" and not index:
        index = 0 if torch is None else torch.cuda.current_device()
    return kind, int(index or 0)


def _sizes_up_to(largest, steps):
    """0, 1, ..., largest in geometric steps, so many for a doubling: the plan changes with the sizes
    (another algorithm, more segments), so a bound looks at smaller ones too."""
    sizes = {0, largest}
    size = float(largest)
    while size >= 1:
        sizes.add(int(size))
        size /= 2 ** (1 / steps)
    return sorted(sizes)


@functools.lru_cache(maxsize=1024)
def _bound(kind, index, T_total, N, H, HV, K, V, precision, checkpoints):
    """Largest workspace of plans for the current device; `index` tells devices apart in the cache."""
    threads = _sizes_up_to(os.cpu_count() or 1, steps=1) if kind == "cpu" else [0]
    return max(
        _core.workspace_bytes(BACKENDS[kind], T, n, H, HV, K, V, precision, limit, checkpoints)
        for T in _sizes_up_to(T_total, steps=4) for n in _sizes_up_to(N, steps=1) for limit in threads)


def _host_tables(N, pool_slots):
    """What the CPU keeps of the call's indices: a number a sequence, a bit a slot of two pools."""
    return 8 * (N + 1) + 2 * ((pool_slots + 63) // 64 * 8) + 64


def get_workspace_size(T_total: int, H: int, N: int = 1, *, HV: int | None = None, K: int = 128,
                       V: int = 128, checkpoints: int = 2, pool_slots: int = 65536,
                       precision: str = "fp32", device=None) -> int:
    """Bytes that are enough as `workspace` for calls with these heads and at most so many tokens and
    sequences, on `device` (None: CUDA where this library and PyTorch have it, else the CPU).

    T_total      tokens of all sequences together
    H, HV        query/key heads, value heads (None: H)
    N            sequences
    checkpoints  checkpoint offsets per sequence
    pool_slots   slots of the largest pool, 8 slots a byte

    The size depends on the device; it does not depend on data, so it can be asked once, at start-up.
    """
    HV = H if HV is None else HV
    sizes = {"T_total": T_total, "H": H, "N": N, "HV": HV, "K": K, "V": V,
             "checkpoints": checkpoints, "pool_slots": pool_slots}
    for name, size in sizes.items():
        if isinstance(size, bool) or not hasattr(size, "__index__"):
            raise TypeError(f"{name}: expected an integer, got {size!r}")
        if not 0 <= size <= _MAX_INT32:
            raise ValueError(f"{name}: expected 0 to {_MAX_INT32}, got {size}")
    kind, index = _device(device)
    sizes = (kind, index, T_total, N, H, HV, K, V, number(PRECISIONS, "precision", precision),
             checkpoints)
    if kind == "cuda":
        with _arrays.torch.cuda.device(index):
            return _bound(*sizes) + _ALIGNMENT_SLACK
    return _bound(*sizes) + _host_tables(N, pool_slots) + _ALIGNMENT_SLACK
