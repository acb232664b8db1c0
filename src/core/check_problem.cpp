#include <algorithm>
#include <cmath>
#include <initializer_list>

#include "flash_kda/problem.hpp"
#include "fmt/format.h"

namespace flash_kda {
namespace {

// Element counts stay below 2^60, so that byte counts and pointer differences never overflow.
constexpr std::int64_t kMaxElements = std::int64_t{1} << 60;

bool product_fits(std::initializer_list<std::int64_t> factors) {
  std::int64_t product = 1;
  for (const std::int64_t factor : factors) {
    if (factor == 0) return true;
    if (product > kMaxElements / factor) return false;
    product *= factor;
  }
  return true;
}

Status expect_at_least(const char* name, std::int64_t minimum, std::int64_t got) {
  if (got >= minimum) return {};
  return Status::invalid_argument(
      fmt::format("{}: expected at least {}, got {}", name, minimum, got));
}

Status expect_dtype(const char* name, DType got, std::initializer_list<DType> allowed) {
  std::string list;
  for (const DType dtype : allowed) {
    if (dtype == got) return {};
    if (!list.empty()) list += " or ";
    list += to_string(dtype);
  }
  return Status::invalid_argument(
      fmt::format("{}: expected {}, got {}", name, list, to_string(got)));
}

// Values of an enum that came through the C ABI may be anything.
template <typename Enum>
Status expect_enum(const char* name, Enum value, Enum last) {
  const auto got = static_cast<std::int32_t>(value);
  if (got >= 0 && got <= static_cast<std::int32_t>(last)) return {};
  return Status::invalid_argument(
      fmt::format("{}: expected 0 to {}, got {}", name, static_cast<std::int32_t>(last), got));
}

Status check_dimensions(const Problem& p) {
  if (Status s = expect_at_least("batch", 0, p.batch); !s.ok()) return s;
  if (Status s = expect_at_least("tokens", 0, p.tokens); !s.ok()) return s;
  if (Status s = expect_at_least("num_sequences", 0, p.sequences()); !s.ok()) return s;
  if (Status s = expect_at_least("qk_heads", 1, p.qk_heads); !s.ok()) return s;
  if (Status s = expect_at_least("v_heads", 1, p.v_heads); !s.ok()) return s;
  if (Status s = expect_at_least("head_dim_k", 1, p.head_dim_k); !s.ok()) return s;
  if (Status s = expect_at_least("head_dim_v", 1, p.head_dim_v); !s.ok()) return s;
  if (p.is_varlen() && p.batch != 1) {
    return Status::invalid_argument(
        fmt::format("batch: expected 1 with num_sequences (packed sequences), got {}", p.batch));
  }
  if (p.v_heads % p.qk_heads != 0) {
    return Status::invalid_argument(
        fmt::format("v_heads: expected a multiple of qk_heads={}, got {}", p.qk_heads, p.v_heads));
  }
  const std::int64_t dim = std::max(p.head_dim_k, p.head_dim_v);
  if (!product_fits({p.batch, p.tokens, p.v_heads, dim})) {
    return Status::invalid_argument(fmt::format(
        "B*T*HV*max(K,V): {}*{}*{}*{} exceeds 2^60 elements", p.batch, p.tokens, p.v_heads, dim));
  }
  if (!product_fits({p.sequences(), p.v_heads, p.head_dim_v, p.head_dim_k})) {
    return Status::invalid_argument(fmt::format("N*HV*V*K: {}*{}*{}*{} exceeds 2^60 elements",
                                                p.sequences(), p.v_heads, p.head_dim_v,
                                                p.head_dim_k));
  }
  return {};
}

Status check_types(const Problem& p) {
  const auto floats = {DType::kBF16, DType::kF16, DType::kF32};
  if (Status s = expect_dtype("qkv_dtype", p.qkv_dtype, floats); !s.ok()) return s;
  if (Status s = expect_dtype("out_dtype", p.out_dtype, floats); !s.ok()) return s;
  const auto bf16_or_f32 = {DType::kBF16, DType::kF32};
  if (Status s = expect_dtype("gate_dtype", p.gate_dtype, bf16_or_f32); !s.ok()) return s;
  if (Status s = expect_dtype("beta_dtype", p.beta_dtype, bf16_or_f32); !s.ok()) return s;
  return expect_dtype("state.dtype", p.state.dtype, bf16_or_f32);
}

Status check_enums(const Problem& p) {
  if (Status s = expect_enum("gate.kind", p.gate.kind, GateKind::kLog); !s.ok()) return s;
  if (Status s = expect_enum("qk_norm", p.qk_norm, QkNorm::kL2); !s.ok()) return s;
  if (Status s = expect_enum("beta_form", p.beta_form, BetaForm::kActivated); !s.ok()) return s;
  if (Status s = expect_enum("beta_range", p.beta_range, BetaRange::kDoubled); !s.ok()) return s;
  if (Status s = expect_enum("state.storage", p.state.storage, StateStorage::kPool); !s.ok()) {
    return s;
  }
  if (Status s = expect_enum("state.layout", p.state.layout, StateLayout::kKV); !s.ok()) return s;
  if (Status s = expect_enum("checkpoints.kind", p.checkpoints.kind, CheckpointKind::kOffsets);
      !s.ok()) {
    return s;
  }
  return expect_enum("checkpoints.destination", p.checkpoints.destination, StateStorage::kPool);
}

Status check_values(const Problem& p) {
  if (p.gate.kind == GateKind::kLowerBound &&
      !(std::isfinite(p.gate.lower_bound) && p.gate.lower_bound < 0.0f)) {
    return Status::invalid_argument(fmt::format(
        "gate.lower_bound: expected a finite value below 0, got {}", p.gate.lower_bound));
  }
  if (p.scale.has_value() && !std::isfinite(*p.scale)) {
    return Status::invalid_argument(
        fmt::format("scale: expected a finite value, got {}", *p.scale));
  }
  return {};
}

// A pool of `slots` states must be addressable, and its slots countable in the workspace's bitmap.
Status check_pool_slots(const char* name, std::int64_t slots, const Problem& p) {
  if (Status s = expect_at_least(name, 0, slots); !s.ok()) return s;
  if (product_fits({slots, p.v_heads, p.head_dim_v, p.head_dim_k})) return {};
  return Status::invalid_argument(fmt::format("{}*HV*V*K: {}*{}*{}*{} exceeds 2^60 elements", name,
                                              slots, p.v_heads, p.head_dim_v, p.head_dim_k));
}

Status check_checkpoints(const Problem& p) {
  const CheckpointSpec& c = p.checkpoints;
  if (c.kind == CheckpointKind::kNone) return {};
  if (c.kind == CheckpointKind::kEvery) {
    if (Status s = expect_at_least("checkpoints.every", 1, c.every); !s.ok()) return s;
  } else {
    if (Status s = expect_at_least("checkpoints.max_offsets", 1, c.max_offsets); !s.ok()) return s;
    if (!product_fits({p.sequences(), c.max_offsets, p.v_heads, p.head_dim_v, p.head_dim_k})) {
      return Status::invalid_argument(
          fmt::format("N*max_offsets*HV*V*K: {}*{}*{}*{}*{} exceeds 2^60 elements", p.sequences(),
                      c.max_offsets, p.v_heads, p.head_dim_v, p.head_dim_k));
    }
  }
  if (c.destination == StateStorage::kPool) {
    return check_pool_slots("checkpoints.pool_slots", c.pool_slots, p);
  }
  return {};
}

}  // namespace

Status check_problem(const Problem& problem) {
  if (Status s = check_enums(problem); !s.ok()) return s;
  if (Status s = check_dimensions(problem); !s.ok()) return s;
  if (Status s = check_types(problem); !s.ok()) return s;
  if (Status s = check_values(problem); !s.ok()) return s;
  if (problem.state.storage == StateStorage::kPool) {
    if (Status s = check_pool_slots("state.pool_slots", problem.state.pool_slots, problem);
        !s.ok()) {
      return s;
    }
  }
  return check_checkpoints(problem);
}

}  // namespace flash_kda
