// The border between the driver, plain C++ for any machine, and the vector kernels, built once per
// instruction set. Only plain data crosses it, so that no inline function of the standard library
// is ever compiled for an instruction set that the machine may lack.
//
// Sizes: C = kChunkSize tokens; K_pad = head_dim_k rounded up to kVectorPad, the padding is zero.
#pragma once

#include <cstddef>
#include <cstdint>

#include "flash_kda/problem.hpp"
#include "flash_kda/tensor_view.hpp"

namespace flash_kda::cpu {

enum class Target : int {
  kNeon,
  kAvx2,      // AVX2, FMA, F16C
  kAvx3,      // AVX-512 F, BW, DQ, VL
  kAvx3Bf16,  // the same and AVX-512-BF16: dot products of bf16 pairs
};
inline constexpr int kNumTargets = 4;

// 16 minimises the work of a chunk: 6 K V + 4 C (K + V) flop per token, and below 16 the state
// would pass through L1 more often.
inline constexpr int kChunkSize = 16;
// Two AVX-512 vectors. 32 columns of a 128-row state are 16 KB, half of a 32 KB L1.
inline constexpr int kPanelWidth = 32;
inline constexpr int kVectorPad = 16;
inline constexpr int kMaxHeadDim = 256;
// Chunks are prepared in sub-blocks of 4 tokens; see score_diagonal in stages-inl.h.
inline constexpr int kSubBlock = 4;

// Row t of a tensor for one head begins `t * stride` elements after `data`.
struct Rows {
  const void* data = nullptr;
  DType dtype = DType::kF32;
  std::int64_t stride = 0;
};
struct MutableRows {
  void* data = nullptr;  // null: nothing is written
  DType dtype = DType::kF32;
  std::int64_t stride = 0;
};

// One (sequence, value head). Row 0 is the first token of the sequence.
struct HeadInput {
  Rows q, k, v, g, beta;
};

// What every token of one value head shares.
struct HeadParams {
  GateKind gate = GateKind::kLowerBound;
  QkNorm qk_norm = QkNorm::kL2;
  BetaForm beta_form = BetaForm::kLogits;
  float beta_factor = 1.0f;        // 2 when the range is doubled
  float lower_bound = -5.0f;       // nats
  float gate_scale = 1.0f;         // exp(A_log)
  const float* dt_bias = nullptr;  // [K_pad]
  float scale = 1.0f;              // of q
  int num_k = 0;                   // K
  int num_k_padded = 0;            // K_pad
  int num_v = 0;                   // V, for prefetching
};

// One prepared chunk. Rows past the valid ones are zero, and change nothing.
struct PreparedChunk {
  void* qk = nullptr;         // operand [2C, K_pad]: k_gamma, then q_gamma
  void* k_to_end = nullptr;   // operand: f32 [C, K_pad], or bf16 pairs of tokens [C / 2, K_pad, 2]
  float* decay_hi = nullptr;  // [K_pad]: gamma_last = decay_hi + decay_lo
  float* decay_lo = nullptr;  // [K_pad]
  float* akk = nullptr;       // [C, C], beta folded in, strictly lower part only
  float* aqk = nullptr;       // [C, C], lower part only
  float* beta = nullptr;      // [C]
};

struct PrepareArgs {
  const HeadInput* input = nullptr;
  const HeadParams* params = nullptr;
  std::int64_t first_token = 0;
  int valid = 0;  // tokens of this chunk, 1..C
  PreparedChunk out;
  float* scratch = nullptr;  // prepare_scratch_floats(K_pad)
  MutableRows out_rows;      // of the chunk, to be fetched for writing
  // The chunk that will be prepared next, to be fetched from memory meanwhile; null: none.
  const HeadInput* next_input = nullptr;
  std::int64_t next_token = 0;
  int next_valid = 0;
};

// Consecutive chunks of one head through one panel of value columns.
struct PanelArgs {
  const PreparedChunk* chunks = nullptr;
  int num_chunks = 0;
  int last_valid = 0;  // valid tokens of the last chunk; the others are full
  Rows v;              // first token of the first chunk, first column of the panel
  MutableRows out;
  int columns = 0;  // 1..kPanelWidth
  int num_k_padded = 0;
  float* state = nullptr;    // [K_pad, kPanelWidth]
  float* scratch = nullptr;  // panel_scratch_floats(K_pad)
};

// Up to kChunkSize tokens of one head for the recurrent form.
struct PreparedTokens {
  float* k = nullptr;          // [C, K_pad] normalised
  float* k_decayed = nullptr;  // k times the token's own decay
  float* q_decayed = nullptr;  // q times scale times the token's own decay
  float* decay_hi = nullptr;   // [C, K_pad]
  float* decay_lo = nullptr;
  float* qk = nullptr;    // [C] dot of scaled q and k
  float* beta = nullptr;  // [C]
};

struct PrepareTokensArgs {
  const HeadInput* input = nullptr;
  const HeadParams* params = nullptr;
  std::int64_t first_token = 0;
  int count = 0;
  PreparedTokens out;
};

struct RecurrentArgs {
  PreparedTokens tokens;
  int first = 0;  // of the prepared tokens
  int count = 0;
  Rows v;  // first token, first value row of the block
  MutableRows out;
  int num_rows = 0;  // value rows
  int num_k = 0;
  int num_k_padded = 0;
  // State rows [num_rows, K]: read from src for the first token, kept in dst from then on. A pitch
  // of 0 reads one row for all. Both may be the same memory.
  const float* src = nullptr;
  std::int64_t src_pitch = 0;
  float* dst = nullptr;
  std::int64_t dst_pitch = 0;
};

struct Kernels {
  Target target;
  std::size_t operand_bytes;  // of one element of PreparedChunk.qk and k_to_end
  void (*prepare_chunk)(const PrepareArgs&);
  void (*run_panel)(const PanelArgs&);
  void (*prepare_tokens)(const PrepareTokensArgs&);
  void (*run_recurrent)(const RecurrentArgs&);
  // [num_v, pitch] rows of K (fp32) <-> panel [K_pad, kPanelWidth]; what is outside is zero.
  void (*rows_to_panel)(const float* rows, std::int64_t pitch, int num_v, int num_k,
                        int num_k_padded, float* panel);
  void (*panel_to_rows)(const float* panel, int num_v, int num_k, float* rows, std::int64_t pitch);
};

inline constexpr std::size_t prepare_scratch_floats(std::size_t k_pad) {
  // rows of q, k and k to the sub-block's end; alpha; decay and log decay of sub-blocks; sums
  return k_pad * (3 * kChunkSize + kSubBlock + kSubBlock + 1) + 4 * kChunkSize;
}
inline constexpr std::size_t panel_scratch_floats(std::size_t k_pad) {
  // products with the state [2C, W], values [C, W], value pairs, bf16 copy of the state
  return kPanelWidth * (2 * kChunkSize + kChunkSize + kChunkSize / 2) + kPanelWidth * k_pad / 2;
}

// The kernels call this from the translation unit of their target, so that a test can prove which
// one ran. Relaxed: a diagnostic, no synchronisation.
void record_executed(Target target);

// Null when this build has no kernels for the target.
const Kernels* kernels_for(Target target);

}  // namespace flash_kda::cpu
