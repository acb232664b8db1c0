// What the host tells the kernels: plain values, copied into the launch. Strides are in elements.
#pragma once

#include <cstdint>

#include "flash_kda/problem.hpp"

namespace flash_kda::cuda {

inline constexpr int kChunk = 16;  // C: one tensor-core tile of tokens

enum class Alignment : std::int32_t { kElement, kVector };  // what every row start guarantees

// [B, T, heads, columns], columns contiguous.
struct RowTensor {
  void* data = nullptr;
  std::int64_t batch_stride = 0;
  std::int64_t token_stride = 0;
  std::int64_t head_stride = 0;
  DType dtype = DType::kBF16;
  Alignment alignment = Alignment::kElement;
};

// A contiguous integer tensor of the caller, i32 or i64, [n] or [n, columns].
struct IndexTensor {
  const void* data = nullptr;
  DType dtype = DType::kI64;
  std::int64_t columns = 1;
};

// States of the caller: [slots, HV, V, K] in either layout. Checkpoints at listed offsets have two
// slot dimensions, [N, max_offsets]; everything else has one.
struct StateTensor {
  void* data = nullptr;
  DType dtype = DType::kF32;
  std::int64_t slot_stride = 0;
  std::int64_t inner_slot_stride = 0;
  std::int64_t head_stride = 0;
  std::int64_t v_stride = 0;
  std::int64_t k_stride = 0;
  Alignment alignment = Alignment::kElement;  // kVector: pairs of K are loadable at once
};

// Which tokens belong to which sequence. Chunks of all sequences are numbered in one line of
// `slots` places: sequence n starts at place cu_seqlens[n] / C + n, which leaves room for its tail
// without anyone having to add up the lengths before it.
struct SequenceMap {
  IndexTensor cu_seqlens;           // data null: fixed length
  std::int64_t tokens = 0;          // T, bound of every token index
  std::int64_t num_sequences = 0;   // N
  std::int64_t chunks_per_row = 0;  // ceil(T / C); fixed length only
};

// Where states come from and go to.
struct StateRouting {
  StateTensor initial;                        // data null: zero
  StateTensor final;                          // data null: not kept
  IndexTensor indices;                        // data null: slot n for sequence n
  std::int64_t slots = 0;                     // bound of indices
  const std::uint8_t* has_initial = nullptr;  // [N], null: all
};

struct CheckpointParams {
  CheckpointKind kind = CheckpointKind::kNone;
  StateTensor states;
  std::int64_t slots = 0;                  // of `states`: rows (dense) or pool slots
  std::int64_t rows = 0;                   // of `destinations`, of `states` when dense
  IndexTensor offsets;                     // kOffsets: [N, max_offsets]
  IndexTensor destinations;                // data null: dense
  std::int32_t every = 0;                  // kEvery
  std::int32_t max_offsets = 0;            // kOffsets
  const std::int64_t* row_base = nullptr;  // kEvery, varlen: rows before sequence n, [N]
  // Checkpoints inside a chunk need an image of the shortened chunk. Their places follow those of
  // the chunks: this is the first, and how many there can be.
  std::int64_t first_side_slot = 0;
  std::int64_t side_slots = 0;
};

// What the activations of a token need (E1, E2).
struct TokenInputs {
  RowTensor q, k, g, beta;
  const float* A_log = nullptr;    // [HV], null: 0
  const float* dt_bias = nullptr;  // [HV, K], null: 0
  std::int32_t v_heads = 0;
  std::int32_t heads_per_qk_head = 1;  // HV / H
  GateSpec gate;
  QkNorm qk_norm = QkNorm::kL2;
  BetaForm beta_form = BetaForm::kLogits;
  BetaRange beta_range = BetaRange::kUnit;
  float scale = 1.0f;
};

// Chains (sequences of one value head) that a launch has to do, by bit n * v_heads + head, at most
// 64; null: all. Blocks of other chains end at once.
using ChainSet = const unsigned long long*;

// The fused kernel in front of launches for its ChainSet: how many of its blocks have ended.
struct FusedEnd {
  const std::uint32_t* ended = nullptr;  // null: there is none
  std::uint32_t blocks = 0;
};

struct PrepareParams {
  SequenceMap sequences;
  CheckpointParams checkpoints;
  TokenInputs inputs;
  std::byte* images = nullptr;    // [slots + side_slots, HV] chunk images
  ChainSet chains = nullptr;      // not null: K = 128
  std::int64_t image_places = 0;  // of `images`; set by the launch where `chains` are given
};

struct RecurrenceParams {
  SequenceMap sequences;
  StateRouting states;
  CheckpointParams checkpoints;
  RowTensor v, out;
  std::int32_t v_heads = 0;
  std::int32_t head_dim_v = 0;
  const std::byte* images = nullptr;
  // Sequence splitting. Segment s of sequence n has place floor((cu_seqlens[n] / C + n) / L) + n +
  // s in the line of segment places.
  std::int32_t segment_chunks = 0;   // L; 0: sequences are whole
  float* segment_entry = nullptr;    // [places, HV, V, K]: state before each segment
  float* segment_summary = nullptr;  // [places, HV, V + K, K]: S_ext over M^T
  ChainSet chains = nullptr;
  FusedEnd fused_end;
};

struct CheckpointRowsParams {
  SequenceMap sequences;
  std::int32_t every = 0;
  std::int64_t* row_base = nullptr;  // [N]
};

// Token by token, without a workspace: decode and short residuals.
struct RecurrentParams {
  SequenceMap sequences;
  StateRouting states;
  CheckpointParams checkpoints;
  TokenInputs inputs;
  RowTensor v, out;
  std::int32_t head_dim_v = 0;
};

}  // namespace flash_kda::cuda
