"""What differs between PyTorch tensors and NumPy arrays: making new ones, gradients, streams.

PyTorch is never imported here: a caller who has a tensor has imported it already.
"""

import sys

from . import _core

_torch = None


def torch_module():
    """The torch module if the program uses it, else None. Tells the extension about it once."""
    global _torch
    if _torch is None:
        torch = sys.modules.get("torch")
        if torch is not None and hasattr(torch, "Tensor"):
            _core.set_torch(torch.Tensor, torch._C._to_dlpack)
            _torch = torch
    return _torch


def is_torch(array):
    torch = _torch or torch_module()
    return torch is not None and isinstance(array, torch.Tensor)


def without_grad(name, tensor):
    """The tensor itself, or its data where gradients are off; an error where they would be lost."""
    if tensor is None or not getattr(tensor, "requires_grad", False):
        return tensor
    if _torch.is_grad_enabled():
        raise ValueError(
            f"{name}: requires grad, and flash_kda has no backward pass. Call it under "
            "torch.no_grad() or torch.inference_mode(), or detach the tensor; for training use "
            "flash-linear-attention's chunk_kda.")
    return tensor.detach()


def empty(like, shape, dtype=None):
    """A new array of `like`'s library and device; dtype: None (that of `like`) or "float32"."""
    if is_torch(like):
        return like.new_empty(shape, dtype=None if dtype is None else getattr(_torch, dtype))
    import numpy
    return numpy.empty(shape, dtype=like.dtype if dtype is None else dtype)


def stream_of(tensor):
    """cudaStream_t of the tensor's device as an integer; 0 on the CPU."""
    if is_torch(tensor) and tensor.is_cuda:
        return _torch.cuda.current_stream(tensor.device).cuda_stream
    return 0
