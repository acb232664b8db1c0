#include "num/matmul.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace emulator::num {
namespace {

void multiply_blocks(u32 m, u32 n, u32 k, const float* a, const float* b, float* c, u32 c_stride) {
  for (u32 column = 0; column < n; column += 8)
    for (u32 row = 0; row < m; row += 8)
      multiply_block<8>(k, a + size_t{row} * k, b + column, n, c + size_t{row} * c_stride + column,
                        c_stride);
}

#if defined(__x86_64__)
// The same sums, sixteen columns at a time.
__attribute__((target("avx512f"))) void multiply_avx512(u32 m, u32 n, u32 k, const float* a,
                                                        const float* b, float* c, u32 c_stride) {
  for (u32 column = 0; column < n; column += 16)
    for (u32 row = 0; row < m; row += 8) {
      const float* a_row = a + size_t{row} * k;
      float* c_row = c + size_t{row} * c_stride + column;
      __m512 sum[8];
#pragma GCC unroll 8
      for (u32 r = 0; r < 8; ++r) sum[r] = _mm512_loadu_ps(c_row + size_t{r} * c_stride);
      for (u32 i = 0; i < k; ++i) {
        const __m512 b_row = _mm512_loadu_ps(b + size_t{i} * n + column);
#pragma GCC unroll 8
        for (u32 r = 0; r < 8; ++r)
          sum[r] = _mm512_fmadd_ps(_mm512_set1_ps(a_row[size_t{r} * k + i]), b_row, sum[r]);
      }
#pragma GCC unroll 8
      for (u32 r = 0; r < 8; ++r) _mm512_storeu_ps(c_row + size_t{r} * c_stride, sum[r]);
    }
}
#endif

}  // namespace

void multiply_tile(u32 m, u32 n, u32 k, const float* a, const float* b, float* c, u32 c_stride) {
#if defined(__x86_64__)
  static const bool wide = __builtin_cpu_supports("avx512f");
  if (wide && n % 16 == 0) return multiply_avx512(m, n, k, a, b, c, c_stride);
#endif
  multiply_blocks(m, n, k, a, b, c, c_stride);
}

}  // namespace emulator::num
