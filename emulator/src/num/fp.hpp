// Floating point formats and their roundings.
#pragma once

#include <cmath>
#include <limits>

#include "base/types.hpp"

#ifdef __F16C__
#include <immintrin.h>
#endif

namespace emulator::num {

enum class Rounding : u8 { kNearestEven, kZero, kDown, kUp, kNearestAway };

inline constexpr u32 kCanonicalNan32 = 0x7fffffff;
inline constexpr u16 kCanonicalNan16 = 0x7fff;

inline float bits_to_float(u32 b) { return std::bit_cast<float>(b); }
inline u32 float_to_bits(float f) { return std::bit_cast<u32>(f); }

// Subnormals become zero of the same sign.
inline float flush(float f) {
  const u32 u = float_to_bits(f);
  return bits_to_float(u & 0x7f800000 ? u : u & 0x80000000);
}

inline float canonical(float f) { return f != f ? bits_to_float(kCanonicalNan32) : f; }

inline float bf16_to_float(u16 x) { return bits_to_float(static_cast<u32>(x) << 16); }

inline u16 float_to_bf16(float f) {
  const u32 u = float_to_bits(f);
  const u32 rounded = (u + 0x7fff + ((u >> 16) & 1)) >> 16;
  return static_cast<u16>((u & 0x7fffffff) > 0x7f800000 ? kCanonicalNan16 : rounded);
}

// A binary format with an implicit leading bit. `precision` counts it.
struct Format {
  int precision;
  int min_exponent;  // of the smallest normal number
  int max_exponent;
};
inline constexpr Format kF32{24, -126, 127};
inline constexpr Format kF16{11, -14, 15};
inline constexpr Format kBf16{8, -126, 127};
inline constexpr Format kTf32{11, -126, 127};
inline constexpr Format kE4m3{4, -6, 8};
inline constexpr Format kE5m2{3, -14, 15};

// Rounds a double to the format; the result is exact in double. Overflow follows IEEE: infinity, or
// the largest finite number where the mode rounds towards it.
double round_to(double x, const Format& f, Rounding mode);

// x + y as if rounded to odd: rounding the result again to a much shorter format is then correct.
double add_to_odd(double x, double y);

u16 double_to_f16(double x, Rounding mode = Rounding::kNearestEven);
u16 double_to_bf16(double x, Rounding mode = Rounding::kNearestEven);
float double_to_f32(double x, Rounding mode = Rounding::kNearestEven);

// x as a float, rounded to odd: rounding that to a 16-bit format equals rounding x itself.
inline float to_float_odd(double x) {
  const float f = static_cast<float>(x);
  const double back = static_cast<double>(f);
  u32 bits = float_to_bits(f);
  bits -= std::fabs(back) > std::fabs(x) ? 1 : 0;
  bits |= back != x ? 1 : 0;
  return bits_to_float(bits);
}

float f16_to_float_soft(u16 x);

inline float f16_to_float(u16 x) {
#ifdef __F16C__
  return _cvtsh_ss(x);
#else
  return f16_to_float_soft(x);
#endif
}

inline u16 float_to_f16(float f) {
#ifdef __F16C__
  const u16 h = _cvtss_sh(f, _MM_FROUND_TO_NEAREST_INT);
  return (h & 0x7fff) > 0x7c00 ? kCanonicalNan16 : h;
#else
  return double_to_f16(f);
#endif
}

// PTX min and max: a single NaN is ignored, -0 < +0.
inline float min_ptx(float x, float y) {
  if (x != x) return canonical(y);
  if (y != y) return x;
  if (x == y) return bits_to_float(float_to_bits(x) | float_to_bits(y));
  return x < y ? x : y;
}
inline float max_ptx(float x, float y) {
  if (x != x) return canonical(y);
  if (y != y) return x;
  if (x == y) return bits_to_float(float_to_bits(x) & float_to_bits(y));
  return x > y ? x : y;
}

// Arithmetic with a directed rounding; slow.
float add_rounded(float x, float y, Rounding mode);
float mul_rounded(float x, float y, Rounding mode);
float fma_rounded(float x, float y, float z, Rounding mode);
float div_rounded(float x, float y, Rounding mode);
float sqrt_rounded(float x, Rounding mode);
double add_rounded(double x, double y, Rounding mode);
double mul_rounded(double x, double y, Rounding mode);
double fma_rounded(double x, double y, double z, Rounding mode);
double div_rounded(double x, double y, Rounding mode);
double sqrt_rounded(double x, Rounding mode);
template <class F, class I>
F from_integer(I x, Rounding mode);

// To an integer of type T, saturating; NaN becomes 0.
template <class T>
T to_integer(double x, Rounding mode) {
  if (x != x) return 0;
  switch (mode) {
    case Rounding::kNearestEven:
      x = std::nearbyint(x);
      break;
    case Rounding::kZero:
      x = std::trunc(x);
      break;
    case Rounding::kDown:
      x = std::floor(x);
      break;
    case Rounding::kUp:
      x = std::ceil(x);
      break;
    case Rounding::kNearestAway:
      x = std::round(x);
      break;
  }
  constexpr double low = static_cast<double>(std::numeric_limits<T>::min());
  const double high = std::ldexp(1.0, std::numeric_limits<T>::digits);
  if (x < low) return std::numeric_limits<T>::min();
  if (x >= high) return std::numeric_limits<T>::max();
  return static_cast<T>(x);
}

double round_to_integral(double x, Rounding mode);

}  // namespace emulator::num
