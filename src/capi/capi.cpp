// The C ABI over the C++ interface: convert, call, turn every outcome into a status.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <exception>
#include <iterator>
#include <new>
#include <string>

#include "flash_kda/flash_kda.h"
#include "flash_kda/flash_kda.hpp"
#include "fmt/format.h"

struct flash_kda_plan {
  flash_kda::Plan plan;
  std::string description;
};

namespace {

using flash_kda::Problem;
using flash_kda::Status;
using flash_kda::StatusCode;

thread_local std::string last_error;

flash_kda_status fail(StatusCode code, const char* message) noexcept {
  try {
    last_error = message;
  } catch (...) {  // no memory for the message: the code still tells
    last_error.clear();
  }
  return static_cast<flash_kda_status>(code);
}

flash_kda_status finish(const Status& status) noexcept {
  return status.ok() ? FLASH_KDA_OK : fail(status.code(), status.message().c_str());
}

// The only place where exceptions (std::bad_alloc of a plan or a message) meet the C ABI.
template <typename Function>
flash_kda_status guarded(Function&& function) noexcept {
  try {
    return finish(function());
  } catch (const std::bad_alloc&) {
    return fail(StatusCode::kOutOfMemory, "out of memory");
  } catch (const std::exception& error) {
    return fail(StatusCode::kInternal, error.what());
  } catch (...) {
    return fail(StatusCode::kInternal, "unknown exception");
  }
}

Status null_argument(const char* name) {
  return Status::invalid_argument(fmt::format("{}: expected a pointer, got NULL", name));
}

// A caller compiled against an older header passes a smaller struct: the fields it lacks keep their
// defaults. A larger one comes from a newer header whose extra fields this library cannot honour.
template <typename Struct>
Status copy_versioned(const char* name, const Struct* from, Struct& to) {
  if (from == nullptr) return null_argument(name);
  if (from->struct_size < sizeof(std::size_t) || from->struct_size > sizeof(Struct)) {
    return Status::invalid_argument(
        fmt::format("{}.struct_size: expected at most {} (was {}_init called?), got {}", name,
                    sizeof(Struct), name, from->struct_size));
  }
  std::memcpy(&to, from, from->struct_size);
  return {};
}

template <typename Enum>
Enum to_enum(std::int32_t value) {
  return static_cast<Enum>(value);  // check_problem refuses values outside the enum
}

Problem to_problem(const flash_kda_problem& c) {
  Problem p;
  p.batch = c.batch;
  p.tokens = c.tokens;
  if (c.num_sequences != -1) p.num_sequences = c.num_sequences;
  p.qk_heads = c.qk_heads;
  p.v_heads = c.v_heads;
  p.head_dim_k = c.head_dim_k;
  p.head_dim_v = c.head_dim_v;
  p.qkv_dtype = to_enum<flash_kda::DType>(c.qkv_dtype);
  p.out_dtype = to_enum<flash_kda::DType>(c.out_dtype);
  p.gate_dtype = to_enum<flash_kda::DType>(c.gate_dtype);
  p.beta_dtype = to_enum<flash_kda::DType>(c.beta_dtype);
  p.gate = {to_enum<flash_kda::GateKind>(c.gate_kind), c.lower_bound};
  p.qk_norm = to_enum<flash_kda::QkNorm>(c.qk_norm);
  p.beta_form = to_enum<flash_kda::BetaForm>(c.beta_form);
  p.beta_range = to_enum<flash_kda::BetaRange>(c.beta_range);
  if (!std::isnan(c.scale)) p.scale = c.scale;
  p.state = {to_enum<flash_kda::StateStorage>(c.state_storage),
             to_enum<flash_kda::DType>(c.state_dtype),
             to_enum<flash_kda::StateLayout>(c.state_layout), c.state_pool_slots};
  p.checkpoints = {to_enum<flash_kda::CheckpointKind>(c.checkpoint_kind), c.checkpoint_every,
                   c.checkpoint_max_offsets,
                   to_enum<flash_kda::StateStorage>(c.checkpoint_destination),
                   c.checkpoint_pool_slots};
  return p;
}

flash_kda::PlanOptions to_options(const flash_kda_plan_options& c) {
  flash_kda::PlanOptions options;
  if (c.backend != FLASH_KDA_BACKEND_FASTEST) {
    options.backend = to_enum<flash_kda::BackendKind>(c.backend);
  }
  options.precision = to_enum<flash_kda::Precision>(c.precision);
  options.threads = c.threads;
  options.algorithm = to_enum<flash_kda::Algorithm>(c.algorithm);
  options.multiprocessors = c.multiprocessors;
  options.cuts = to_enum<flash_kda::Cuts>(c.cuts);
  options.v_panel = c.v_panel;
  return options;
}

flash_kda::TensorView to_view(const flash_kda_tensor& c) {
  flash_kda::TensorView view{
      .data = c.data, .dtype = to_enum<flash_kda::DType>(c.dtype), .rank = c.rank};
  static_assert(flash_kda::kMaxRank == FLASH_KDA_MAX_RANK);
  std::copy(std::begin(c.shape), std::end(c.shape), view.shape.begin());
  std::copy(std::begin(c.strides), std::end(c.strides), view.strides.begin());
  return view;
}

std::optional<flash_kda::TensorView> to_optional_view(const flash_kda_tensor& c) {
  if (c.data == nullptr && c.rank == 0) return std::nullopt;
  return to_view(c);
}

flash_kda::Tensors to_tensors(const flash_kda_tensors& c) {
  flash_kda::Tensors t;
  t.q = to_view(c.q);
  t.k = to_view(c.k);
  t.v = to_view(c.v);
  t.g = to_view(c.g);
  t.beta = to_view(c.beta);
  t.out = to_view(c.out);
  t.A_log = to_optional_view(c.A_log);
  t.dt_bias = to_optional_view(c.dt_bias);
  t.cu_seqlens = to_optional_view(c.cu_seqlens);
  t.initial_state = to_optional_view(c.initial_state);
  t.final_state = to_optional_view(c.final_state);
  t.state_pool = to_optional_view(c.state_pool);
  t.state_indices = to_optional_view(c.state_indices);
  t.has_initial_state = to_optional_view(c.has_initial_state);
  t.checkpoints = to_optional_view(c.checkpoints);
  t.checkpoint_offsets = to_optional_view(c.checkpoint_offsets);
  t.checkpoint_slots = to_optional_view(c.checkpoint_slots);
  return t;
}

Status read_problem(const flash_kda_problem* from, Problem& to) {
  flash_kda_problem c;
  flash_kda_problem_init(&c);
  if (Status s = copy_versioned("flash_kda_problem", from, c); !s.ok()) return s;
  to = to_problem(c);
  return {};
}

std::string describe_build() {
  std::string text = fmt::format("FlashKDA {}, backends:", flash_kda::version());
  const char* separator = " ";
  for (const flash_kda::BackendKind kind : flash_kda::backends()) {
    const flash_kda::BackendInfo info = flash_kda::backend_info(kind);
    text += fmt::format("{}{} ({})", separator, flash_kda::to_string(kind),
                        info.available ? info.targets : info.unavailable_reason);
    separator = ", ";
  }
  return text;
}

}  // namespace

