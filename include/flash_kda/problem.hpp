// What is to be computed, without the data: sizes, types, options. A Problem is a plain value, and
// all that a plan depends on; two calls with equal problems can share a plan.
//
// Dimensions, one letter each, as everywhere in the project (docs/algorithm.md, Notation):
//   B batch rows   T tokens of a row   N sequences   H query/key heads   HV value heads
//   K key dim      V value dim         C chunk size
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "flash_kda/export.h"
#include "flash_kda/status.hpp"
#include "flash_kda/tensor_view.hpp"

namespace flash_kda {

// How the log decay of a token comes from the tensor g (eq. E2).
enum class GateKind : std::int32_t {
  kLowerBound,  // lower_bound * sigmoid(exp(A_log) * (g_raw + dt_bias)), bounded below
  kSoftplus,    // -exp(A_log) * softplus(g_raw + dt_bias), unbounded
  kLog,         // g is the natural-log decay itself, <= 0
};

enum class QkNorm : std::int32_t {
  kNone,  // q and k are used as given; the caller promises |k| <= 1
  kL2,    // x * rsqrt(sum x^2 + 1e-6) over K (eq. E1)
};

enum class BetaForm : std::int32_t {
  kLogits,     // beta = sigmoid(tensor)
  kActivated,  // beta = tensor, in [0, 1]
};

// Range of beta after activation; the doubled one admits negative eigenvalues of I - beta k k^T.
enum class BetaRange : std::int32_t { kUnit, kDoubled };

enum class StateLayout : std::int32_t {
  kVK,  // [.., V, K], the published layout
  kKV,  // [.., K, V]
};

// Where recurrent states come from and go to.
enum class StateStorage : std::int32_t {
  kDense,  // initial_state and final_state [N, HV, V, K], each optional; may alias
  kPool,   // state_pool [slots, HV, V, K] through state_indices [N], updated in place
};

// Which states inside a sequence are kept besides the final one.
enum class CheckpointKind : std::int32_t {
  kNone,
  kEvery,    // after tokens n, 2n, 3n, ... of each sequence: floor(length / n) rows
  kOffsets,  // after the tokens listed in checkpoint_offsets [N, max_offsets]; <= 0 means none
};

struct GateSpec {
  GateKind kind = GateKind::kLowerBound;
  float lower_bound = -5.0f;  // nats; below 0 and finite; read by kLowerBound only
  bool operator==(const GateSpec&) const = default;
};

struct StateSpec {
  StateStorage storage = StateStorage::kDense;
  DType dtype = DType::kF32;  // kF32 or kBF16; also of checkpoints
  StateLayout layout = StateLayout::kVK;
  std::int64_t pool_slots = 0;  // slots of state_pool; kPool only
  bool operator==(const StateSpec&) const = default;
};

struct CheckpointSpec {
  CheckpointKind kind = CheckpointKind::kNone;
  std::int64_t every = 0;        // n of kEvery, >= 1
  std::int64_t max_offsets = 0;  // columns of checkpoint_offsets, kOffsets only, >= 1
  // kDense: rows of the tensor `checkpoints`, in order of sequence and token.
  // kPool:  slots of the tensor `checkpoints`, chosen by checkpoint_slots; -1 skips.
  StateStorage destination = StateStorage::kDense;
  std::int64_t pool_slots = 0;  // slots of `checkpoints` when destination is kPool
  bool operator==(const CheckpointSpec&) const = default;
};

struct FLASH_KDA_API Problem {
  std::int64_t batch = 1;   // B; 1 when varlen
  std::int64_t tokens = 0;  // T: tokens of a row; when varlen, an upper bound of cu_seqlens[N]
  // N of a packed (varlen) batch. Absent: fixed length, N = B.
  std::optional<std::int64_t> num_sequences;
  std::int64_t qk_heads = 0;    // H
  std::int64_t v_heads = 0;     // HV, a multiple of H: value head h reads q/k head h / (HV / H)
  std::int64_t head_dim_k = 0;  // K
  std::int64_t head_dim_v = 0;  // V

  DType qkv_dtype = DType::kBF16;   // q, k, v: kBF16, kF16, kF32
  DType out_dtype = DType::kBF16;   // out: kBF16, kF16, kF32
  DType gate_dtype = DType::kBF16;  // g: kBF16, kF32
  DType beta_dtype = DType::kBF16;  // beta: kBF16, kF32

  GateSpec gate;
  QkNorm qk_norm = QkNorm::kL2;
  BetaForm beta_form = BetaForm::kLogits;
  BetaRange beta_range = BetaRange::kUnit;
  std::optional<float> scale;  // of the output; absent: K^-0.5

  StateSpec state;
  CheckpointSpec checkpoints;

  bool is_varlen() const { return num_sequences.has_value(); }
  std::int64_t sequences() const { return num_sequences.value_or(batch); }  // N
  float effective_scale() const;
  bool operator==(const Problem&) const = default;
};

// Every rule that can be checked without data, once: sizes, types, ranges, products that overflow.
FLASH_KDA_API Status check_problem(const Problem& problem);

// One line for logs and test names: "B1 T8192 H8 HV8 K128 V128 bf16 lower_bound(-5) ...".
FLASH_KDA_API std::string to_string(const Problem& problem);

FLASH_KDA_API const char* to_string(GateKind kind);
FLASH_KDA_API const char* to_string(QkNorm norm);
FLASH_KDA_API const char* to_string(BetaForm form);
FLASH_KDA_API const char* to_string(BetaRange range);
FLASH_KDA_API const char* to_string(StateLayout layout);
FLASH_KDA_API const char* to_string(StateStorage storage);
FLASH_KDA_API const char* to_string(CheckpointKind kind);

}  // namespace flash_kda
