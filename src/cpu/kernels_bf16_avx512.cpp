// The kernels with AVX-512-BF16 dot products, and the only file with those instructions. The two
// large products of a chunk, [k_gamma; q_gamma] S and k_to_end^T u, take bf16 operands and fp32
// sums; scores, solve, outputs and the state itself stay fp32.
//
// Layouts: a dot product takes pairs along its sum. `qk` holds pairs of neighbouring channels, the
// state copy pairs of rows [K_pad / 2, W, 2], `k_to_end` and the values pairs of tokens.
#include <immintrin.h>

#include "cpu/panel-inl.h"
#include "cpu/recurrent-inl.h"
#include "cpu/stages-inl.h"
#include "cpu/state_panel-inl.h"

namespace flash_kda::cpu {

extern const Kernels kAvx3Bf16Kernels;

namespace HWY_NAMESPACE {
namespace {

static_assert(HWY_TARGET == HWY_AVX3, "this file is compiled for AVX-512 F, BW, DQ, VL and BF16");

constexpr int kPairs = kChunkSize / 2;

// Vectors of pairs (even[i], odd[i]) rounded to bf16. One conversion and one permutation.
HWY_INLINE __m512i pairs_of(__m512 even, __m512 odd, __m512i order) {
  return _mm512_permutexvar_epi16(order, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(odd, even)));
}

HWY_INLINE __m512i pair_order() {
  HWY_ALIGN std::uint16_t order[32];
  for (int i = 0; i < 16; ++i) {
    order[2 * i] = static_cast<std::uint16_t>(i);
    order[2 * i + 1] = static_cast<std::uint16_t>(i + 16);
  }
  return _mm512_load_si512(order);
}

HWY_INLINE __m512 dot_pairs(__m512 sum, std::uint32_t a, __m512i b) {
  return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(a))),
                          reinterpret_cast<__m512bh>(b));
}

HWY_INLINE void store_bf16(__m512 v, std::uint16_t* to) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                      reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(v)));
}

// The last factors of E4, and the operands rounded to bf16.
HWY_INLINE void write_operands(const ChunkRows& rows, const PrepareScratch& s, int k_pad,
                               const PreparedChunk& out) {
  std::uint16_t* k_gamma = static_cast<std::uint16_t*>(out.qk);
  std::uint16_t* q_gamma = k_gamma + kChunkSize * k_pad;
  std::uint32_t* k_to_end = static_cast<std::uint32_t*>(out.k_to_end);
  const __m512i order = pair_order();
  for (int c = 0; c < k_pad; c += kLanes) {
    const ChunkFactors f = chunk_factors(s.block_decay, k_pad, c);
    const VF one = set1(1.0f);
    const VF start[4] = {one, f.start1, f.start2, f.start2};
    const VF end[4] = {f.end1, f.end1, f.end2, one};
    FLASH_KDA_UNROLL
    for (int i = 0; i < kChunkSize; ++i) {
      const int at = i * k_pad + c;
      store_bf16(hn::Mul(load(rows.k + at), start[i / kSubBlock]).raw, k_gamma + at);
      store_bf16(hn::Mul(load(rows.q + at), start[i / kSubBlock]).raw, q_gamma + at);
    }
    FLASH_KDA_UNROLL
    for (int p = 0; p < kPairs; ++p) {
      const float* row = rows.k_end + 2 * p * k_pad + c;
      const VF factor = end[2 * p / kSubBlock];
      const __m512i pair =
          pairs_of(hn::Mul(load(row), factor).raw, hn::Mul(load(row + k_pad), factor).raw, order);
      _mm512_storeu_si512(k_to_end + p * k_pad + c, pair);
    }
  }
}

void prepare_chunk(const PrepareArgs& args) {
  const int k_pad = args.params->num_k_padded;
  const int rows_size = kChunkSize * k_pad;
  const ChunkRows rows = {
      .k = args.scratch, .q = args.scratch + rows_size, .k_end = args.scratch + 2 * rows_size};
  const PrepareScratch scratch = carve_scratch(args.scratch + 3 * rows_size, k_pad);
  prepare_rows(args, rows, scratch);
  write_operands(rows, scratch, k_pad, args.out);
}

