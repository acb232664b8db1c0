#include <algorithm>
#include <array>
#include <initializer_list>
#include <limits>
#include <string>

#include "core/checks.hpp"
#include "fmt/format.h"

namespace flash_kda {
namespace {

enum class Access { kRead, kWrite };
enum class Extent { kExact, kAtLeast };

struct Dim {
  const char* name;
  std::int64_t extent;
  Extent rule = Extent::kExact;
};
using Dims = std::initializer_list<Dim>;
using DTypes = std::initializer_list<DType>;

// Messages are built on failure only: the passing path allocates nothing.
std::string format_expected(Dims dims) {
  std::string text = "[";
  for (const Dim& dim : dims) {
    if (text.size() > 1) text += ", ";
    text += fmt::format("{}{}{}", dim.name, dim.rule == Extent::kExact ? "=" : ">=", dim.extent);
  }
  return text + "]";
}

template <typename Values>
std::string format_list(const Values& values, int count) {
  std::string text = "[";
  for (int i = 0; i < count; ++i) text += fmt::format("{}{}", i ? ", " : "", values[i]);
  return text + "]";
}

Status check_dtype(const char* name, const TensorView& view, DTypes allowed) {
  if (std::find(allowed.begin(), allowed.end(), view.dtype) != allowed.end()) return {};
  std::string list;
  for (const DType dtype : allowed)
    list += fmt::format("{}{}", list.empty() ? "" : " or ", to_string(dtype));
  return Status::invalid_argument(
      fmt::format("{}: expected dtype {}, got {}", name, list, to_string(view.dtype)));
}

Status check_shape(const char* name, const TensorView& view, Dims dims) {
  bool matches = view.rank == static_cast<int>(dims.size());
  int i = 0;
  for (const Dim& dim : dims) {
    if (!matches) break;
    const std::int64_t got = view.shape[i++];
    matches = dim.rule == Extent::kExact ? got == dim.extent : got >= dim.extent;
  }
  if (matches) return {};
  const int shown = std::clamp(view.rank, 0, kMaxRank);
  return Status::invalid_argument(fmt::format(
      "{}: expected {}, got {}", name, format_expected(dims), format_list(view.shape, shown)));
}

Status check_last_stride(const char* name, const TensorView& view) {
  const int last = view.rank - 1;
  if (view.shape[last] <= 1 || view.strides[last] == 1) return {};
  return Status::invalid_argument(
      fmt::format("{}: expected the last dimension contiguous (stride 1), got stride {}", name,
                  view.strides[last]));
}

std::int64_t magnitude(std::int64_t stride) {
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  return stride >= 0 ? stride : stride < -kMax ? kMax : -stride;
}

// True when no two indices can meet: ordered by stride, each dimension steps over all smaller ones.
bool elements_are_disjoint(const TensorView& view) {
  std::array<int, kMaxRank> order{};  // dimensions by growing stride (insertion sort: at most 6)
  int count = 0;
  for (int dim = 0; dim < view.rank; ++dim) {
    if (view.shape[dim] <= 1) continue;
    int place = count++;
    for (; place > 0; --place) {
      if (magnitude(view.strides[order[place - 1]]) <= magnitude(view.strides[dim])) break;
      order[place] = order[place - 1];
    }
    order[place] = dim;
  }
  std::int64_t span = 1;
  for (int i = 0; i < count; ++i) {
    const std::int64_t stride = magnitude(view.strides[order[i]]);
    if (stride < span) return false;
    std::int64_t reach = 0;
    if (__builtin_mul_overflow(stride, view.shape[order[i]] - 1, &reach) ||
        __builtin_add_overflow(span, reach, &span)) {
      return false;  // wider than any memory
    }
  }
  return true;
}

Status check_tensor(const char* name, const TensorView& view, DTypes dtypes, Dims dims,
                    Access access = Access::kRead) {
  if (Status s = check_shape(name, view, dims); !s.ok()) return s;
  if (Status s = check_dtype(name, view, dtypes); !s.ok()) return s;
  if (view.num_elements() == 0) return {};
  if (view.data == nullptr) {
    return Status::invalid_argument(fmt::format("{}: expected data, got a null pointer", name));
  }
  if (reinterpret_cast<std::uintptr_t>(view.data) % size_of(view.dtype) != 0) {
    return Status::invalid_argument(fmt::format("{}: expected an address aligned to {} bytes ({})",
                                                name, size_of(view.dtype), to_string(view.dtype)));
  }
  if (Status s = check_last_stride(name, view); !s.ok()) return s;
  if (access == Access::kWrite && !elements_are_disjoint(view)) {
    return Status::invalid_argument(
        fmt::format("{}: expected strides under which no two elements overlap, got {}", name,
                    format_list(view.strides, view.rank)));
  }
  return {};
}

Status expect_absent(const char* name, const std::optional<TensorView>& view, const char* why) {
  if (!view.has_value()) return {};
  return Status::invalid_argument(
      fmt::format("{}: expected to be absent {}, but was given", name, why));
}

Status missing(const char* name, const char* why) {
  return Status::invalid_argument(fmt::format("{}: required {}, but absent", name, why));
}

bool is_contiguous(const TensorView& view) {
  std::int64_t stride = 1;
  for (int dim = view.rank - 1; dim >= 0; --dim) {
    if (view.shape[dim] > 1 && view.strides[dim] != stride) return false;
    if (__builtin_mul_overflow(stride, view.shape[dim], &stride)) return false;
  }
  return true;
}

Status check_token_tensors(const Problem& p, const Tensors& t) {
  const Dim b{"B", p.batch}, tokens{"T", p.tokens, Extent::kAtLeast};
  const Dim h{"H", p.qk_heads}, hv{"HV", p.v_heads}, k{"K", p.head_dim_k}, v{"V", p.head_dim_v};
  if (Status s = check_tensor("q", t.q, {p.qkv_dtype}, {b, tokens, h, k}); !s.ok()) return s;
  if (Status s = check_tensor("k", t.k, {p.qkv_dtype}, {b, tokens, h, k}); !s.ok()) return s;
  if (Status s = check_tensor("v", t.v, {p.qkv_dtype}, {b, tokens, hv, v}); !s.ok()) return s;
  if (Status s = check_tensor("g", t.g, {p.gate_dtype}, {b, tokens, hv, k}); !s.ok()) return s;
  if (Status s = check_tensor("beta", t.beta, {p.beta_dtype}, {b, tokens, hv}); !s.ok()) return s;
  return check_tensor("out", t.out, {p.out_dtype}, {b, tokens, hv, v}, Access::kWrite);
}

// A_log and dt_bias come in whatever shape the checkpoint stored: only their elements count.
Status check_parameter(const char* name, const TensorView& view, std::int64_t expected, Extent rule,
                       const char* meaning) {
  if (Status s = check_dtype(name, view, {DType::kF32}); !s.ok()) return s;
  const bool rank_ok = view.rank >= 0 && view.rank <= kMaxRank;
  const std::int64_t got = rank_ok ? view.num_elements() : -1;
  if (rule == Extent::kExact ? got != expected : got < expected) {
    return Status::invalid_argument(fmt::format(
        "{}: expected {}{} elements ({}), got {}", name, rule == Extent::kExact ? "" : "at least ",
        expected, meaning, format_list(view.shape, std::clamp(view.rank, 0, kMaxRank))));
  }
  if (view.data == nullptr) {
    return Status::invalid_argument(fmt::format("{}: expected data, got a null pointer", name));
  }
  if (!is_contiguous(view)) {
    return Status::invalid_argument(fmt::format("{}: expected contiguous strides, got {}", name,
                                                format_list(view.strides, view.rank)));
  }
  return {};
}

Status check_gate_parameters(const Problem& p, const Tensors& t) {
  if (p.gate.kind == GateKind::kLog) {
    constexpr const char* kWhy = "with the log gate, which is activated already";
    if (Status s = expect_absent("A_log", t.A_log, kWhy); !s.ok()) return s;
    return expect_absent("dt_bias", t.dt_bias, kWhy);
  }
  if (t.A_log) {
    if (Status s = check_parameter("A_log", *t.A_log, p.v_heads, Extent::kAtLeast, "HV"); !s.ok()) {
      return s;
    }
  }
  if (!t.dt_bias) return {};
  return check_parameter("dt_bias", *t.dt_bias, p.v_heads * p.head_dim_k, Extent::kExact, "HV*K");
}

Status check_index_vector(const char* name, const TensorView& view, DTypes dtypes, Dims dims) {
  if (Status s = check_tensor(name, view, dtypes, dims); !s.ok()) return s;
  if (is_contiguous(view)) return {};
  return Status::invalid_argument(fmt::format("{}: expected contiguous strides, got {}", name,
                                              format_list(view.strides, view.rank)));
}

Status check_sequence_tensors(const Problem& p, const Tensors& t) {
  if (!p.is_varlen()) return expect_absent("cu_seqlens", t.cu_seqlens, "without num_sequences");
  if (!t.cu_seqlens) return missing("cu_seqlens", "for packed sequences (num_sequences)");
  return check_index_vector("cu_seqlens", *t.cu_seqlens, {DType::kI32, DType::kI64},
                            {{"N+1", p.sequences() + 1}});
}

Status check_state(const char* name, const TensorView& view, const Problem& p, Dim leading,
                   Access access) {
  const Dim hv{"HV", p.v_heads}, v{"V", p.head_dim_v}, k{"K", p.head_dim_k};
  if (p.state.layout == StateLayout::kVK) {
    return check_tensor(name, view, {p.state.dtype}, {leading, hv, v, k}, access);
  }
  return check_tensor(name, view, {p.state.dtype}, {leading, hv, k, v}, access);
}

Status check_dense_states(const Problem& p, const Tensors& t) {
  constexpr const char* kWhy = "with dense states (state.storage)";
  if (Status s = expect_absent("state_pool", t.state_pool, kWhy); !s.ok()) return s;
  if (Status s = expect_absent("state_indices", t.state_indices, kWhy); !s.ok()) return s;
  const Dim n{"N", p.sequences()};
  if (t.initial_state) {
    if (Status s = check_state("initial_state", *t.initial_state, p, n, Access::kRead); !s.ok()) {
      return s;
    }
  }
  if (!t.final_state) return {};
  return check_state("final_state", *t.final_state, p, n, Access::kWrite);
}

Status check_pool_states(const Problem& p, const Tensors& t) {
  constexpr const char* kWhy = "with a state pool (state.storage)";
  if (Status s = expect_absent("initial_state", t.initial_state, kWhy); !s.ok()) return s;
  if (Status s = expect_absent("final_state", t.final_state, kWhy); !s.ok()) return s;
  if (!t.state_pool) return missing("state_pool", kWhy);
  if (!t.state_indices) return missing("state_indices", kWhy);
  const Dim slots{"slots", p.state.pool_slots};
  if (Status s = check_state("state_pool", *t.state_pool, p, slots, Access::kWrite); !s.ok()) {
    return s;
  }
  return check_index_vector("state_indices", *t.state_indices, {DType::kI32, DType::kI64},
                            {{"N", p.sequences()}});
}

Status check_state_tensors(const Problem& p, const Tensors& t) {
  Status states =
      p.state.storage == StateStorage::kDense ? check_dense_states(p, t) : check_pool_states(p, t);
  if (!states.ok() || !t.has_initial_state) return states;
  return check_index_vector("has_initial_state", *t.has_initial_state, {DType::kU8},
                            {{"N", p.sequences()}});
}

// Rows of `checkpoints` (and of checkpoint_slots) for kEvery follow from the lengths, which only
// host backends know; there they are checked with the values (HostCall::check_values).
Status check_checkpoint_destination(const Problem& p, const Tensors& t) {
  const Dim hv{"HV", p.v_heads}, v{"V", p.head_dim_v}, k{"K", p.head_dim_k};
  const Dim n{"N", p.sequences()}, columns{"max_offsets", p.checkpoints.max_offsets};
  if (p.checkpoints.destination == StateStorage::kPool) {
    return check_state("checkpoints", *t.checkpoints, p, {"slots", p.checkpoints.pool_slots},
                       Access::kWrite);
  }
  if (p.checkpoints.kind == CheckpointKind::kEvery) {
    return check_state("checkpoints", *t.checkpoints, p, {"rows", 0, Extent::kAtLeast},
                       Access::kWrite);
  }
  if (p.state.layout == StateLayout::kVK) {
    return check_tensor("checkpoints", *t.checkpoints, {p.state.dtype}, {n, columns, hv, v, k},
                        Access::kWrite);
  }
  return check_tensor("checkpoints", *t.checkpoints, {p.state.dtype}, {n, columns, hv, k, v},
                      Access::kWrite);
}

Status check_checkpoint_slots(const Problem& p, const Tensors& t) {
  if (p.checkpoints.destination == StateStorage::kDense) {
    return expect_absent("checkpoint_slots", t.checkpoint_slots,
                         "with a dense destination (checkpoints.destination)");
  }
  if (!t.checkpoint_slots) return missing("checkpoint_slots", "with a pool as destination");
  const DTypes integers = {DType::kI32, DType::kI64};
  if (p.checkpoints.kind == CheckpointKind::kEvery) {
    return check_index_vector("checkpoint_slots", *t.checkpoint_slots, integers,
                              {{"rows", 0, Extent::kAtLeast}});
  }
  return check_index_vector("checkpoint_slots", *t.checkpoint_slots, integers,
                            {{"N", p.sequences()}, {"max_offsets", p.checkpoints.max_offsets}});
}

Status check_checkpoint_tensors(const Problem& p, const Tensors& t) {
  const CheckpointSpec& c = p.checkpoints;
  if (c.kind == CheckpointKind::kNone) {
    constexpr const char* kWhy = "without checkpoints (checkpoints.kind)";
    if (Status s = expect_absent("checkpoints", t.checkpoints, kWhy); !s.ok()) return s;
    if (Status s = expect_absent("checkpoint_offsets", t.checkpoint_offsets, kWhy); !s.ok())
      return s;
    return expect_absent("checkpoint_slots", t.checkpoint_slots, kWhy);
  }
  if (!t.checkpoints) return missing("checkpoints", "by checkpoints.kind");
  if (c.kind == CheckpointKind::kOffsets) {
    if (!t.checkpoint_offsets) return missing("checkpoint_offsets", "by checkpoints.kind");
    if (Status s = check_index_vector("checkpoint_offsets", *t.checkpoint_offsets,
                                      {DType::kI32, DType::kI64},
                                      {{"N", p.sequences()}, {"max_offsets", c.max_offsets}});
        !s.ok()) {
      return s;
    }
  } else if (Status s = expect_absent("checkpoint_offsets", t.checkpoint_offsets,
                                      "with a checkpoint after every n tokens");
             !s.ok()) {
    return s;
  }
  if (Status s = check_checkpoint_destination(p, t); !s.ok()) return s;
  return check_checkpoint_slots(p, t);
}

}  // namespace

Status check_tensors(const Problem& problem, const Tensors& tensors) {
  if (Status s = check_token_tensors(problem, tensors); !s.ok()) return s;
  if (Status s = check_gate_parameters(problem, tensors); !s.ok()) return s;
  if (Status s = check_sequence_tensors(problem, tensors); !s.ok()) return s;
  if (Status s = check_state_tensors(problem, tensors); !s.ok()) return s;
  return check_checkpoint_tensors(problem, tensors);
}

}  // namespace flash_kda
