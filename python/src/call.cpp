#include "call.hpp"

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <limits>

namespace flash_kda::python {
namespace {

constexpr Py_ssize_t kNumRequired = 6;  // q to out

struct TensorSlot {
  const char* name;
  std::size_t offset;  // of its flash_kda_tensor in flash_kda_tensors
  Access access = Access::kRead;
};
constexpr TensorSlot kTensorSlots[] = {
    {"q", offsetof(flash_kda_tensors, q)},
    {"k", offsetof(flash_kda_tensors, k)},
    {"v", offsetof(flash_kda_tensors, v)},
    {"g", offsetof(flash_kda_tensors, g)},
    {"beta", offsetof(flash_kda_tensors, beta)},
    {"out", offsetof(flash_kda_tensors, out), Access::kWrite},
    {"A_log", offsetof(flash_kda_tensors, A_log)},
    {"dt_bias", offsetof(flash_kda_tensors, dt_bias)},
    {"cu_seqlens", offsetof(flash_kda_tensors, cu_seqlens)},
    {"initial_state", offsetof(flash_kda_tensors, initial_state)},
    {"final_state", offsetof(flash_kda_tensors, final_state), Access::kWrite},
    {"state_pool", offsetof(flash_kda_tensors, state_pool), Access::kWrite},
    {"state_indices", offsetof(flash_kda_tensors, state_indices)},
    {"has_initial_state", offsetof(flash_kda_tensors, has_initial_state)},
    {"checkpoints", offsetof(flash_kda_tensors, checkpoints), Access::kWrite},
    {"checkpoint_offsets", offsetof(flash_kda_tensors, checkpoint_offsets)},
    {"checkpoint_slots", offsetof(flash_kda_tensors, checkpoint_slots)}};
static_assert(std::size(kTensorSlots) == kNumTensors);

bool borrow_tensors(PyObject* const* args, Call& call) {
  for (Py_ssize_t i = 0; i < kNumTensors; ++i) {
    const TensorSlot& slot = kTensorSlots[i];
    if (args[i] == Py_None) {
      if (i >= kNumRequired) continue;
      PyErr_Format(PyExc_TypeError, "%s: expected a tensor, got None", slot.name);
      return false;
    }
    BorrowedTensor& tensor = call.borrowed[i];
    if (!borrow(slot.name, args[i], slot.access, tensor)) return false;
    if (i == 0) call.device = tensor.device;
    if (tensor.device != call.device) {
      PyErr_Format(PyExc_ValueError, "%s: expected on the device of q (DLPack %d:%d), got %d:%d",
                   slot.name, call.device.type, call.device.index, tensor.device.type,
                   tensor.device.index);
      return false;
    }
    std::memcpy(reinterpret_cast<char*>(&call.tensors) + slot.offset, &tensor.view,
                sizeof(tensor.view));
  }
  if (call.device.is_cpu() || call.device.is_cuda()) return true;
  PyErr_Format(PyExc_ValueError, "q: expected on the CPU or a CUDA device, got DLPack device %d",
               call.device.type);
  return false;
}

bool expect_rank(const char* name, const flash_kda_tensor& tensor, int rank, const char* shape) {
  if (tensor.rank == rank) return true;
  PyErr_Format(PyExc_ValueError, "%s: expected %s, got %d dimensions", name, shape, tensor.rank);
  return false;
}

bool is_present(const flash_kda_tensor& tensor) {
  return tensor.data != nullptr || tensor.rank > 0;
}

// [N, ...] to [N, 1, ...].
void insert_second_dim(flash_kda_tensor& tensor) {
  for (int dim = tensor.rank; dim > 1; --dim) {
    tensor.shape[dim] = tensor.shape[dim - 1];
    tensor.strides[dim] = tensor.strides[dim - 1];
  }
  tensor.shape[1] = 1;
  tensor.strides[1] = 1;
  ++tensor.rank;
}

// One offset a sequence may come as [N], its states as [N, HV, V, K].
void widen_checkpoints(flash_kda_tensors& t) {
  if (t.checkpoint_offsets.rank != 1) return;
  insert_second_dim(t.checkpoint_offsets);
  if (t.checkpoint_slots.rank == 1) insert_second_dim(t.checkpoint_slots);
  if (t.checkpoint_slots.rank == 0 && t.checkpoints.rank == 4) insert_second_dim(t.checkpoints);
}

bool describe_sequences(const flash_kda_tensor& cu_seqlens, flash_kda_problem& p) {
  if (!is_present(cu_seqlens)) return true;
  if (!expect_rank("cu_seqlens", cu_seqlens, 1, "[N + 1]")) return false;
  if (cu_seqlens.shape[0] == 0) {
    PyErr_SetString(PyExc_ValueError,
                    "cu_seqlens: expected [N + 1], at least one element, got [0]");
    return false;
  }
  p.num_sequences = cu_seqlens.shape[0] - 1;
  return true;
}

void describe_states(const flash_kda_tensors& t, flash_kda_problem& p) {
  for (const flash_kda_tensor* state :
       {&t.initial_state, &t.final_state, &t.state_pool, &t.checkpoints}) {
    if (!is_present(*state)) continue;
    p.state_dtype = state->dtype;
    break;
  }
  if (is_present(t.state_pool)) {
    p.state_storage = FLASH_KDA_STATE_POOL;
    p.state_pool_slots = t.state_pool.rank > 0 ? t.state_pool.shape[0] : 0;
  }
  if (is_present(t.checkpoint_slots)) {
    p.checkpoint_destination = FLASH_KDA_STATE_POOL;
    p.checkpoint_pool_slots = t.checkpoints.rank > 0 ? t.checkpoints.shape[0] : 0;
  }
  if (is_present(t.checkpoint_offsets)) {
    p.checkpoint_kind = FLASH_KDA_CHECKPOINTS_OFFSETS;
    p.checkpoint_max_offsets = t.checkpoint_offsets.rank == 2 ? t.checkpoint_offsets.shape[1] : 1;
  }
}

// Sizes and types that the tensors tell; what contradicts is found by the library's own checks.
bool describe_tensors(Call& call) {
  flash_kda_tensors& t = call.tensors;
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
  widen_checkpoints(t);
  describe_states(t, p);
  return describe_sequences(t.cu_seqlens, p);
}

bool read_float(const char* name, PyObject* object, float& out) {
  const double value = PyFloat_AsDouble(object);
  if (value == -1.0 && PyErr_Occurred() != nullptr) {
    PyErr_Format(PyExc_TypeError, "%s: expected a number, got %R", name, object);
    return false;
  }
  out = static_cast<float>(value);
  return true;
}

bool read_options(PyObject* const* args, Call& call) {
  flash_kda_problem& p = call.problem;
  std::int32_t every = 0;
  if (!read_int32("gate", args[0], p.gate_kind) || !read_int32("qk_l2norm", args[1], p.qk_norm) ||
      !read_int32("beta_form", args[2], p.beta_form) ||
      !read_int32("neg_eigval", args[3], p.beta_range) ||
      !read_int32("state_layout", args[4], p.state_layout) ||
      !read_int32("checkpoint_every", args[5], every) ||
      !read_int32("backend", args[6], call.options.backend) ||
      !read_int32("precision", args[7], call.options.precision) ||
      !read_int32("threads", args[8], call.options.threads) ||
      !read_int32("cuts", args[9], call.options.cuts) ||
      !read_int32("multiprocessors", args[10], call.options.multiprocessors) ||
      !read_int32("v_panel", args[11], call.options.v_panel)) {
    return false;
  }
  if (every != 0) {
    if (p.checkpoint_kind == FLASH_KDA_CHECKPOINTS_OFFSETS) {
      PyErr_SetString(PyExc_ValueError,
                      "checkpoint_every: expected 0 with checkpoint_offsets, got both");
      return false;
    }
    p.checkpoint_kind = FLASH_KDA_CHECKPOINTS_EVERY;
    p.checkpoint_every = every;
  }
  if (!read_float("lower_bound", args[kNumIntegers], p.lower_bound)) return false;
  PyObject* scale = args[kNumIntegers + 1];
  if (scale == Py_None) return true;
  if (!read_float("scale", scale, p.scale)) return false;
  // NaN would mean "default" to the C ABI; infinity is refused there with the right message.
  if (std::isnan(p.scale)) p.scale = INFINITY;
  return true;
}

// Of tensors in host memory, where the library's own choice could be a GPU. FLASH_KDA_BACKEND in
// the environment may ask for the reference; a name that is unknown is left to the library to
// refuse.
std::int32_t host_backend() {
  const char* name = std::getenv("FLASH_KDA_BACKEND");
  if (name == nullptr || *name == '\0') return FLASH_KDA_BACKEND_CPU;
  if (std::strcmp(name, "reference") == 0) return FLASH_KDA_BACKEND_REFERENCE;
  const bool is_known = std::strcmp(name, "cpu") == 0 || std::strcmp(name, "cuda") == 0;
  return is_known ? FLASH_KDA_BACKEND_CPU : FLASH_KDA_BACKEND_FASTEST;
}

bool choose_backend(Call& call) {
  std::int32_t& backend = call.options.backend;
  if (backend == FLASH_KDA_BACKEND_FASTEST) {
    backend = call.device.is_cuda() ? FLASH_KDA_BACKEND_CUDA : host_backend();
    return true;
  }
  if (call.device.is_cuda() == (backend == FLASH_KDA_BACKEND_CUDA)) return true;
  PyErr_Format(PyExc_ValueError, "backend: does not match the device of q, which is %s",
               call.device.is_cuda() ? "a CUDA device" : "the CPU");
  return false;
}

}  // namespace

// Padding bytes are part of the plan cache's key: they must not be left to chance.
Call::Call() {
  std::memset(&problem, 0, sizeof(problem));
  std::memset(&options, 0, sizeof(options));
  flash_kda_problem_init(&problem);
  flash_kda_plan_options_init(&options);
  flash_kda_tensors_init(&tensors);
}

bool Call::read(PyObject* const* args) {
  return borrow_tensors(args, *this) && describe_tensors(*this) &&
         read_options(args + kNumTensors, *this) && choose_backend(*this);
}

bool read_int32(const char* name, PyObject* object, std::int32_t& out) {
  using Limits = std::numeric_limits<std::int32_t>;
  int overflow = 0;
  const long long value = PyLong_AsLongLongAndOverflow(object, &overflow);
  if (value == -1 && overflow == 0 && PyErr_Occurred() != nullptr) {
    PyErr_Format(PyExc_TypeError, "%s: expected an integer, got %R", name, object);
    return false;
  }
  if (overflow != 0 || value < Limits::min() || value > Limits::max()) {
    PyErr_Format(PyExc_ValueError, "%s: expected a 32-bit integer, got %R", name, object);
    return false;
  }
  out = static_cast<std::int32_t>(value);
  return true;
}

}  // namespace flash_kda::python