// Pairs of state rows, rounded to bf16: what project_state reads.
HWY_INLINE void copy_state(const float* state, int k_pad, std::uint32_t* copy) {
  const __m512i order = pair_order();
  for (int k = 0; k < k_pad; k += 2) {
    for (int col = 0; col < kPanelWidth; col += kLanes) {
      const float* even = state + k * kPanelWidth + col;
      _mm512_storeu_si512(
          copy + k / 2 * kPanelWidth + col,
          pairs_of(_mm512_loadu_ps(even), _mm512_loadu_ps(even + kPanelWidth), order));
    }
  }
}

// project_state of panel-inl.h with bf16 operands.
//   error     operands 2^-9 relative each, to nearest; fp32 sums
template <int kPad>
HWY_INLINE void project_state_bf16(const std::uint32_t* qk, const std::uint32_t* state,
                                   int k_pad_arg, float* products) {
  const int pitch = padded<kPad>(k_pad_arg) / 2;  // pairs in a row
  for (int row = 0; row < 2 * kChunkSize; row += kTileRows) {
    __m512 acc[kTileRows][2];
    FLASH_KDA_UNROLL
    for (int r = 0; r < kTileRows; ++r) acc[r][0] = acc[r][1] = _mm512_setzero_ps();
    const std::uint32_t* a = qk + row * pitch;
    for (int k = 0; k < pitch; ++k) {
      const __m512i b0 = _mm512_loadu_si512(state + k * kPanelWidth);
      const __m512i b1 = _mm512_loadu_si512(state + k * kPanelWidth + kLanes);
      FLASH_KDA_UNROLL
      for (int r = 0; r < kTileRows; ++r) {
        acc[r][0] = dot_pairs(acc[r][0], a[r * pitch + k], b0);
        acc[r][1] = dot_pairs(acc[r][1], a[r * pitch + k], b1);
      }
    }
    FLASH_KDA_UNROLL
    for (int r = 0; r < kTileRows; ++r) {
      _mm512_storeu_ps(products + (row + r) * kPanelWidth, acc[r][0]);
      _mm512_storeu_ps(products + (row + r) * kPanelWidth + kLanes, acc[r][1]);
    }
  }
}

HWY_INLINE void pair_values(const float* values, std::uint32_t* pairs) {
  const __m512i order = pair_order();
  for (int p = 0; p < kPairs; ++p) {
    for (int col = 0; col < kPanelWidth; col += kLanes) {
      const float* even = values + 2 * p * kPanelWidth + col;
      _mm512_storeu_si512(
          pairs + p * kPanelWidth + col,
          pairs_of(_mm512_loadu_ps(even), _mm512_loadu_ps(even + kPanelWidth), order));
    }
  }
}

