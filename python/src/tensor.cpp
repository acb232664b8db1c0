#include "tensor.hpp"

#include <cstdint>
#include <cstring>

namespace flash_kda::python {
namespace {

// DLPack 0.x, the part that a consumer reads (dmlc/dlpack, include/dlpack/dlpack.h).
struct DLDevice {
  std::int32_t device_type;
  std::int32_t device_id;
};
struct DLDataType {
  std::uint8_t code;
  std::uint8_t bits;
  std::uint16_t lanes;
};
struct DLTensor {
  void* data;
  DLDevice device;
  std::int32_t ndim;
  DLDataType dtype;
  std::int64_t* shape;
  std::int64_t* strides;  // null: row-major
  std::uint64_t byte_offset;
};
struct DLManagedTensor {
  DLTensor dl_tensor;
  void* manager_ctx;
  void (*deleter)(DLManagedTensor*);
};
enum DLTypeCode : std::uint8_t { kInt = 0, kUInt = 1, kFloat = 2, kBfloat = 4, kBool = 6 };

PyObject* torch_tensor_type = nullptr;  // borrowed for the life of the interpreter
PyObject* torch_to_dlpack = nullptr;

// -1 when the C ABI has no such type.
std::int32_t to_dtype(DLDataType type) {
  if (type.lanes != 1) return -1;
  switch (type.code) {
    case kFloat:
      return type.bits == 32 ? FLASH_KDA_F32 : type.bits == 16 ? FLASH_KDA_F16 : -1;
    case kBfloat:
      return type.bits == 16 ? FLASH_KDA_BF16 : -1;
    case kInt:
      return type.bits == 32 ? FLASH_KDA_I32 : type.bits == 64 ? FLASH_KDA_I64 : -1;
    case kUInt:
    case kBool:
      return type.bits == 8 ? FLASH_KDA_U8 : -1;
    default:
      return -1;
  }
}

Ref make_capsule(PyObject* object) {
  if (torch_to_dlpack != nullptr &&
      reinterpret_cast<PyObject*>(Py_TYPE(object)) == torch_tensor_type) {
    return Ref(PyObject_CallFunctionObjArgs(torch_to_dlpack, object, nullptr));
  }
  return Ref(PyObject_CallMethod(object, "__dlpack__", nullptr));
}

// Replaces whatever the exporter raised by an error that names our argument, and keeps it as cause.
bool fail_export(const char* name, PyObject* object) {
  PyObject *type = nullptr, *value = nullptr, *trace = nullptr;
  PyErr_Fetch(&type, &value, &trace);
  const Ref type_ref(type), value_ref(value), trace_ref(trace);
  const Ref type_name(
      PyObject_GetAttrString(reinterpret_cast<PyObject*>(Py_TYPE(object)), "__name__"));
  if (value_ref) {
    PyErr_Format(PyExc_TypeError, "%s: expected a tensor that DLPack can export, got %S (%S)", name,
                 type_name ? type_name.get() : object, value_ref.get());
  } else {
    PyErr_Format(PyExc_TypeError, "%s: expected a tensor, got %S", name,
                 type_name ? type_name.get() : object);
  }
  return false;
}

}  // namespace

void register_torch(PyObject* tensor_type, PyObject* to_dlpack) {
  Py_XDECREF(torch_tensor_type);
  Py_XDECREF(torch_to_dlpack);
  torch_tensor_type = Py_NewRef(tensor_type);
  torch_to_dlpack = Py_NewRef(to_dlpack);
}

bool borrow(const char* name, PyObject* object, BorrowedTensor& out) {
  out.owner = make_capsule(object);
  if (!out.owner) return fail_export(name, object);
  auto* managed = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(out.owner.get(), "dltensor"));
  if (managed == nullptr) return fail_export(name, object);
  const DLTensor& tensor = managed->dl_tensor;
  const std::int32_t dtype = to_dtype(tensor.dtype);
  if (dtype < 0) {
    PyErr_Format(
        PyExc_TypeError,
        "%s: expected float32, bfloat16, float16, int32, int64, uint8 or bool, got DLPack type "
        "code %d with %d bits",
        name, static_cast<int>(tensor.dtype.code), static_cast<int>(tensor.dtype.bits));
    return false;
  }
  if (tensor.ndim < 0 || tensor.ndim > FLASH_KDA_MAX_RANK) {
    PyErr_Format(PyExc_ValueError, "%s: expected at most %d dimensions, got %d", name,
                 FLASH_KDA_MAX_RANK, static_cast<int>(tensor.ndim));
    return false;
  }
  out.device = {tensor.device.device_type, tensor.device.device_id};
  out.view = {};
  out.view.data =
      tensor.data == nullptr ? nullptr : static_cast<char*>(tensor.data) + tensor.byte_offset;
  out.view.dtype = dtype;
  out.view.rank = tensor.ndim;
  std::int64_t stride = 1;
  for (std::int32_t dim = tensor.ndim - 1; dim >= 0; --dim) {
    out.view.shape[dim] = tensor.shape[dim];
    out.view.strides[dim] = tensor.strides != nullptr ? tensor.strides[dim] : stride;
    stride *= tensor.shape[dim];
  }
  return true;
}

}  // namespace flash_kda::python
