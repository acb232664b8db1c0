// The stages that carry the state through a chunk, E7 to E11, for one panel of value columns, fp32.
// clang-format off
#if defined(FLASH_KDA_CPU_PANEL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FLASH_KDA_CPU_PANEL_INL_H_
#undef FLASH_KDA_CPU_PANEL_INL_H_
#else
#define FLASH_KDA_CPU_PANEL_INL_H_
#endif
// clang-format on

#include "cpu/vector_math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flash_kda::cpu {
namespace HWY_NAMESPACE {
namespace {

// Rows of a register tile; each row holds two vectors. 8 x 2 sums fill half of 32 registers and
// reach 97 % of the FMA peak; 4 x 2 is what 16 registers hold.
#if HWY_TARGET == HWY_AVX2
constexpr int kTileRows = 4;
#else
constexpr int kTileRows = 8;
#endif
constexpr int kTileColumns = 2 * kLanes;

// K_pad as a constant where it is a usual one, so that row offsets become displacements.
template <int kPad>
HWY_INLINE int padded(int k_pad) {
  return kPad == 0 ? k_pad : kPad;
}

// One operand of both E8 and E10: products [2C, W] = [k_gamma; q_gamma] S
//   in        qk f32 [2C, K_pad], state f32 [K_pad, W]
//   error     fp32 sums of K_pad products
template <int kPad>
HWY_INLINE void project_state(const float* qk, const float* state, int k_pad_arg, float* products) {
  const int k_pad = padded<kPad>(k_pad_arg);
  for (int col = 0; col < kPanelWidth; col += kTileColumns) {
    for (int row = 0; row < 2 * kChunkSize; row += kTileRows) {
      VF acc[kTileRows][2];
      FLASH_KDA_UNROLL
      for (int r = 0; r < kTileRows; ++r) acc[r][0] = acc[r][1] = hn::Zero(DF());
      const float* a = qk + row * k_pad;
      for (int k = 0; k < k_pad; ++k) {
        const VF b0 = load(state + k * kPanelWidth + col);
        const VF b1 = load(state + k * kPanelWidth + col + kLanes);
        FLASH_KDA_UNROLL
        for (int r = 0; r < kTileRows; ++r) {
          const VF x = set1(a[r * k_pad + k]);
          acc[r][0] = hn::MulAdd(x, b0, acc[r][0]);
          acc[r][1] = hn::MulAdd(x, b1, acc[r][1]);
        }
      }
      FLASH_KDA_UNROLL
      for (int r = 0; r < kTileRows; ++r) {
        store(acc[r][0], products + (row + r) * kPanelWidth + col);
        store(acc[r][1], products + (row + r) * kPanelWidth + col + kLanes);
      }
    }
  }
}

// E7 invert_unit_lower and E8 delta_values, by forward substitution instead of an inverse:
// u_i = beta_i (v_i - products_i) - sum_{j < i} akk_ij u_j
//   in        values [C, W]: v, zero in rows past the valid ones; products [C, W]: k_gamma S
//   out       u: one vector of each row, in registers; also to values
//   padding   beta = 0 and akk = 0 make u = 0, unless the state itself is not finite
//   error     fp32; |u| grows at most by the condition of I + akk, as in any triangular solve
HWY_INLINE void delta_values(const PreparedChunk& chunk, const float* products, float* values,
                             int col, VF (&u)[kChunkSize]) {
  FLASH_KDA_UNROLL
  for (int i = 0; i < kChunkSize; ++i) {
    const VF v = load(values + i * kPanelWidth + col);
    const VF w = load(products + i * kPanelWidth + col);
    u[i] = hn::Mul(set1(chunk.beta[i]), hn::Sub(v, w));
  }
  FLASH_KDA_UNROLL
  for (int j = 0; j < kChunkSize; ++j) {
    FLASH_KDA_UNROLL
    for (int i = j + 1; i < kChunkSize; ++i) {
      u[i] = hn::NegMulAdd(set1(chunk.akk[i * kChunkSize + j]), u[j], u[i]);
    }
  }
  FLASH_KDA_UNROLL
  for (int i = 0; i < kChunkSize; ++i) store(u[i], values + i * kPanelWidth + col);
}

// E10 chunk_output: o_i = (q_gamma S)_i + sum_{j <= i} aqk_ij u_j, in place of the products
//   padding   rows past the valid ones hold nothing of use and are not stored
HWY_INLINE void chunk_output(const PreparedChunk& chunk, const VF (&u)[kChunkSize], int col,
                             float* products) {
  FLASH_KDA_UNROLL
  for (int i = 0; i < kChunkSize; ++i) {
    float* row = products + (kChunkSize + i) * kPanelWidth + col;
    VF o = load(row);
    FLASH_KDA_UNROLL
    for (int j = 0; j <= i; ++j) {
      o = hn::MulAdd(set1(chunk.aqk[i * kChunkSize + j]), u[j], o);
    }
    store(o, row);
  }
}

// E11 update_state: S <- (decay_hi + decay_lo) S + k_to_end^T u
//   in        k_to_end f32 [C, K_pad], values [C, W]: u
//   error     fp32 sums of 16 products; the decay itself to 2^-30
template <int kPad>
HWY_INLINE void update_state(const PreparedChunk& chunk, const float* values, int k_pad_arg,
                             float* state) {
  const int k_pad = padded<kPad>(k_pad_arg);
  const float* k_to_end = static_cast<const float*>(chunk.k_to_end);
  for (int k = 0; k < k_pad; k += kTileRows) {
    for (int col = 0; col < kPanelWidth; col += kTileColumns) {
      VF acc[kTileRows][2];
      FLASH_KDA_UNROLL
      for (int r = 0; r < kTileRows; ++r) {
        const VF hi = set1(chunk.decay_hi[k + r]), lo = set1(chunk.decay_lo[k + r]);
        const VF s0 = load(state + (k + r) * kPanelWidth + col);
        const VF s1 = load(state + (k + r) * kPanelWidth + col + kLanes);
        acc[r][0] = hn::Mul(lo, s0);
        acc[r][1] = hn::Mul(lo, s1);
        acc[r][0] = hn::MulAdd(hi, s0, acc[r][0]);
        acc[r][1] = hn::MulAdd(hi, s1, acc[r][1]);
      }
      for (int i = 0; i < kChunkSize; ++i) {
        const VF u0 = load(values + i * kPanelWidth + col);
        const VF u1 = load(values + i * kPanelWidth + col + kLanes);
        FLASH_KDA_UNROLL
        for (int r = 0; r < kTileRows; ++r) {
          const VF x = set1(k_to_end[i * k_pad + k + r]);
          acc[r][0] = hn::MulAdd(x, u0, acc[r][0]);
          acc[r][1] = hn::MulAdd(x, u1, acc[r][1]);
        }
      }
      FLASH_KDA_UNROLL
      for (int r = 0; r < kTileRows; ++r) {
        store(acc[r][0], state + (k + r) * kPanelWidth + col);
        store(acc[r][1], state + (k + r) * kPanelWidth + col + kLanes);
      }
    }
  }
}

// v of the chunk as fp32 [C, W], zero outside.
HWY_INLINE void load_values(const PanelArgs& args, int first, int valid, float* values) {
  with_dtype(args.v.dtype, [&]<DType kType>() HWY_ATTR {
    for (int i = 0; i < kChunkSize; ++i) {
      const int count = i < valid ? args.columns : 0;
      load_row<kType>(args.v.data, (first + i) * args.v.stride, count, kPanelWidth,
                      values + i * kPanelWidth);
    }
  });
}

HWY_INLINE void store_output(const PanelArgs& args, int first, int valid, const float* output) {
  if (args.out.data == nullptr) return;
  with_dtype(args.out.dtype, [&]<DType kType>() HWY_ATTR {
    for (int i = 0; i < valid; ++i) {
      store_row<kType>(output + i * kPanelWidth, args.columns, args.out.data,
                       (first + i) * args.out.stride);
    }
  });
}

// The chunk's rows through E7 to E10, once the products with the state are known.
HWY_INLINE void solve_and_output(const PanelArgs& args, int c, int valid, float* products,
                                 float* values) {
  const PreparedChunk& chunk = args.chunks[c];
  load_values(args, c * kChunkSize, valid, values);
  for (int col = 0; col < kPanelWidth; col += kLanes) {
    VF u[kChunkSize];
    delta_values(chunk, products, values, col, u);
    chunk_output(chunk, u, col, products);
  }
  store_output(args, c * kChunkSize, valid, products + kChunkSize * kPanelWidth);
}

HWY_INLINE int valid_tokens(const PanelArgs& args, int c) {
  return c + 1 == args.num_chunks ? args.last_valid : kChunkSize;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace flash_kda::cpu
HWY_AFTER_NAMESPACE();

#endif
