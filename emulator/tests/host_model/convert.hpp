// Conversions and comparisons on top of soft_float.hpp.
#pragma once

#include <algorithm>

#include "soft_float.hpp"

namespace host_model {

inline uint64_t convert(Format to, Format from, uint64_t x, Mode mode) {
  x = flush(from, x, mode.subnormals);
  if (is_nan(from, x)) return finish_special(to, to.nan(), mode);
  const uint64_t sign = is_negative(from, x) ? to.sign_mask() : 0;
  if (is_infinite(from, x)) return finish_special(to, sign | to.infinity(), mode);
  return finish(to, unpack(from, x), mode);
}

// tf32 lives in the upper 19 bits of a 32-bit register; the lower 13 are unspecified and read as 0.
inline uint32_t to_tf32(uint32_t x, Round round) {
  if (is_nan(kF32, x)) return 0x7fffffff;
  return static_cast<uint32_t>(convert(kTf32, kF32, x, {round}) << 13);
}

// Like overflow in convert, but to the largest finite value (cvt.satfinite).
inline uint64_t convert_satfinite(Format to, Format from, uint64_t x, Mode mode) {
  const uint64_t result = convert(to, from, x, mode);
  return is_infinite(to, result) ? result - 1 : result;
}

inline uint64_t round_to_integral(Format f, uint64_t x, Mode mode) {
  x = flush(f, x, mode.subnormals);
  if (is_nan(f, x)) return finish_special(f, f.nan(), mode);
  const Exact exact = unpack(f, x);
  if (is_infinite(f, x) || exact.exponent >= 0) return finish_special(f, x, mode);
  const u128 integral = round_shift(exact.significand, -exact.exponent, mode.round, exact.negative);
  return finish(f, {exact.negative, integral, 0}, mode);
}

struct IntegerType {
  int bits;
  bool is_signed;

  __int128 min() const { return is_signed ? -(__int128{1} << (bits - 1)) : 0; }
  __int128 max() const { return (__int128{1} << (is_signed ? bits - 1 : bits)) - 1; }
  uint64_t mask() const { return bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1; }
  __int128 value(uint64_t x) const {
    x &= mask();
    const bool negative = is_signed && (x >> (bits - 1)) & 1;
    return negative ? __int128(x) - (__int128{1} << bits) : __int128(x);
  }
  __int128 clamp(__int128 v) const { return std::clamp(v, min(), max()); }
};

inline constexpr IntegerType kS8{8, true}, kU8{8, false}, kS16{16, true}, kU16{16, false},
    kS32{32, true}, kU32{32, false}, kS64{64, true}, kU64{64, false};

// Out-of-range values clamp. NaN gives 0 unless a 64-bit type takes part, then the lowest value.
inline uint64_t float_to_integer(IntegerType to, Format from, uint64_t x, Mode mode) {
  x = flush(from, x, mode.subnormals);
  if (is_nan(from, x)) {
    const bool wide = from.bits() == 64 || to.bits == 64;
    return wide ? (uint64_t{1} << (to.bits - 1)) : 0;
  }
  const bool negative = is_negative(from, x);
  if (is_infinite(from, x)) {
    return static_cast<uint64_t>(negative ? to.min() : to.max()) & to.mask();
  }
  const Exact exact = unpack(from, x);
  if (exact.exponent > 64) {
    return static_cast<uint64_t>(exact.significand == 0 ? __int128{0}
                                 : negative             ? to.min()
                                                        : to.max()) &
           to.mask();
  }
  const __int128 magnitude =
      static_cast<__int128>(round_shift(exact.significand, -exact.exponent, mode.round, negative));
  return static_cast<uint64_t>(to.clamp(negative ? -magnitude : magnitude)) & to.mask();
}

inline uint64_t integer_to_float(Format to, IntegerType from, uint64_t x, Mode mode) {
  const __int128 value = from.value(x);
  return finish(to, {value < 0, static_cast<u128>(value < 0 ? -value : value), 0}, mode);
}

inline uint64_t integer_to_integer(IntegerType to, IntegerType from, uint64_t x, bool saturate) {
  const __int128 value = from.value(x);
  return static_cast<uint64_t>(saturate ? to.clamp(value) : value) & to.mask();
}

enum class Order { kLess, kEqual, kGreater, kUnordered };

inline Order compare(Format f, uint64_t a, uint64_t b, Subnormals subnormals) {
  a = flush(f, a, subnormals);
  b = flush(f, b, subnormals);
  if (is_nan(f, a) || is_nan(f, b)) return Order::kUnordered;
  if (is_zero(f, a) && is_zero(f, b)) return Order::kEqual;
  const auto key = [&](uint64_t x) {
    const auto magnitude = static_cast<int64_t>(x & f.magnitude_mask());
    return is_negative(f, x) ? -magnitude : magnitude;
  };
  const int64_t x = key(a);
  const int64_t y = key(b);
  return x < y ? Order::kLess : x > y ? Order::kGreater : Order::kEqual;
}

enum class NanRule { kNumberWins, kPropagate };

// -0 is below +0 here, as min and max of PTX define it.
inline uint64_t extremum(Format f, uint64_t a, uint64_t b, bool want_max, NanRule rule,
                         Subnormals subnormals) {
  a = flush(f, a, subnormals);
  b = flush(f, b, subnormals);
  const bool a_nan = is_nan(f, a);
  const bool b_nan = is_nan(f, b);
  if ((a_nan || b_nan) && rule == NanRule::kPropagate) return f.nan();
  if (a_nan && b_nan) return f.nan();
  if (a_nan) return b;
  if (b_nan) return a;
  if (is_zero(f, a) && is_zero(f, b)) {
    const bool pick_a = is_negative(f, a) != want_max;
    return pick_a ? a : b;
  }
  const bool a_less = compare(f, a, b, Subnormals::kKeep) == Order::kLess;
  return a_less == want_max ? b : a;
}

inline uint64_t minimum(Format f, uint64_t a, uint64_t b, Mode mode = {},
                        NanRule rule = NanRule::kNumberWins) {
  return extremum(f, a, b, false, rule, mode.subnormals);
}
inline uint64_t maximum(Format f, uint64_t a, uint64_t b, Mode mode = {},
                        NanRule rule = NanRule::kNumberWins) {
  return extremum(f, a, b, true, rule, mode.subnormals);
}

inline uint64_t xorsign(Format f, uint64_t a, uint64_t b, uint64_t magnitude) {
  return is_nan(f, magnitude) ? magnitude : magnitude | ((a ^ b) & f.sign_mask());
}

// cvt.pack.sat to a byte type: the two bytes go below the lower half of c.
inline uint64_t pack_saturated(IntegerType type, uint32_t a, uint32_t b, uint32_t c) {
  return uint64_t{c} << 16 | integer_to_integer(type, kS32, a, true) << 8 |
         integer_to_integer(type, kS32, b, true);
}

// Two 16-bit halves of a register, each through `op`.
template <class Op>
uint32_t each_half(uint32_t a, uint32_t b, uint32_t c, Op op) {
  const uint32_t low = static_cast<uint32_t>(op(a & 0xffff, b & 0xffff, c & 0xffff)) & 0xffff;
  const uint32_t high = static_cast<uint32_t>(op(a >> 16, b >> 16, c >> 16)) & 0xffff;
  return low | high << 16;
}

}  // namespace host_model