extern "C" {

const char* flash_kda_version(void) { return flash_kda::version(); }

int flash_kda_abi_version(void) { return FLASH_KDA_ABI_VERSION; }

const char* flash_kda_build_info(void) {
  try {
    static const std::string text = describe_build();
    return text.c_str();
  } catch (...) {
    return "FlashKDA";
  }
}

const char* flash_kda_last_error(void) { return last_error.c_str(); }

const char* flash_kda_status_name(flash_kda_status status) {
  return flash_kda::to_string(static_cast<StatusCode>(status));
}

void flash_kda_problem_init(flash_kda_problem* problem) {
  if (problem == nullptr) return;
  const Problem defaults;
  *problem = {};
  problem->struct_size = sizeof(*problem);
  problem->batch = defaults.batch;
  problem->num_sequences = -1;
  problem->qkv_dtype = FLASH_KDA_BF16;
  problem->out_dtype = FLASH_KDA_BF16;
  problem->gate_dtype = FLASH_KDA_BF16;
  problem->beta_dtype = FLASH_KDA_BF16;
  problem->lower_bound = defaults.gate.lower_bound;
  problem->qk_norm = FLASH_KDA_QK_NORM_L2;
  problem->scale = NAN;
  problem->state_dtype = FLASH_KDA_F32;
}

void flash_kda_plan_options_init(flash_kda_plan_options* options) {
  if (options == nullptr) return;
  *options = {};
  options->struct_size = sizeof(*options);
  options->backend = FLASH_KDA_BACKEND_FASTEST;
}

void flash_kda_tensors_init(flash_kda_tensors* tensors) {
  if (tensors == nullptr) return;
  *tensors = {};
  tensors->struct_size = sizeof(*tensors);
}

flash_kda_status flash_kda_supports(const flash_kda_problem* problem, int32_t backend) {
  return guarded([&]() -> Status {
    Problem p;
    if (Status s = read_problem(problem, p); !s.ok()) return s;
    flash_kda::Support support = flash_kda::supports(p, to_enum<flash_kda::BackendKind>(backend));
    return support.supported ? Status() : Status::unsupported(std::move(support.reason));
  });
}

flash_kda_status flash_kda_plan_create(const flash_kda_problem* problem,
                                       const flash_kda_plan_options* options,
                                       flash_kda_plan** plan) {
  return guarded([&]() -> Status {
    if (plan == nullptr) return null_argument("plan");
    Problem p;
    if (Status s = read_problem(problem, p); !s.ok()) return s;
    flash_kda_plan_options c;
    flash_kda_plan_options_init(&c);
    if (options != nullptr) {
      if (Status s = copy_versioned("flash_kda_plan_options", options, c); !s.ok()) return s;
    }
    flash_kda::Result<flash_kda::Plan> made = flash_kda::make_plan(p, to_options(c));
    if (!made.ok()) return made.status();
    std::string description = to_string(made->config);
    *plan = new flash_kda_plan{std::move(made).value(), std::move(description)};
    return {};
  });
}

void flash_kda_plan_destroy(flash_kda_plan* plan) { delete plan; }

size_t flash_kda_plan_workspace_bytes(const flash_kda_plan* plan) {
  return plan == nullptr ? 0 : plan->plan.workspace_bytes;
}

size_t flash_kda_plan_workspace_alignment(const flash_kda_plan*) {
  return flash_kda::Plan::kWorkspaceAlignment;
}

size_t flash_kda_plan_cut_counts_offset(const flash_kda_plan* plan) {
  return plan == nullptr ? 0 : plan->plan.cut_counts_offset;
}

int32_t flash_kda_plan_backend(const flash_kda_plan* plan) {
  return plan == nullptr ? FLASH_KDA_BACKEND_FASTEST
                         : static_cast<int32_t>(plan->plan.config.backend);
}

const char* flash_kda_plan_describe(const flash_kda_plan* plan) {
  return plan == nullptr ? "" : plan->description.c_str();
}

flash_kda_status flash_kda_run(const flash_kda_plan* plan, const flash_kda_tensors* tensors,
                               void* workspace, size_t workspace_bytes, void* stream) {
  return guarded([&]() -> Status {
    if (plan == nullptr) return null_argument("plan");
    flash_kda_tensors c;
    flash_kda_tensors_init(&c);
    if (Status s = copy_versioned("flash_kda_tensors", tensors, c); !s.ok()) return s;
    return flash_kda::run(plan->plan, to_tensors(c), {workspace, workspace_bytes}, stream);
  });
}

}  // extern "C"
