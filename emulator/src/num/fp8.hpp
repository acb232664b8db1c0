// 8-bit formats. Conversions saturate to the largest finite number, as cvt ... .satfinite does.
#pragma once

#include "num/fp.hpp"

namespace emulator::num {

inline u8 pack_fp8(float x, const Format& f, u32 mantissa_bits, u32 largest) {
  const double r = round_to(static_cast<double>(x), f, Rounding::kNearestEven);
  const u32 sign = std::signbit(r) ? 0x80 : 0;
  const double m = std::fabs(r);
  if (m == 0) return static_cast<u8>(sign);
  int exponent;
  const double fraction = std::frexp(m, &exponent);
  if (std::isinf(m)) return static_cast<u8>(sign | largest);
  const int bias = 1 - f.min_exponent;
  if (exponent - 1 < f.min_exponent)
    return static_cast<u8>(
        sign | static_cast<u32>(std::ldexp(m, -f.min_exponent + static_cast<int>(mantissa_bits))));
  const u32 mantissa = static_cast<u32>(std::ldexp(fraction, static_cast<int>(mantissa_bits) + 1)) &
                       ((1u << mantissa_bits) - 1);
  const u32 bits = static_cast<u32>(exponent - 1 + bias) << mantissa_bits | mantissa;
  return static_cast<u8>(sign | (bits > largest ? largest : bits));
}

// e4m3 has no infinity and one NaN per sign: 0x7f. Its largest number is 448 = 0x7e.
inline u8 float_to_e4m3(float x) { return x != x ? 0x7f : pack_fp8(x, kE4m3, 3, 0x7e); }
inline u8 float_to_e5m2(float x) { return x != x ? 0x7f : pack_fp8(x, kE5m2, 2, 0x7b); }

inline float e4m3_to_float(u8 x) {
  const int exponent = x >> 3 & 15, mantissa = x & 7;
  if ((x & 0x7f) == 0x7f) return bits_to_float(kCanonicalNan32);
  const float m = exponent ? std::ldexp(static_cast<float>(8 + mantissa), exponent - 10)
                           : std::ldexp(static_cast<float>(mantissa), -9);
  return x & 0x80 ? -m : m;
}
inline float e5m2_to_float(u8 x) { return f16_to_float(static_cast<u16>(x << 8)); }

}  // namespace emulator::num
