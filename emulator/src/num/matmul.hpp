// Products of small matrices under a choice of accumulation orders.
#pragma once

#include "base/options.hpp"
#include "num/fp.hpp"

namespace emulator::num {

enum class MatrixType : u8 { kF16, kBf16, kTf32, kE4m3, kE5m2, kS8, kU8, kF64 };

// c[m][n] += sum_k a[m][k] * b[k][n]; b is given row by row of k, so that the loop over n is a
// vector loop. kInOrder adds products one after another in fp32, kPairwise sums them as a tree
// first, kExact adds in double and rounds once. Hardware does something between: it aligns the
// products of a step to the largest exponent and truncates.
template <AccumulatePolicy kPolicy>
inline void multiply_add(u32 m_count, u32 n_count, u32 k_count, const float* a, const float* b,
                         float* c, u32 c_stride) {
  for (u32 m = 0; m < m_count; ++m) {
    float* row = c + size_t{m} * c_stride;
    const float* am = a + size_t{m} * k_count;
    if constexpr (kPolicy == AccumulatePolicy::kPairwise) {
      for (u32 n = 0; n < n_count; ++n) {
        float part[64];
        for (u32 k = 0; k < k_count; ++k) part[k] = am[k] * b[size_t{k} * n_count + n];
        for (u32 width = k_count / 2; width; width /= 2)
          for (u32 k = 0; k < width; ++k) part[k] = part[2 * k] + part[2 * k + 1];
        row[n] += part[0];
      }
    } else {
      for (u32 n = 0; n < n_count; ++n) {
        double sum = static_cast<double>(row[n]);
        for (u32 k = 0; k < k_count; ++k)
          sum += static_cast<double>(am[k]) * static_cast<double>(b[size_t{k} * n_count + n]);
        row[n] = static_cast<float>(sum);
      }
    }
  }
}

// In order: a block of kRows x 8 accumulators stays in registers while k runs.
template <u32 kRows>
inline void multiply_block(u32 k_count, const float* a, const float* b, u32 b_stride, float* c,
                           u32 c_stride) {
  float acc[kRows][8];
  for (u32 r = 0; r < kRows; ++r)
    for (u32 n = 0; n < 8; ++n) acc[r][n] = c[r * c_stride + n];
  for (u32 k = 0; k < k_count; ++k) {
    const float* bk = b + size_t{k} * b_stride;
#pragma GCC unroll 8
    for (u32 r = 0; r < kRows; ++r) {
      const float x = a[r * k_count + k];
      for (u32 n = 0; n < 8; ++n) acc[r][n] = __builtin_fmaf(x, bk[n], acc[r][n]);
    }
  }
  for (u32 r = 0; r < kRows; ++r)
    for (u32 n = 0; n < 8; ++n) c[r * c_stride + n] = acc[r][n];
}

// In order, for any number of columns: with the widest vectors that the host has.
void multiply_tile(u32 m, u32 n, u32 k, const float* a, const float* b, float* c, u32 c_stride);

inline void multiply_in_order(u32 m, u32 n, u32 k, const float* a, const float* b, float* c,
                              u32 c_stride) {
  if (n > 8) return multiply_tile(m, n, k, a, b, c, c_stride);
  for (u32 row = 0; row < m; row += 8)
    multiply_block<8>(k, a + size_t{row} * k, b, n, c + size_t{row} * c_stride, c_stride);
}

// Eight consecutive bf16.
inline void bf16_run(const u8* from, float* to) {
  u16 in[8];
  u32 out[8];
  std::memcpy(in, from, sizeof in);
  for (u32 e = 0; e < 8; ++e) out[e] = u32{in[e]} << 16;
  std::memcpy(to, out, sizeof out);
}

// Eight consecutive f16.
inline void f16_run(const u16* from, float* to) {
#ifdef __F16C__
  _mm256_storeu_ps(to, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
#else
  for (u32 e = 0; e < 8; ++e) to[e] = f16_to_float(from[e]);
#endif
}

inline void multiply_add(AccumulatePolicy policy, u32 m, u32 n, u32 k, const float* a,
                         const float* b, float* c, u32 c_stride) {
  switch (policy) {
    case AccumulatePolicy::kInOrder:
      return multiply_in_order(m, n, k, a, b, c, c_stride);
    case AccumulatePolicy::kPairwise:
      return multiply_add<AccumulatePolicy::kPairwise>(m, n, k, a, b, c, c_stride);
    case AccumulatePolicy::kExact:
      return multiply_add<AccumulatePolicy::kExact>(m, n, k, a, b, c, c_stride);
  }
}

// The tensor core reads the upper 19 bits of a register as tf32.
inline float tf32_from_bits(u32 bits) { return bits_to_float(bits & 0xffffe000); }

}  // namespace emulator::num
