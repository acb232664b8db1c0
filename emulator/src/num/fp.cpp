#include "num/fp.hpp"

#include <cfenv>

namespace emulator::num {
namespace {

// Compiled with -frounding-math; the barrier keeps operations inside the changed mode.
class DirectedRounding {
 public:
  explicit DirectedRounding(Rounding mode) : before_(std::fegetround()) {
    switch (mode) {
      case Rounding::kZero:
        std::fesetround(FE_TOWARDZERO);
        break;
      case Rounding::kDown:
        std::fesetround(FE_DOWNWARD);
        break;
      case Rounding::kUp:
        std::fesetround(FE_UPWARD);
        break;
      default:
        std::fesetround(FE_TONEAREST);
    }
  }
  ~DirectedRounding() { std::fesetround(before_); }

 private:
  int before_;
};

template <class T, class F>
T rounded(Rounding mode, F&& operation) {
  DirectedRounding scope(mode);
  volatile T result = operation();
  return result;
}

template <class T>
T opaque(T x) {
  volatile T v = x;
  return v;
}

}  // namespace

double round_to_integral(double x, Rounding mode) {
  switch (mode) {
    case Rounding::kZero:
      return std::trunc(x);
    case Rounding::kDown:
      return std::floor(x);
    case Rounding::kUp:
      return std::ceil(x);
    case Rounding::kNearestAway:
      return std::round(x);
    default:
      return std::nearbyint(x);
  }
}

double round_to(double x, const Format& f, Rounding mode) {
  if (x != x || std::isinf(x) || x == 0) return x;
  int exponent;
  std::frexp(x, &exponent);  // |x| in [2^(e-1), 2^e)
  const int unit = std::max(exponent - f.precision, f.min_exponent - f.precision + 1);
  const double scaled = std::ldexp(x, -unit);  // exact: an ulp of the format is 1
  const double result = std::ldexp(round_to_integral(scaled, mode), unit);
  const double largest = std::ldexp(2.0 - std::ldexp(1.0, 1 - f.precision), f.max_exponent);
  if (std::fabs(result) <= largest) return result == 0 ? std::copysign(0.0, x) : result;
  const bool towards_zero = mode == Rounding::kZero || (mode == Rounding::kDown && x > 0) ||
                            (mode == Rounding::kUp && x < 0);
  return std::copysign(towards_zero ? largest : std::numeric_limits<double>::infinity(), x);
}

double add_to_odd(double x, double y) {
  const double s = x + y;
  if (!std::isfinite(s)) return s;
  const double yy = s - x;
  const double error = (x - (s - yy)) + (y - yy);
  u64 bits = std::bit_cast<u64>(s);
  if (error == 0 || (bits & 1)) return s;
  // The exact sum lies between s and a neighbour; take the odd one of the two.
  const bool away = (error > 0) == (s > 0);
  if (s == 0) return error;
  bits += away ? 1 : static_cast<u64>(-1);
  return std::bit_cast<double>(bits);
}

u16 double_to_f16(double x, Rounding mode) {
  if (x != x) return kCanonicalNan16;
  const double r = round_to(x, kF16, mode);
  const u16 sign = std::signbit(r) ? 0x8000 : 0;
  const double m = std::fabs(r);
  if (m == 0) return sign;
  if (std::isinf(m)) return sign | 0x7c00;
  int exponent;
  const double fraction = std::frexp(m, &exponent);
  if (exponent - 1 < kF16.min_exponent) return sign | static_cast<u16>(std::ldexp(m, 24));
  const u32 mantissa = static_cast<u32>(std::ldexp(fraction, 11)) & 0x3ff;
  return static_cast<u16>(sign | static_cast<u32>(exponent - 1 + 15) << 10 | mantissa);
}

u16 double_to_bf16(double x, Rounding mode) {
  if (x != x) return kCanonicalNan16;
  return static_cast<u16>(float_to_bits(static_cast<float>(round_to(x, kBf16, mode))) >> 16);
}

float double_to_f32(double x, Rounding mode) {
  if (x != x) return bits_to_float(kCanonicalNan32);
  return static_cast<float>(round_to(x, kF32, mode));
}

float f16_to_float_soft(u16 x) {
  const u32 sign = static_cast<u32>(x & 0x8000) << 16;
  const u32 exponent = x >> 10 & 31, mantissa = x & 0x3ff;
  if (exponent == 31) return bits_to_float(sign | 0x7f800000 | mantissa << 13);
  if (exponent) return bits_to_float(sign | (exponent + 112) << 23 | mantissa << 13);
  const float f = static_cast<float>(mantissa) * 0x1p-24f;
  return bits_to_float(float_to_bits(f) | sign);
}

#define EMULATOR_ROUNDED(T)                                                          \
  T add_rounded(T x, T y, Rounding m) {                                              \
    return rounded<T>(m, [=] { return opaque(x) + opaque(y); });                     \
  }                                                                                  \
  T mul_rounded(T x, T y, Rounding m) {                                              \
    return rounded<T>(m, [=] { return opaque(x) * opaque(y); });                     \
  }                                                                                  \
  T div_rounded(T x, T y, Rounding m) {                                              \
    return rounded<T>(m, [=] { return opaque(x) / opaque(y); });                     \
  }                                                                                  \
  T fma_rounded(T x, T y, T z, Rounding m) {                                         \
    return rounded<T>(m, [=] { return std::fma(opaque(x), opaque(y), opaque(z)); }); \
  }                                                                                  \
  T sqrt_rounded(T x, Rounding m) {                                                  \
    return rounded<T>(m, [=] { return std::sqrt(opaque(x)); });                      \
  }
EMULATOR_ROUNDED(float)
EMULATOR_ROUNDED(double)
#undef EMULATOR_ROUNDED

template <class F, class I>
F from_integer(I x, Rounding mode) {
  return rounded<F>(mode, [=] { return static_cast<F>(opaque(x)); });
}
template float from_integer<float, s64>(s64, Rounding);
template float from_integer<float, u64>(u64, Rounding);
template double from_integer<double, s64>(s64, Rounding);
template double from_integer<double, u64>(u64, Rounding);

}  // namespace emulator::num
