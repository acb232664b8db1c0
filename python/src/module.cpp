// flash_kda._core: one call of the C ABI per call of Python. Every argument is positional; the
// package's Python code (flash_kda/_call.py) is the only caller and documents them.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <new>

#include "plan_cache.hpp"
#include "python_api.hpp"
#include "tensor.hpp"

namespace flash_kda::python {
namespace {

// Positions of the tensors in a call, and where each goes.
struct TensorSlot {
  const char* name;
  std::size_t offset;  // of the flash_kda_tensor in flash_kda_tensors
};
#define FLASH_KDA_SLOT(field) \
  TensorSlot { #field, offsetof(flash_kda_tensors, field) }
constexpr TensorSlot kTensorSlots[] = {FLASH_KDA_SLOT(q),
                                       FLASH_KDA_SLOT(k),
                                       FLASH_KDA_SLOT(v),
                                       FLASH_KDA_SLOT(g),
                                       FLASH_KDA_SLOT(beta),
                                       FLASH_KDA_SLOT(out),
                                       FLASH_KDA_SLOT(A_log),
                                       FLASH_KDA_SLOT(dt_bias),
                                       FLASH_KDA_SLOT(cu_seqlens),
                                       FLASH_KDA_SLOT(initial_state),
                                       FLASH_KDA_SLOT(final_state),
                                       FLASH_KDA_SLOT(state_pool),
                                       FLASH_KDA_SLOT(state_indices),
                                       FLASH_KDA_SLOT(has_initial_state),
                                       FLASH_KDA_SLOT(checkpoints),
                                       FLASH_KDA_SLOT(checkpoint_offsets),
                                       FLASH_KDA_SLOT(checkpoint_slots)};
#undef FLASH_KDA_SLOT
constexpr Py_ssize_t kNumTensors = std::size(kTensorSlots);
constexpr Py_ssize_t kNumRequired = 6;  // q to out

// Integer options after the tensors, in order; then lower_bound and scale as floats.
constexpr Py_ssize_t kNumIntegers = 9;
constexpr Py_ssize_t kNumFloats = 2;
constexpr Py_ssize_t kNumProblemArgs = kNumTensors + kNumIntegers + kNumFloats;

constexpr int kDeviceCpu = 1;

struct Call {
  flash_kda_problem problem;
  flash_kda_plan_options options;
  flash_kda_tensors tensors;
  BorrowedTensor borrowed[kNumTensors];
  Device device;

  // Padding bytes are part of the plan's key: they must not be left to chance.
  Call() {
    std::memset(&problem, 0, sizeof(problem));
    std::memset(&options, 0, sizeof(options));
    flash_kda_problem_init(&problem);
    flash_kda_plan_options_init(&options);
    flash_kda_tensors_init(&tensors);
  }
};

PyObject* raise(flash_kda_status status) {
  PyObject* type = PyExc_RuntimeError;
  switch (status) {
    case FLASH_KDA_INVALID_ARGUMENT:
    case FLASH_KDA_WORKSPACE_TOO_SMALL:
      type = PyExc_ValueError;
      break;
    case FLASH_KDA_UNSUPPORTED:
      type = PyExc_NotImplementedError;
      break;
    case FLASH_KDA_OUT_OF_MEMORY:
      type = PyExc_MemoryError;
      break;
    default:
      break;
  }
  PyErr_SetString(type, flash_kda_last_error());
  return nullptr;
}

bool borrow_tensors(PyObject* const* args, Call& call) {
  for (Py_ssize_t i = 0; i < kNumTensors; ++i) {
    const TensorSlot& slot = kTensorSlots[i];
    if (args[i] == Py_None) {
      if (i >= kNumRequired) continue;
      PyErr_Format(PyExc_TypeError, "%s: expected a tensor, got None", slot.name);
      return false;
    }
    BorrowedTensor& tensor = call.borrowed[i];
    if (!borrow(slot.name, args[i], tensor)) return false;
    if (i == 0) {
      call.device = tensor.device;
    } else if (tensor.device.type != call.device.type || tensor.device.index != call.device.index) {
      PyErr_Format(PyExc_ValueError, "%s: expected on the device of q (DLPack %d:%d), got %d:%d",
                   slot.name, call.device.type, call.device.index, tensor.device.type,
                   tensor.device.index);
      return false;
    }
    std::memcpy(reinterpret_cast<char*>(&call.tensors) + slot.offset, &tensor.view,
                sizeof(tensor.view));
  }
  return true;
}

bool expect_rank(const char* name, const flash_kda_tensor& tensor, int rank, const char* shape) {
  if (tensor.rank == rank) return true;
  PyErr_Format(PyExc_ValueError, "%s: expected %s, got %d dimensions", name, shape, tensor.rank);
  return false;
}

// Sizes and types that the tensors tell; what contradicts is found by the library's own checks.
bool describe_tensors(Call& call) {
  const flash_kda_tensors& t = call.tensors;
  flash_kda_problem& p = call.problem;
  if (!expect_rank("q", t.q, 4, "[B, T, H, K]") || !expect_rank("v", t.v, 4, "[B, T, HV, V]")) {
    return false;
  }
  p.batch = t.q.shape[0];
  p.tokens = t.q.shape[1];
  p.qk_heads = t.q.shape[2];
  p.head_dim_k = t.q.shape[3];
  p.v_heads = t.v.shape[2];
  p.head_dim_v = t.v.shape[3];
  p.qkv_dtype = t.q.dtype;
  p.out_dtype = t.out.dtype;
  p.gate_dtype = t.g.dtype;
  p.beta_dtype = t.beta.dtype;
  if (t.cu_seqlens.rank > 0) p.num_sequences = t.cu_seqlens.shape[0] - 1;

  const flash_kda_tensor* states[] = {&t.initial_state, &t.final_state, &t.state_pool,
                                      &t.checkpoints};
  for (const flash_kda_tensor* state : states) {
    if (state->rank == 0) continue;
    p.state_dtype = state->dtype;
    break;
  }
  if (t.state_pool.rank > 0) {
    p.state_storage = FLASH_KDA_STATE_POOL;
    p.state_pool_slots = t.state_pool.shape[0];
  }
  if (t.checkpoint_slots.rank > 0) {
    p.checkpoint_destination = FLASH_KDA_STATE_POOL;
    p.checkpoint_pool_slots = t.checkpoints.rank > 0 ? t.checkpoints.shape[0] : 0;
  }
  if (t.checkpoint_offsets.rank == 2) p.checkpoint_max_offsets = t.checkpoint_offsets.shape[1];
  return true;
}

bool read_options(PyObject* const* args, Call& call) {
  long long values[kNumIntegers];
  for (Py_ssize_t i = 0; i < kNumIntegers; ++i) {
    values[i] = PyLong_AsLongLong(args[i]);
    if (values[i] == -1 && PyErr_Occurred()) return false;
  }
  flash_kda_problem& p = call.problem;
  p.gate_kind = static_cast<std::int32_t>(values[0]);
  p.qk_norm = static_cast<std::int32_t>(values[1]);
  p.beta_form = static_cast<std::int32_t>(values[2]);
  p.beta_range = static_cast<std::int32_t>(values[3]);
  p.state_layout = static_cast<std::int32_t>(values[4]);
  p.checkpoint_every = values[5];
  call.options.backend = static_cast<std::int32_t>(values[6]);
  call.options.precision = static_cast<std::int32_t>(values[7]);
  call.options.threads = static_cast<std::int32_t>(values[8]);
  if (call.tensors.checkpoint_offsets.rank > 0) {
    p.checkpoint_kind = FLASH_KDA_CHECKPOINTS_OFFSETS;
  } else if (p.checkpoint_every != 0) {
    p.checkpoint_kind = FLASH_KDA_CHECKPOINTS_EVERY;
  }
  const double lower_bound = PyFloat_AsDouble(args[kNumIntegers]);
  if (lower_bound == -1.0 && PyErr_Occurred()) return false;
  p.lower_bound = static_cast<float>(lower_bound);
  PyObject* scale = args[kNumIntegers + 1];
  if (scale != Py_None) {
    const double value = PyFloat_AsDouble(scale);
    if (value == -1.0 && PyErr_Occurred()) return false;
    // NaN would mean "default" to the C ABI; infinity is refused there with the right message.
    p.scale = std::isnan(value) ? INFINITY : static_cast<float>(value);
  }
  if (call.options.backend == FLASH_KDA_BACKEND_FASTEST) {
    call.options.backend =
        call.device.is_cuda() ? FLASH_KDA_BACKEND_CUDA : FLASH_KDA_BACKEND_FASTEST;
  } else if (call.device.is_cuda() != (call.options.backend == FLASH_KDA_BACKEND_CUDA)) {
    PyErr_SetString(PyExc_ValueError, "backend: does not match the device of the tensors");
    return false;
  }
  return true;
}

bool check_count(const char* function, Py_ssize_t got, Py_ssize_t expected) {
  if (got == expected) return true;
  PyErr_Format(PyExc_TypeError, "%s: expected %zd arguments, got %zd", function, expected, got);
  return false;
}

bool read_call(PyObject* const* args, Call& call) {
  if (!borrow_tensors(args, call) || !describe_tensors(call) ||
      !read_options(args + kNumTensors, call)) {
    return false;
  }
  if (call.device.type == kDeviceCpu || call.device.is_cuda()) return true;
  PyErr_Format(PyExc_ValueError,
               "q: expected on the CPU or a CUDA device, got DLPack device type %d",
               call.device.type);
  return false;
}

// The workspace argument: None on the CPU, else a contiguous byte tensor.
bool read_workspace(PyObject* object, const Call& call, std::size_t bytes, BorrowedTensor& borrowed,
                    void** data, std::size_t* size) {
  if (object == Py_None) {
    if (call.device.is_cuda()) {
      PyErr_SetString(PyExc_ValueError,
                      "workspace: expected a tensor on the device of q, got None");
      return false;
    }
    *data = bytes > 0 ? host_workspace(bytes) : nullptr;
    *size = bytes;
    if (bytes == 0 || *data != nullptr) return true;
    PyErr_NoMemory();
    return false;
  }
  if (!borrow("workspace", object, borrowed)) return false;
  const flash_kda_tensor& view = borrowed.view;
  if (view.dtype != FLASH_KDA_U8 || view.rank != 1 || (view.shape[0] > 1 && view.strides[0] != 1) ||
      borrowed.device.type != call.device.type || borrowed.device.index != call.device.index) {
    PyErr_SetString(PyExc_ValueError,
                    "workspace: expected contiguous uint8 [bytes] on the device of q");
    return false;
  }
  // Plans ask for 64-byte alignment; what lies before the first aligned byte is given up.
  const auto address = reinterpret_cast<std::uintptr_t>(view.data);
  const std::size_t skip = (64 - address % 64) % 64;
  const auto have = static_cast<std::size_t>(view.shape[0]);
  *data = static_cast<char*>(view.data) + skip;
  *size = have > skip ? have - skip : 0;
  return true;
}

PyObject* run_call(PyObject* const* args) {
  Call call;
  if (!read_call(args, call)) return nullptr;
  flash_kda_status status = FLASH_KDA_OK;
  const PlanHandle plan = find_or_make_plan(call.problem, call.options, &status);
  if (!plan) return raise(status);

  BorrowedTensor workspace;
  void* data = nullptr;
  std::size_t bytes = 0;
  if (!read_workspace(args[kNumProblemArgs], call, flash_kda_plan_workspace_bytes(plan.get()),
                      workspace, &data, &bytes)) {
    return nullptr;
  }
  void* stream = PyLong_AsVoidPtr(args[kNumProblemArgs + 1]);
  if (stream == nullptr && PyErr_Occurred()) return nullptr;

  PyThreadState* released = PyEval_SaveThread();
  status = flash_kda_run(plan.get(), &call.tensors, data, bytes, stream);
  PyEval_RestoreThread(released);
  if (status != FLASH_KDA_OK) return raise(status);
  return Py_NewRef(Py_None);
}

// C++ exceptions (bad_alloc of a plan's key) end here.
template <typename Function>
PyObject* guarded(Function&& function) noexcept {
  try {
    return function();
  } catch (const std::bad_alloc&) {
    return PyErr_NoMemory();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
    return nullptr;
  }
}

PyObject* run(PyObject*, PyObject* const* args, Py_ssize_t count) {
  if (!check_count("run", count, kNumProblemArgs + 2)) return nullptr;
  return guarded([&] { return run_call(args); });
}

// Same arguments as run without workspace and stream.
PyObject* workspace_bytes(PyObject*, PyObject* const* args, Py_ssize_t count) {
  if (!check_count("workspace_bytes", count, kNumProblemArgs)) return nullptr;
  return guarded([&]() -> PyObject* {
    Call call;
    if (!read_call(args, call)) return nullptr;
    flash_kda_status status = FLASH_KDA_OK;
    const PlanHandle plan = find_or_make_plan(call.problem, call.options, &status);
    if (!plan) return raise(status);
    // 63 bytes more let any address be aligned.
    return PyLong_FromSize_t(flash_kda_plan_workspace_bytes(plan.get()) + 63);
  });
}

// The plan's choice in one line.
PyObject* describe(PyObject*, PyObject* const* args, Py_ssize_t count) {
  if (!check_count("describe", count, kNumProblemArgs)) return nullptr;
  return guarded([&]() -> PyObject* {
    Call call;
    if (!read_call(args, call)) return nullptr;
    flash_kda_status status = FLASH_KDA_OK;
    const PlanHandle plan = find_or_make_plan(call.problem, call.options, &status);
    if (!plan) return raise(status);
    return PyUnicode_FromString(flash_kda_plan_describe(plan.get()));
  });
}

PyObject* set_torch(PyObject*, PyObject* const* args, Py_ssize_t count) {
  if (!check_count("set_torch", count, 2)) return nullptr;
  register_torch(args[0], args[1]);
  return Py_NewRef(Py_None);
}

PyObject* build_info(PyObject*, PyObject*) { return PyUnicode_FromString(flash_kda_build_info()); }

PyObject* version(PyObject*, PyObject*) { return PyUnicode_FromString(flash_kda_version()); }

template <typename Function>
PyCFunction as_method(Function* function) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

PyMethodDef methods[] = {
    {"run", as_method(&run), METH_FASTCALL, "Plan (cached) and run one call."},
    {"workspace_bytes", as_method(&workspace_bytes), METH_FASTCALL, "Bytes that run wants."},
    {"describe", as_method(&describe), METH_FASTCALL, "The plan's choice, one line."},
    {"set_torch", as_method(&set_torch), METH_FASTCALL, "torch.Tensor and its DLPack exporter."},
    {"build_info", &build_info, METH_NOARGS, "Version and backends, one line."},
    {"version", &version, METH_NOARGS, "Version of the library."},
    {nullptr, nullptr, 0, nullptr}};

PyModuleDef definition = {PyModuleDef_HEAD_INIT,
                          "flash_kda._core",
                          nullptr,
                          -1,
                          methods,
                          nullptr,
                          nullptr,
                          nullptr,
                          nullptr};

}  // namespace
}  // namespace flash_kda::python

PyMODINIT_FUNC PyInit__core() { return PyModule_Create(&flash_kda::python::definition); }
