// The approximate functions of PTX (ex2, lg2, tanh, rcp, rsqrt, sqrt, div, sin, cos).
//
// kNearest computes them nearly correctly rounded. Hardware does not, so a tolerance tuned on that
// could be too tight: kInjectError multiplies each result by 1 + e with |e| as large as the bound
// in the PTX manual, e depending on the argument and the seed only.
#pragma once

#include "base/options.hpp"
#include "num/fp.hpp"

namespace emulator::num {

// 2^x in double, about 1e-13 relative; branch free so that loops over it vectorise.
inline double exp2_double(double x) {
  x = x < -1080.0 ? -1080.0 : x;
  x = x > 1030.0 ? 1030.0 : x;
  const double n = std::nearbyint(x);
  const double f = (x - n) * 0.69314718055994530942;
  double p = 1.0 / 479001600;
  p = p * f + 1.0 / 39916800;
  p = p * f + 1.0 / 3628800;
  p = p * f + 1.0 / 362880;
  p = p * f + 1.0 / 40320;
  p = p * f + 1.0 / 5040;
  p = p * f + 1.0 / 720;
  p = p * f + 1.0 / 120;
  p = p * f + 1.0 / 24;
  p = p * f + 1.0 / 6;
  p = p * f + 0.5;
  p = p * f + 1.0;
  p = p * f + 1.0;
  // Two factors, so that results below 2^-1022 still come out right.
  const s64 k = static_cast<s64>(n);
  const s64 half = k >> 1, rest = k - half;
  const double s1 = std::bit_cast<double>(static_cast<u64>(half + 1023) << 52);
  const double s2 = std::bit_cast<double>(static_cast<u64>(rest + 1023) << 52);
  return p * s1 * s2;
}

inline float ex2(float x) {
  const float r = static_cast<float>(exp2_double(static_cast<double>(x)));
  return x != x ? bits_to_float(kCanonicalNan32) : r;
}

inline float tanh_nearest(float x) {
  const double v = static_cast<double>(x);
  const double e = exp2_double(v * 2.8853900817779268147);  // e^(2x)
  const double big = 1.0 - 2.0 / (e + 1.0);
  const double small = v - v * v * v / 3.0;
  const double r = v < 1e-3 && v > -1e-3 ? small : big;
  return x != x ? bits_to_float(kCanonicalNan32) : static_cast<float>(r);
}

inline float rsqrt(float x) {
  return canonical(static_cast<float>(1.0 / std::sqrt(static_cast<double>(x))));
}
inline float rcp(float x) { return canonical(1.0f / x); }
inline float lg2(float x) {
  return canonical(static_cast<float>(std::log2(static_cast<double>(x))));
}
inline float sin_nearest(float x) {
  return canonical(static_cast<float>(std::sin(static_cast<double>(x))));
}
inline float cos_nearest(float x) {
  return canonical(static_cast<float>(std::cos(static_cast<double>(x))));
}

// Error in [-1, 1], a function of the argument and the seed.
inline double unit_error(u32 argument, u64 seed) {
  u64 h = (argument + 0x9E3779B97F4A7C15ull * (seed + 1)) * 0xBF58476D1CE4E5B9ull;
  h ^= h >> 31;
  h *= 0x94D049BB133111EBull;
  h ^= h >> 29;
  return static_cast<double>(static_cast<s64>(h) >> 11) * 0x1p-52;
}

// The manual's special values are exact: 0, infinities, NaN, and 1 (2^0 and the limits of tanh).
inline bool takes_no_error(float result) {
  const u32 magnitude = float_to_bits(result) & 0x7fffffff;
  return magnitude == 0 || magnitude >= 0x7f800000 || magnitude == 0x3f800000;
}

inline float with_relative_error(float result, u32 argument, double bound) {
  if (takes_no_error(result)) return result;
  const double r = static_cast<double>(result);
  return static_cast<float>(r + r * bound * unit_error(argument, options().seed));
}
inline float with_absolute_error(float result, u32 argument, double bound) {
  if (takes_no_error(result)) return result;
  return static_cast<float>(static_cast<double>(result) +
                            bound * unit_error(argument, options().seed));
}

}  // namespace emulator::num
