// DLPack as far as a consumer reads it: versions 0.x and 1.x of a tensor, and the part of 1.3's
// exchange table that fills a tensor in place (dmlc/dlpack, include/dlpack/dlpack.h).
#pragma once

#include <cstdint>

namespace flash_kda::python {

struct DLDevice {
  std::int32_t device_type;
  std::int32_t device_id;
};
struct DLDataType {
  std::uint8_t code;
  std::uint8_t bits;
  std::uint16_t lanes;
};
enum DLTypeCode : std::uint8_t { kInt = 0, kUInt = 1, kFloat = 2, kBfloat = 4, kBool = 6 };

struct DLTensor {
  void* data;
  DLDevice device;
  std::int32_t ndim;
  DLDataType dtype;
  std::int64_t* shape;
  std::int64_t* strides;  // in elements; null: row-major
  std::uint64_t byte_offset;
};

// Capsule "dltensor".
struct DLManagedTensor {
  DLTensor dl_tensor;
  void* manager_ctx;
  void (*deleter)(DLManagedTensor*);
};

struct DLPackVersion {
  std::uint32_t major;
  std::uint32_t minor;
};
inline constexpr std::uint64_t kDLPackReadOnly = 1;

// Capsule "dltensor_versioned".
struct DLManagedTensorVersioned {
  DLPackVersion version;
  void* manager_ctx;
  void (*deleter)(DLManagedTensorVersioned*);
  std::uint64_t flags;
  DLTensor dl_tensor;
};

// Capsule "dlpack_exchange_api" of a type; the functions that are not called here are untyped.
struct DLPackExchangeApi {
  DLPackVersion version;
  void* previous;
  void (*managed_tensor_allocator)();
  void (*managed_tensor_from_object)();
  void (*managed_tensor_to_object)();
  // Borrows: the tensor is valid as long as the object is. 0, or -1 with a Python exception set.
  int (*tensor_from_object)(void* object, DLTensor* out);
  void (*current_work_stream)();
};

}  // namespace flash_kda::python
