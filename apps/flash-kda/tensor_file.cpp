#include "apps/flash-kda/tensor_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <new>

#include "apps/common/dtype_names.hpp"

namespace flash_kda::cli {
namespace {

using apps::SafetensorsFile;
using apps::TensorEntry;

constexpr std::array<const char*, 9> kKnownNames{
    "q", "k", "v", "g", "beta", "A_log", "dt_bias", "initial_state", "cu_seqlens"};

Result<TensorView> required(const SafetensorsFile& file, const char* name, std::size_t rank,
                            const char* dimensions) {
  const TensorEntry* entry = file.find(name);
  if (!entry) return Status::invalid_argument(fmt::format("{}: the tensor is missing", name));
  if (entry->shape.size() != rank) {
    return Status::invalid_argument(
        fmt::format("{}: expected {}, got [{}]", name, dimensions, fmt::join(entry->shape, ", ")));
  }
  return file.view(*entry);
}

std::optional<TensorView> optional(const SafetensorsFile& file, const char* name) {
  const TensorEntry* entry = file.find(name);
  if (!entry) return std::nullopt;
  return file.view(*entry);
}

Status add_token_tensors(TensorFile& input) {
  const struct {
    const char* name;
    TensorView* target;
    std::size_t rank;
    const char* dimensions;
  } wanted[] = {{"q", &input.tensors.q, 4, "[B, T, H, K]"},
                {"k", &input.tensors.k, 4, "[B, T, H, K]"},
                {"v", &input.tensors.v, 4, "[B, T, HV, V]"},
                {"g", &input.tensors.g, 4, "[B, T, HV, K]"},
                {"beta", &input.tensors.beta, 3, "[B, T, HV]"}};
  for (const auto& [name, target, rank, dimensions] : wanted) {
    const Result<TensorView> view = required(input.file, name, rank, dimensions);
    if (!view.ok()) return view.status();
    *target = *view;
  }
  return {};
}

void take_sizes_and_types(TensorFile& input) {
  Problem& problem = input.problem;
  const Tensors& tensors = input.tensors;
  problem.batch = tensors.q.shape[0];
  problem.tokens = tensors.q.shape[1];
  problem.qk_heads = tensors.q.shape[2];
  problem.v_heads = tensors.v.shape[2];
  problem.head_dim_k = tensors.q.shape[3];
  problem.head_dim_v = tensors.v.shape[3];
  problem.qkv_dtype = tensors.q.dtype;
  problem.out_dtype = tensors.v.dtype;
  problem.gate_dtype = tensors.g.dtype;
  problem.beta_dtype = tensors.beta.dtype;
}

Status add_initial_state(TensorFile& input, std::optional<DType> wanted) {
  input.tensors.initial_state = optional(input.file, "initial_state");
  if (!input.tensors.initial_state) {
    input.problem.state.dtype = wanted.value_or(DType::kF32);
    return {};
  }
  const DType given = input.tensors.initial_state->dtype;
  input.problem.state.dtype = wanted.value_or(given);
  if (given == input.problem.state.dtype) return {};
  return Status::invalid_argument(
      fmt::format("initial_state: expected {}, as --state-dtype says, got {}",
                  apps::safetensors_name(*wanted), apps::safetensors_name(given)));
}

template <typename Index>
std::vector<std::int64_t> widened(const TensorView& view) {
  const Index* values = static_cast<const Index*>(view.data);
  return {values, values + view.num_elements()};
}

// The library checks cu_seqlens itself, but how many checkpoints there are follows from it before.
Status add_sequences(TensorFile& input) {
  Problem& problem = input.problem;
  const std::optional<TensorView> view = optional(input.file, "cu_seqlens");
  if (!view) {
    input.lengths.assign(static_cast<std::size_t>(problem.batch), problem.tokens);
    return {};
  }
  if (view->rank != 1 || view->shape[0] < 1) {
    return Status::invalid_argument("cu_seqlens: expected [N + 1]");
  }
  if (view->dtype != DType::kI32 && view->dtype != DType::kI64) {
    return Status::invalid_argument(fmt::format("cu_seqlens: expected I32 or I64, got {}",
                                                apps::safetensors_name(view->dtype)));
  }
  input.tensors.cu_seqlens = view;
  problem.num_sequences = view->shape[0] - 1;
  const std::vector<std::int64_t> bounds =
      view->dtype == DType::kI32 ? widened<std::int32_t>(*view) : widened<std::int64_t>(*view);
  for (std::size_t n = 0; n + 1 < bounds.size(); ++n) {
    if (bounds[n] < 0 || bounds[n + 1] < bounds[n] || bounds[n + 1] > problem.tokens) {
      return Status::invalid_argument(
          fmt::format("cu_seqlens: expected values from 0 to T={} that never fall, got {} then {} "
                      "at sequence {}",
                      problem.tokens, bounds[n], bounds[n + 1], n));
    }
    input.lengths.push_back(bounds[n + 1] - bounds[n]);
  }
  return {};
}

Status complete(TensorFile& input, const OperationOptions& options) {
  if (Status status = add_token_tensors(input); !status.ok()) return status;
  take_sizes_and_types(input);
  input.tensors.A_log = optional(input.file, "A_log");
  input.tensors.dt_bias = optional(input.file, "dt_bias");
  if (Status status = add_initial_state(input, options.state_dtype); !status.ok()) return status;
  if (Status status = add_sequences(input); !status.ok()) return status;
  for (const TensorEntry& entry : input.file.entries()) {
    if (std::ranges::find(kKnownNames, entry.name) == kKnownNames.end()) {
      input.unused.push_back(entry.name);
    }
  }
  return check_problem(input.problem);
}

std::vector<std::int64_t> state_shape(const Problem& problem, std::int64_t rows) {
  if (problem.state.layout == StateLayout::kVK) {
    return {rows, problem.v_heads, problem.head_dim_v, problem.head_dim_k};
  }
  return {rows, problem.v_heads, problem.head_dim_k, problem.head_dim_v};
}

TensorView contiguous_view(void* data, DType dtype, const std::vector<std::int64_t>& shape) {
  TensorView view{.data = data, .dtype = dtype, .rank = static_cast<int>(shape.size())};
  std::int64_t stride = 1;
  for (int d = view.rank - 1; d >= 0; --d) {
    view.shape[d] = shape[d];
    view.strides[d] = stride;
    stride *= shape[d];
  }
  return view;
}

void* zeroed_memory(std::size_t bytes) {
  constexpr std::size_t kAlignment = 64;
  const std::size_t rounded = (bytes / kAlignment + 1) * kAlignment;
  void* data = std::aligned_alloc(kAlignment, rounded);
  if (!data) throw std::bad_alloc();  // main turns it into one line and exit code 3
  return std::memset(data, 0, rounded);
}

}  // namespace

void OwnedTensor::Free::operator()(void* data) const { std::free(data); }

OwnedTensor::OwnedTensor(DType dtype, const std::vector<std::int64_t>& shape)
    : view_(contiguous_view(nullptr, dtype, shape)) {
  data_.reset(zeroed_memory(view_.num_elements() * size_of(dtype)));
  view_.data = data_.get();
}

Result<TensorFile> open_tensor_file(const std::string& path, const OperationOptions& options) {
  Result<SafetensorsFile> file = SafetensorsFile::open(path);
  if (!file.ok()) return file.status();
  TensorFile input{std::move(*file), options.problem, {}, {}, {}};
  if (Status status = complete(input, options); !status.ok()) {
    return Status(status.code(), path + ": " + status.message());
  }
  return input;
}

Results add_results(TensorFile& input) {
  const Problem& problem = input.problem;
  Results results;
  const auto add = [&](const char* name, DType dtype, const std::vector<std::int64_t>& shape) {
    results.owned.emplace_back(dtype, shape);
    results.named.push_back({name, results.owned.back().view()});
    return results.owned.back().view();
  };
  input.tensors.out = add("out", problem.out_dtype,
                          {problem.batch, problem.tokens, problem.v_heads, problem.head_dim_v});
  input.tensors.final_state =
      add("final_state", problem.state.dtype, state_shape(problem, problem.sequences()));
  if (problem.checkpoints.kind == CheckpointKind::kEvery) {
    std::int64_t rows = 0;
    for (const std::int64_t length : input.lengths) rows += length / problem.checkpoints.every;
    input.tensors.checkpoints = add("checkpoints", problem.state.dtype, state_shape(problem, rows));
  }
  return results;
}

Status run_once(const Plan& plan, const Tensors& tensors) {
  const OwnedTensor workspace(DType::kU8, {static_cast<std::int64_t>(plan.workspace_bytes)});
  return run_from_host(plan, tensors, {workspace.view().data, plan.workspace_bytes});
}

}  // namespace flash_kda::cli
