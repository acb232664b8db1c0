// flash_kda._core: one call of the C ABI per call of Python. Every argument is positional; the
// package's Python code (flash_kda/_call.py) is the only caller and documents them.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <new>
#include <string>

#include "call.hpp"
#include "plan_cache.hpp"
#include "python_api.hpp"
#include "tensor.hpp"

namespace flash_kda::python {
namespace {

constexpr std::uintptr_t kWorkspaceAlignment = 64;  // of every plan

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

bool check_count(const char* function, Py_ssize_t got, Py_ssize_t expected) {
  if (got == expected) return true;
  PyErr_Format(PyExc_TypeError, "%s: expected %zd arguments, got %zd", function, expected, got);
  return false;
}

PlanHandle plan_of(const Call& call, flash_kda_status* status) {
  return find_or_make_plan(call.problem, call.options, call.device.index, status);
}

struct Workspace {
  void* data = nullptr;
  std::size_t bytes = 0;
  Ref object;
  BorrowedTensor borrowed;
};

// What lies before the first aligned byte is given up.
bool take_workspace_tensor(const Call& call, Workspace& workspace) {
  BorrowedTensor& tensor = workspace.borrowed;
  if (!borrow("workspace", workspace.object.get(), Access::kWrite, tensor)) return false;
  const flash_kda_tensor& view = tensor.view;
  const bool is_bytes = view.dtype == FLASH_KDA_U8 && view.rank == 1;
  if (!is_bytes || (view.shape[0] > 1 && view.strides[0] != 1) || tensor.device != call.device) {
    PyErr_SetString(PyExc_ValueError,
                    "workspace: expected contiguous uint8 [bytes] on the device of q");
    return false;
  }
  const auto address = reinterpret_cast<std::uintptr_t>(view.data);
  const std::size_t skip =
      (kWorkspaceAlignment - address % kWorkspaceAlignment) % kWorkspaceAlignment;
  const auto have = static_cast<std::size_t>(view.shape[0]);
  workspace.data = static_cast<char*>(view.data) + skip;
  workspace.bytes = have > skip ? have - skip : 0;
  return true;
}

// object: a tensor; or a function from a number of bytes to one; or None, on the CPU.
bool take_workspace(PyObject* object, const Call& call, std::size_t bytes, Workspace& workspace) {
  if (object == Py_None && call.device.is_cpu()) {
    workspace.data = bytes > 0 ? host_workspace(bytes) : nullptr;
    workspace.bytes = bytes;
    if (bytes == 0 || workspace.data != nullptr) return true;
    PyErr_NoMemory();
    return false;
  }
  if (object == Py_None) {
    PyErr_SetString(PyExc_ValueError, "workspace: expected a tensor on the device of q, got None");
    return false;
  }
  if (PyCallable_Check(object) == 0) {
    workspace.object = Ref::borrowed(object);
    return take_workspace_tensor(call, workspace);
  }
  if (bytes == 0) return true;
  const Ref size(PyLong_FromSize_t(bytes + kWorkspaceAlignment - 1));
  if (!size) return false;
  workspace.object = Ref(PyObject_CallFunctionObjArgs(object, size.get(), nullptr));
  return workspace.object && take_workspace_tensor(call, workspace);
}

// args: a call, workspace, stream (an address; 0: the default stream).
PyObject* run_call(PyObject* const* args) {
  Call call;
  if (!call.read(args)) return nullptr;
  flash_kda_status status = FLASH_KDA_OK;
  const PlanHandle plan = plan_of(call, &status);
  if (!plan) return raise(status);

  Workspace workspace;
  const std::size_t bytes = flash_kda_plan_workspace_bytes(plan.get());
  if (!take_workspace(args[kNumCallArgs], call, bytes, workspace)) return nullptr;
  void* stream = PyLong_AsVoidPtr(args[kNumCallArgs + 1]);
  if (stream == nullptr && PyErr_Occurred() != nullptr) return nullptr;

  PyThreadState* released = PyEval_SaveThread();
  status = flash_kda_run(plan.get(), &call.tensors, workspace.data, workspace.bytes, stream);
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
  if (!check_count("run", count, kNumCallArgs + 2)) return nullptr;
  return guarded([&] { return run_call(args); });
}

// args: a call. Raises what run would raise before it computes; returns the plan in one line.
PyObject* check(PyObject*, PyObject* const* args, Py_ssize_t count) {
  if (!check_count("check", count, kNumCallArgs)) return nullptr;
  return guarded([&]() -> PyObject* {
    Call call;
    if (!call.read(args)) return nullptr;
    flash_kda_status status = FLASH_KDA_OK;
    const PlanHandle plan = plan_of(call, &status);
    if (!plan) return raise(status);
    // run looks at the tensors first and at the workspace then: without one it goes no further.
    if (flash_kda_plan_workspace_bytes(plan.get()) > 0) {
      status = flash_kda_run(plan.get(), &call.tensors, nullptr, 0, nullptr);
      if (status != FLASH_KDA_WORKSPACE_TOO_SMALL) return raise(status);
    }
    return PyUnicode_FromString(flash_kda_plan_describe(plan.get()));
  });
}

// args: a call, repetitions. Seconds that one flash_kda_run takes, for measuring what Python adds.
PyObject* time_run(PyObject*, PyObject* const* args, Py_ssize_t count) {
  if (!check_count("time_run", count, kNumCallArgs + 1)) return nullptr;
  return guarded([&]() -> PyObject* {
    Call call;
    std::int32_t repetitions = 0;
    if (!call.read(args) || !read_int32("repetitions", args[kNumCallArgs], repetitions)) {
      return nullptr;
    }
    flash_kda_status status = FLASH_KDA_OK;
    const PlanHandle plan = plan_of(call, &status);
    if (!plan) return raise(status);
    Workspace workspace;
    const std::size_t bytes = flash_kda_plan_workspace_bytes(plan.get());
    if (!take_workspace(Py_None, call, bytes, workspace)) return nullptr;
    const auto begin = std::chrono::steady_clock::now();
    for (std::int32_t i = 0; i < repetitions && status == FLASH_KDA_OK; ++i) {
      status = flash_kda_run(plan.get(), &call.tensors, workspace.data, workspace.bytes, nullptr);
    }
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
    if (status != FLASH_KDA_OK) return raise(status);
    return PyFloat_FromDouble(elapsed.count() / std::max(repetitions, 1));
  });
}

// args: integers as named below. Bytes of packed sequences with max_offsets checkpoints each.
PyObject* workspace_bytes(PyObject*, PyObject* const* args, Py_ssize_t count) {
  static const char* const kNames[] = {"backend", "T_total", "N",         "H",       "HV",
                                       "K",       "V",       "precision", "threads", "max_offsets"};
  constexpr auto kCount = static_cast<Py_ssize_t>(std::size(kNames));
  if (!check_count("workspace_bytes", count, kCount)) return nullptr;
  std::int32_t values[kCount];
  for (Py_ssize_t i = 0; i < kCount; ++i) {
    if (!read_int32(kNames[i], args[i], values[i])) return nullptr;
  }
  return guarded([&]() -> PyObject* {
    Call call;
    call.options.backend = values[0];
    call.problem.tokens = values[1];
    call.problem.num_sequences = values[2];
    call.problem.qk_heads = values[3];
    call.problem.v_heads = values[4];
    call.problem.head_dim_k = values[5];
    call.problem.head_dim_v = values[6];
    call.options.precision = values[7];
    call.options.threads = values[8];
    // Of whatever the plan may choose: types and checkpoints that are not known yet decide that.
    std::size_t most = 0;
    for (const std::int32_t max_offsets : {0, values[9]}) {
      call.problem.checkpoint_kind =
          max_offsets > 0 ? FLASH_KDA_CHECKPOINTS_OFFSETS : FLASH_KDA_CHECKPOINTS_NONE;
      call.problem.checkpoint_max_offsets = max_offsets;
      for (const std::int32_t algorithm :
           {FLASH_KDA_ALGORITHM_AUTO, FLASH_KDA_ALGORITHM_CHUNKED, FLASH_KDA_ALGORITHM_FUSED}) {
        call.options.algorithm = algorithm;
        // Not through the cache: a bound looks at hundreds of shapes that nobody will run.
        flash_kda_plan* plan = nullptr;
        const flash_kda_status status = flash_kda_plan_create(&call.problem, &call.options, &plan);
        if (status == FLASH_KDA_UNSUPPORTED && algorithm != FLASH_KDA_ALGORITHM_AUTO) continue;
        if (status != FLASH_KDA_OK) return raise(status);
        most = std::max(most, flash_kda_plan_workspace_bytes(plan));
        flash_kda_plan_destroy(plan);
      }
    }
    return PyLong_FromSize_t(most);
  });
}

// args: torch.Tensor, torch._C._to_dlpack, torch.Tensor.__dlpack_c_exchange_api__ or None.
PyObject* set_torch(PyObject*, PyObject* const* args, Py_ssize_t count) {
  if (!check_count("set_torch", count, 3)) return nullptr;
  if (!register_torch(args[0], args[1], args[2])) return nullptr;
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
    {"check", as_method(&check), METH_FASTCALL, "Check one call; its plan in one line."},
    {"time_run", as_method(&time_run), METH_FASTCALL, "Seconds of one call of the library."},
    {"workspace_bytes", as_method(&workspace_bytes), METH_FASTCALL, "Bytes of one shape."},
    {"set_torch", as_method(&set_torch), METH_FASTCALL, "How to read PyTorch's tensors."},
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
