#include "tensor.hpp"

#include <cstdint>

#include "dlpack.hpp"

namespace flash_kda::python {
namespace {

// Owned for the life of the interpreter; null until the program uses PyTorch.
PyTypeObject* torch_tensor_type = nullptr;
PyObject* torch_to_dlpack = nullptr;
const DLPackExchangeApi* torch_exchange = nullptr;

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

Ref type_name(PyObject* object) {
  return Ref(PyObject_GetAttrString(reinterpret_cast<PyObject*>(Py_TYPE(object)), "__name__"));
}

// Replaces whatever the exporter raised by an error that names our argument.
bool fail_export(const char* name, PyObject* object) {
  PyObject *type = nullptr, *value = nullptr, *trace = nullptr;
  PyErr_Fetch(&type, &value, &trace);
  const Ref type_ref(type), value_ref(value), trace_ref(trace);
  const Ref got = type_name(object);
  PyErr_Clear();
  if (PyObject_HasAttrString(object, "__dlpack__") == 0) {
    PyErr_Format(PyExc_TypeError, "%s: expected a tensor, got %S", name, got ? got.get() : object);
  } else {
    PyErr_Format(PyExc_TypeError, "%s: expected a tensor that DLPack can export, got %S (%S)", name,
                 got ? got.get() : object, value_ref ? value_ref.get() : Py_None);
  }
  return false;
}

// object.__dlpack__(max_version=(1, 0)), or object.__dlpack__() of older exporters. The newer form
// also exports read-only arrays, and says so.
Ref export_capsule(PyObject* object) {
  const Ref method(PyObject_GetAttrString(object, "__dlpack__"));
  if (!method) return {};
  const Ref none(PyTuple_New(0));
  const Ref keywords(Py_BuildValue("{s:(ii)}", "max_version", 1, 0));
  if (!none || !keywords) return {};
  Ref capsule(PyObject_Call(method.get(), none.get(), keywords.get()));
  if (capsule || PyErr_ExceptionMatches(PyExc_TypeError) == 0) return capsule;
  PyErr_Clear();
  return Ref(PyObject_CallNoArgs(method.get()));
}

bool fill(const char* name, const DLTensor& tensor, BorrowedTensor& out) {
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

bool fill_from_capsule(const char* name, PyObject* object, Access access, BorrowedTensor& out) {
  PyObject* capsule = out.owner.get();
  if (PyCapsule_IsValid(capsule, "dltensor_versioned") == 0) {
    auto* managed = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule, "dltensor"));
    return managed != nullptr ? fill(name, managed->dl_tensor, out) : fail_export(name, object);
  }
  auto* managed =
      static_cast<DLManagedTensorVersioned*>(PyCapsule_GetPointer(capsule, "dltensor_versioned"));
  if (managed->version.major != 1) {
    PyErr_Format(PyExc_TypeError, "%s: expected DLPack 1.x, got version %d", name,
                 static_cast<int>(managed->version.major));
    return false;
  }
  if (access == Access::kWrite && (managed->flags & kDLPackReadOnly) != 0) {
    PyErr_Format(PyExc_ValueError, "%s: expected a writable array, got a read-only one", name);
    return false;
  }
  return fill(name, managed->dl_tensor, out);
}

}  // namespace

bool register_torch(PyObject* tensor_type, PyObject* to_dlpack, PyObject* exchange_api) {
  if (exchange_api != Py_None) {
    const auto* api = static_cast<const DLPackExchangeApi*>(
        PyCapsule_GetPointer(exchange_api, "dlpack_exchange_api"));
    if (api == nullptr) return false;
    if (api->version.major == 1 && api->tensor_from_object != nullptr) torch_exchange = api;
  }
  torch_tensor_type = reinterpret_cast<PyTypeObject*>(Py_NewRef(tensor_type));
  torch_to_dlpack = Py_NewRef(to_dlpack);
  return true;
}

bool borrow(const char* name, PyObject* object, Access access, BorrowedTensor& out) {
  const bool is_torch =
      torch_tensor_type != nullptr && PyType_IsSubtype(Py_TYPE(object), torch_tensor_type) != 0;
  if (is_torch && torch_exchange != nullptr) {
    DLTensor tensor{};
    if (torch_exchange->tensor_from_object(object, &tensor) != 0) return fail_export(name, object);
    return fill(name, tensor, out);
  }
  out.owner = is_torch ? Ref(PyObject_CallFunctionObjArgs(torch_to_dlpack, object, nullptr))
                       : export_capsule(object);
  if (!out.owner) return fail_export(name, object);
  return fill_from_capsule(name, object, access, out);
}

}  // namespace flash_kda::python
