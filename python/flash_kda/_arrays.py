"""What differs between PyTorch tensors and NumPy arrays: making new ones, gradients, streams.

PyTorch is never imported here: a caller who has a tensor has imported it already.
"""

from __future__ import annotations

import sys

from . import _core

torch = None  # the module, once connect() found it


def is_compiling():
    """Replaced by torch.compiler.is_compiling."""
    return False


def connect():
    """Tells the extension how to read PyTorch's tensors, once, if the program uses PyTorch."""
    global torch, is_compiling
    module = sys.modules.get("torch")
    # A thread that imports torch right now has the module but not yet all that is in it.
    if torch is not None or not hasattr(module, "compiler") or not hasattr(module, "library"):
        return
    exchange_api = getattr(module.Tensor, "__dlpack_c_exchange_api__", None)
    _core.set_torch(module.Tensor, module._C._to_dlpack, exchange_api)
    torch = module
    is_compiling = module.compiler.is_compiling


def is_torch(array):
    if torch is None:
        connect()
    return torch is not None and isinstance(array, torch.Tensor)


def refuse_gradients(**tensors):
    """Called where gradients are on: an input that wants one must not lose it silently."""
    for name, tensor in tensors.items():
        if tensor is not None and getattr(tensor, "requires_grad", False):
            raise ValueError(
                f"{name}: requires grad, and flash_kda has no backward pass. Call it under "
                "torch.no_grad() or torch.inference_mode(), or detach the tensor; for training use "
                "flash-linear-attention's chunk_kda.")


def empty(like, name, shape, dtype=None):
    """A new array of `like`'s library and device; dtype: None (that of `like`) or "float32".
    `name` is the argument that the caller could have given instead."""
    if is_torch(like):
        return like.new_empty(shape, dtype=None if dtype is None else getattr(torch, dtype))
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(like, numpy.ndarray):
        return numpy.empty(shape, dtype=like.dtype if dtype is None else dtype)
    raise TypeError(f"{name}: expected to be given for inputs that are neither torch.Tensor nor "
                    f"numpy.ndarray, as it cannot be made for {type(like).__name__}")


def is_cuda(array):
    return torch is not None and isinstance(array, torch.Tensor) and array.is_cuda


def cuda_stream(device_index):
    """cudaStream_t of the device's current stream, as an integer."""
    return torch.cuda.current_stream(device_index).cuda_stream


def cuda_workspace(device):
    """A function from bytes to a tensor: of the caching allocator, so that it is safe to reuse on
    this stream and part of a graph's memory under capture."""
    return lambda size: torch.empty(size, dtype=torch.uint8, device=device)
