// Tensors of Python (PyTorch, NumPy, anything with DLPack) as the C ABI's flash_kda_tensor.
#pragma once

#include "flash_kda/flash_kda.h"
#include "python_api.hpp"

namespace flash_kda::python {

// Where a tensor lives, as DLPack numbers it.
struct Device {
  int type = 0;  // 1 CPU, 2 CUDA, 3 pinned host memory, 13 managed memory
  int index = 0;
  bool is_cuda() const { return type == 2; }
};

// A borrowed view; `owner` keeps the memory alive until the call is over.
struct BorrowedTensor {
  flash_kda_tensor view{};
  Device device{};
  Ref owner{};
};

// PyTorch is optional: its module tells us once how to make a DLPack capsule without Python code,
// and which exact type may take that path (subclasses and others go through __dlpack__).
void register_torch(PyObject* tensor_type, PyObject* to_dlpack);

// Fills `out` from `object`. False with a Python exception set; the message names the argument.
bool borrow(const char* name, PyObject* object, BorrowedTensor& out);

}  // namespace flash_kda::python