// E11 update_state with bf16 operands, S in fp32; refreshes the bf16 copy on the way out.
template <int kPad>
HWY_INLINE void update_state_bf16(const PreparedChunk& chunk, const std::uint32_t* values,
                                  int k_pad_arg, float* state, std::uint32_t* copy) {
  const int k_pad = padded<kPad>(k_pad_arg);
  const std::uint32_t* k_to_end = static_cast<const std::uint32_t*>(chunk.k_to_end);
  const __m512i order = pair_order();
  for (int k = 0; k < k_pad; k += kTileRows) {
    float* rows = state + k * kPanelWidth;
    __m512 acc[kTileRows][2];
    FLASH_KDA_UNROLL
    for (int r = 0; r < kTileRows; ++r) {
      const __m512 decay = _mm512_set1_ps(chunk.decay_hi[k + r]);
      acc[r][0] = _mm512_mul_ps(decay, _mm512_loadu_ps(rows + r * kPanelWidth));
      acc[r][1] = _mm512_mul_ps(decay, _mm512_loadu_ps(rows + r * kPanelWidth + kLanes));
    }
    FLASH_KDA_UNROLL
    for (int p = 0; p < kPairs; ++p) {
      const __m512i u0 = _mm512_loadu_si512(values + p * kPanelWidth);
      const __m512i u1 = _mm512_loadu_si512(values + p * kPanelWidth + kLanes);
      FLASH_KDA_UNROLL
      for (int r = 0; r < kTileRows; ++r) {
        acc[r][0] = dot_pairs(acc[r][0], k_to_end[p * k_pad + k + r], u0);
        acc[r][1] = dot_pairs(acc[r][1], k_to_end[p * k_pad + k + r], u1);
      }
    }
    FLASH_KDA_UNROLL
    for (int r = 0; r < kTileRows; ++r) {
      _mm512_storeu_ps(rows + r * kPanelWidth, acc[r][0]);
      _mm512_storeu_ps(rows + r * kPanelWidth + kLanes, acc[r][1]);
    }
    FLASH_KDA_UNROLL
    for (int r = 0; r < kTileRows; r += 2) {
      std::uint32_t* pairs = copy + (k + r) / 2 * kPanelWidth;
      _mm512_storeu_si512(pairs, pairs_of(acc[r][0], acc[r + 1][0], order));
      _mm512_storeu_si512(pairs + kLanes, pairs_of(acc[r][1], acc[r + 1][1], order));
    }
  }
}

template <int kPad>
void run_panel_for(const PanelArgs& args) {
  static_assert(kPanelWidth == kTileColumns, "one tile of two vectors spans the panel");
  float* products = args.scratch;
  float* values = products + 2 * kChunkSize * kPanelWidth;
  std::uint32_t* value_pairs = reinterpret_cast<std::uint32_t*>(values + kChunkSize * kPanelWidth);
  std::uint32_t* copy = value_pairs + kPairs * kPanelWidth;
  copy_state(args.state, args.num_k_padded, copy);
  for (int c = 0; c < args.num_chunks; ++c) {
    const PreparedChunk& chunk = args.chunks[c];
    project_state_bf16<kPad>(static_cast<const std::uint32_t*>(chunk.qk), copy, args.num_k_padded,
                             products);
    solve_and_output(args, c, valid_tokens(args, c), products, values);
    pair_values(values, value_pairs);
    update_state_bf16<kPad>(chunk, value_pairs, args.num_k_padded, args.state, copy);
  }
}

void run_panel(const PanelArgs& args) {
  record_executed(Target::kAvx3Bf16);
  switch (args.num_k_padded) {
    case 64:
      return run_panel_for<64>(args);
    case 128:
      return run_panel_for<128>(args);
    case 256:
      return run_panel_for<256>(args);
    default:
      return run_panel_for<0>(args);
  }
}

void run_recurrent_rows(const RecurrentArgs& args) {
  record_executed(Target::kAvx3Bf16);
  run_recurrent(args);
}
void prepare_token_rows(const PrepareTokensArgs& args) { prepare_tokens(args); }
void load_panel(const float* rows, std::int64_t pitch, int num_v, int num_k, int num_k_padded,
                float* panel) {
  rows_to_panel(rows, pitch, num_v, num_k, num_k_padded, panel);
}
void store_panel(const float* panel, int num_v, int num_k, float* rows, std::int64_t pitch) {
  panel_to_rows(panel, num_v, num_k, rows, pitch);
}

}  // namespace
}  // namespace HWY_NAMESPACE

const Kernels kAvx3Bf16Kernels = {.target = Target::kAvx3Bf16,
                                  .operand_bytes = sizeof(std::uint16_t),
                                  .prepare_chunk = HWY_NAMESPACE::prepare_chunk,
                                  .run_panel = HWY_NAMESPACE::run_panel,
                                  .prepare_tokens = HWY_NAMESPACE::prepare_token_rows,
                                  .run_recurrent = HWY_NAMESPACE::run_recurrent_rows,
                                  .rows_to_panel = HWY_NAMESPACE::load_panel,
                                  .panel_to_rows = HWY_NAMESPACE::store_panel};

}  // namespace flash_kda::cpu
