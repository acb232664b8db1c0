// Binary floating point by integer arithmetic only, for any format up to 64 bits: what the tests
// hold against the emulator. Nothing here uses the host's floating-point unit.
#pragma once

#include <bit>
#include <cstdint>

namespace host_model {

using u128 = unsigned __int128;

struct Format {
  int exponent_bits;
  int fraction_bits;

  constexpr int bits() const { return 1 + exponent_bits + fraction_bits; }
  constexpr int bias() const { return (1 << (exponent_bits - 1)) - 1; }
  constexpr int min_exponent() const { return 1 - bias(); }
  constexpr uint64_t sign_mask() const { return uint64_t{1} << (bits() - 1); }
  constexpr uint64_t magnitude_mask() const { return sign_mask() - 1; }
  constexpr uint64_t infinity() const {
    return ((uint64_t{1} << exponent_bits) - 1) << fraction_bits;
  }
  constexpr uint64_t max_finite() const { return infinity() - 1; }
  constexpr uint64_t min_normal() const { return uint64_t{1} << fraction_bits; }
  constexpr uint64_t one() const { return uint64_t(bias()) << fraction_bits; }
  constexpr uint64_t nan() const { return magnitude_mask(); }
};

inline constexpr Format kF16{5, 10};
inline constexpr Format kBf16{8, 7};
inline constexpr Format kTf32{8, 10};
inline constexpr Format kF32{8, 23};
inline constexpr Format kF64{11, 52};

enum class Round { kNearestEven, kNearestAway, kZero, kDown, kUp };
enum class Subnormals { kKeep, kFlush };
enum class Clamp { kNone, kUnit, kRelu };

struct Mode {
  Round round = Round::kNearestEven;
  Subnormals subnormals = Subnormals::kKeep;
  Clamp clamp = Clamp::kNone;
};

inline constexpr bool is_nan(Format f, uint64_t x) {
  return (x & f.magnitude_mask()) > f.infinity();
}
inline constexpr bool is_infinite(Format f, uint64_t x) {
  return (x & f.magnitude_mask()) == f.infinity();
}
inline constexpr bool is_zero(Format f, uint64_t x) { return (x & f.magnitude_mask()) == 0; }
inline constexpr bool is_negative(Format f, uint64_t x) { return (x & f.sign_mask()) != 0; }
inline constexpr bool is_subnormal(Format f, uint64_t x) {
  return !is_zero(f, x) && (x & f.magnitude_mask()) < f.min_normal();
}

inline constexpr uint64_t flush(Format f, uint64_t x, Subnormals policy) {
  return policy == Subnormals::kFlush && is_subnormal(f, x) ? x & f.sign_mask() : x;
}

// value = (-1)^negative * significand * 2^exponent; the lowest bit may be sticky.
struct Exact {
  bool negative = false;
  u128 significand = 0;
  int exponent = 0;
};

inline constexpr int kTopBit = 125;  // normalised position of the highest set bit

// Shifts right and keeps a one at the bottom if anything was lost.
inline u128 shift_right_jam(u128 value, int shift) {
  if (shift <= 0) return value;
  if (shift > 127) return value != 0;
  const u128 lost = value & ((u128{1} << shift) - 1);
  return (value >> shift) | (lost != 0);
}

inline Exact normalize(Exact x) {
  if (x.significand == 0) return x;
  while ((x.significand >> kTopBit) > 1) {
    x.significand = shift_right_jam(x.significand, 1);
    ++x.exponent;
  }
  while ((x.significand >> kTopBit) == 0) {
    x.significand <<= 1;
    --x.exponent;
  }
  return x;
}

inline Exact unpack(Format f, uint64_t x) {
  const uint64_t magnitude = x & f.magnitude_mask();
  const int field = static_cast<int>(magnitude >> f.fraction_bits);
  const uint64_t fraction = magnitude & (f.min_normal() - 1);
  Exact exact;
  exact.negative = is_negative(f, x);
  exact.significand = field == 0 ? fraction : fraction | f.min_normal();
  exact.exponent = (field == 0 ? f.min_exponent() : field - f.bias()) - f.fraction_bits;
  return exact;
}

inline bool rounds_up(Round round, bool negative, bool odd, int half_comparison, bool inexact) {
  switch (round) {
    case Round::kNearestEven:
      return half_comparison > 0 || (half_comparison == 0 && odd);
    case Round::kNearestAway:
      return half_comparison >= 0;
    case Round::kZero:
      return false;
    case Round::kDown:
      return negative && inexact;
    case Round::kUp:
      return !negative && inexact;
  }
  return false;
}

// Drops `shift` low bits of `value`, rounding.
inline u128 round_shift(u128 value, int shift, Round round, bool negative) {
  if (shift <= 0) return value << -shift;
  if (shift > 127) {
    value = value != 0;
    shift = 2;
  }
  const u128 unit = u128{1} << shift;
  const u128 rest = value & (unit - 1);
  const u128 half = unit >> 1;
  const u128 kept = value >> shift;
  const int half_comparison = rest > half ? 1 : rest == half ? 0 : -1;
  return kept + rounds_up(round, negative, (kept & 1) != 0, half_comparison, rest != 0);
}

inline uint64_t overflow_result(Format f, Round round, bool negative) {
  const bool to_infinity = round == Round::kNearestEven || round == Round::kNearestAway ||
                           (round == Round::kUp && !negative) ||
                           (round == Round::kDown && negative);
  return to_infinity ? f.infinity() : f.max_finite();
}

inline uint64_t round_pack(Format f, Exact x, Round round) {
  const uint64_t sign = x.negative ? f.sign_mask() : 0;
  if (x.significand == 0) return sign;
  x = normalize(x);
  const int top_exponent = x.exponent + kTopBit;
  const int result_exponent = top_exponent < f.min_exponent() ? f.min_exponent() : top_exponent;
  const int lsb_exponent = result_exponent - f.fraction_bits;
  const u128 kept = round_shift(x.significand, lsb_exponent - x.exponent, round, x.negative);
  // A carry out of the significand walks into the exponent field by itself.
  const u128 magnitude = (u128(result_exponent + f.bias() - 1) << f.fraction_bits) + kept;
  if (magnitude >= f.infinity()) return sign | overflow_result(f, round, x.negative);
  return sign | static_cast<uint64_t>(magnitude);
}

inline uint64_t apply_clamp(Format f, uint64_t x, Clamp clamp) {
  if (clamp == Clamp::kNone) return x;
  if (is_nan(f, x)) return clamp == Clamp::kUnit ? 0 : f.nan();
  if (is_negative(f, x)) return 0;
  return clamp == Clamp::kUnit && x > f.one() ? f.one() : x;
}

inline uint64_t finish(Format f, const Exact& x, Mode mode) {
  return apply_clamp(f, flush(f, round_pack(f, x, mode.round), mode.subnormals), mode.clamp);
}
inline uint64_t finish_special(Format f, uint64_t x, Mode mode) {
  return apply_clamp(f, x, mode.clamp);
}

// Sum of two exact values; a sticky bit far below every rounding position stands for the tail.
inline Exact add_exact(Exact x, Exact y, Round round) {
  if (x.significand == 0 && y.significand == 0) {
    Exact zero;
    zero.negative = x.negative == y.negative ? x.negative : round == Round::kDown;
    return zero;
  }
  if (x.significand == 0) return y;
  if (y.significand == 0) return x;
  x = normalize(x);
  y = normalize(y);
  if (x.exponent < y.exponent) {
    const Exact swap = x;
    x = y;
    y = swap;
  }
  y.significand = shift_right_jam(y.significand, x.exponent - y.exponent);
  Exact sum = x;
  if (x.negative == y.negative) {
    sum.significand = x.significand + y.significand;
    return {sum.negative, shift_right_jam(sum.significand, 1), sum.exponent + 1};
  }
  if (x.significand == y.significand) {
    return {round == Round::kDown, 0, 0};
  }
  sum.negative = x.significand > y.significand ? x.negative : y.negative;
  sum.significand =
      x.significand > y.significand ? x.significand - y.significand : y.significand - x.significand;
  return sum;
}

inline uint64_t fma(Format f, uint64_t a, uint64_t b, uint64_t c, Mode mode) {
  a = flush(f, a, mode.subnormals);
  b = flush(f, b, mode.subnormals);
  c = flush(f, c, mode.subnormals);
  if (is_nan(f, a) || is_nan(f, b) || is_nan(f, c)) return finish_special(f, f.nan(), mode);
  const bool product_negative = is_negative(f, a) != is_negative(f, b);
  if (is_infinite(f, a) || is_infinite(f, b)) {
    const bool undefined = is_zero(f, a) || is_zero(f, b) ||
                           (is_infinite(f, c) && is_negative(f, c) != product_negative);
    if (undefined) return finish_special(f, f.nan(), mode);
    return finish_special(f, f.infinity() | (product_negative ? f.sign_mask() : 0), mode);
  }
  if (is_infinite(f, c)) return finish_special(f, c, mode);
  const Exact x = unpack(f, a);
  const Exact y = unpack(f, b);
  const Exact product{product_negative, x.significand * y.significand, x.exponent + y.exponent};
  return finish(f, add_exact(product, unpack(f, c), mode.round), mode);
}

inline uint64_t negate(Format f, uint64_t x) { return x ^ f.sign_mask(); }

inline uint64_t add(Format f, uint64_t a, uint64_t b, Mode mode) {
  return fma(f, a, f.one(), b, mode);
}
inline uint64_t sub(Format f, uint64_t a, uint64_t b, Mode mode) {
  return add(f, a, is_nan(f, b) ? b : negate(f, b), mode);
}

inline uint64_t mul(Format f, uint64_t a, uint64_t b, Mode mode) {
  a = flush(f, a, mode.subnormals);
  b = flush(f, b, mode.subnormals);
  const bool negative = is_negative(f, a) != is_negative(f, b);
  // f16 is flushed before it is rounded.
  const bool finite =
      (a & f.magnitude_mask()) < f.infinity() && (b & f.magnitude_mask()) < f.infinity();
  if (f.fraction_bits == 10 && mode.subnormals == Subnormals::kFlush && finite) {
    const Exact x = unpack(f, a);
    const Exact y = unpack(f, b);
    const int width = std::bit_width(static_cast<uint64_t>(x.significand * y.significand));
    if (width + x.exponent + y.exponent <= f.min_exponent()) return negative ? f.sign_mask() : 0;
  }
  // Adding a zero of the product's sign leaves the sign of a zero product alone.
  return fma(f, a, b, negative ? f.sign_mask() : 0, mode);
}

inline uint64_t div(Format f, uint64_t a, uint64_t b, Mode mode) {
  a = flush(f, a, mode.subnormals);
  b = flush(f, b, mode.subnormals);
  const bool negative = is_negative(f, a) != is_negative(f, b);
  const uint64_t sign = negative ? f.sign_mask() : 0;
  if (is_nan(f, a) || is_nan(f, b) || (is_zero(f, a) && is_zero(f, b)) ||
      (is_infinite(f, a) && is_infinite(f, b))) {
    return finish_special(f, f.nan(), mode);
  }
  if (is_infinite(f, a) || is_zero(f, b)) return finish_special(f, sign | f.infinity(), mode);
  if (is_zero(f, a) || is_infinite(f, b)) return finish_special(f, sign, mode);
  const Exact x = normalize(unpack(f, a));
  const Exact y = unpack(f, b);
  const u128 quotient = x.significand / y.significand;
  const bool inexact = x.significand % y.significand != 0;
  return finish(f, {negative, (quotient << 1) | inexact, x.exponent - y.exponent - 1}, mode);
}

inline uint64_t sqrt(Format f, uint64_t a, Mode mode) {
  a = flush(f, a, mode.subnormals);
  if (is_nan(f, a) || (is_negative(f, a) && !is_zero(f, a))) {
    return finish_special(f, f.nan(), mode);
  }
  if (is_zero(f, a) || is_infinite(f, a)) return finish_special(f, a, mode);
  Exact x = normalize(unpack(f, a));
  if (x.exponent & 1) {
    x.significand >>= 1;
    ++x.exponent;
  }
  u128 root = 0;
  for (int bit = 63; bit >= 0; --bit) {
    const u128 candidate = root | (u128{1} << bit);
    if (candidate * candidate <= x.significand) root = candidate;
  }
  const bool inexact = root * root != x.significand;
  return finish(f, {false, (root << 1) | inexact, x.exponent / 2 - 1}, mode);
}

inline uint64_t reciprocal(Format f, uint64_t a, Mode mode) { return div(f, f.one(), a, mode); }

}  // namespace host_model
