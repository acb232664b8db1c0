// Tensors of Python (PyTorch, NumPy, anything with DLPack) as the C ABI's flash_kda_tensor.
#pragma once

#include "flash_kda/flash_kda.h"
#include "python_api.hpp"

namespace flash_kda::python {

// Where a tensor lives, as DLPack numbers it.
struct Device {
  int type = 0;  // 1 CPU, 2 CUDA, 3 pinned host memory, 13 managed memory
  int index = 0;
  bool is_cpu() const { return type == 1; }
  bool is_cuda() const { return type == 2; }
  bool operator==(const Device&) const = default;
};

enum class Access { kRead, kWrite };

// A borrowed view. `owner` keeps the memory alive until the call is over; it is empty where the
// Python object itself does, as the caller of the call holds it.
struct BorrowedTensor {
  flash_kda_tensor view{};
  Device device{};
  Ref owner{};
};

// PyTorch is optional: once it is there, its tensors take the short ways to DLPack. exchange_api is
// torch.Tensor's __dlpack_c_exchange_api__ (DLPack 1.3: no capsule a tensor), or None before
// PyTorch 2.10. False with a Python exception set.
bool register_torch(PyObject* tensor_type, PyObject* to_dlpack, PyObject* exchange_api);

// Fills `out` from `object`. False with a Python exception set; the message names the argument.
bool borrow(const char* name, PyObject* object, Access access, BorrowedTensor& out);

}  // namespace flash_kda::python
