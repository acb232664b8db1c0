// The host model itself: fp32 and fp64 by integers against the host's own IEEE unit, in the four
// rounding modes it has.
#include "soft_float.hpp"

#include <gtest/gtest.h>

#include <cfenv>
#include <cmath>
#include <cstring>
#include <random>

#include "convert.hpp"
#include "support/sample.hpp"

namespace host_model {
namespace {

using emulator_tests::Kind;

const struct {
  Round model;
  int host;
} kRounds[] = {{Round::kNearestEven, FE_TONEAREST},
               {Round::kZero, FE_TOWARDZERO},
               {Round::kDown, FE_DOWNWARD},
               {Round::kUp, FE_UPWARD}};

template <class T, class Bits>
T as_float(uint64_t x) {
  const auto bits = static_cast<Bits>(x);
  T value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

template <class Bits, class T>
uint64_t as_bits(T value) {
  Bits bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

void expect_same(Format f, uint64_t expected, uint64_t actual, const char* what) {
  if (is_nan(f, expected) && is_nan(f, actual)) return;
  ASSERT_EQ(expected, actual) << what;
}

template <class T, class Bits>
void compare_with_host(Format f, Kind kind) {
  std::mt19937_64 random(11);
  for (int i = 0; i < 100000; ++i) {
    const uint64_t a = emulator_tests::sample(kind, random);
    const uint64_t b = emulator_tests::sample(kind, random);
    const uint64_t c = emulator_tests::sample(kind, random);
    // volatile keeps the compiler from evaluating under another rounding mode.
    volatile T x = as_float<T, Bits>(a);
    volatile T y = as_float<T, Bits>(b);
    volatile T z = as_float<T, Bits>(c);
    for (const auto& [model, host] : kRounds) {
      std::fesetround(host);
      volatile T sum = x + y;
      volatile T difference = x - y;
      volatile T product = x * y;
      volatile T fused = std::fma(x, y, z);
      volatile T quotient = x / y;
      volatile T root = std::sqrt(x);
      volatile T integral = std::nearbyint(x);
      std::fesetround(FE_TONEAREST);
      const Mode mode{model};
      expect_same(f, as_bits<Bits, T>(sum), add(f, a, b, mode), "add");
      expect_same(f, as_bits<Bits, T>(difference), sub(f, a, b, mode), "sub");
      expect_same(f, as_bits<Bits, T>(product), mul(f, a, b, mode), "mul");
      expect_same(f, as_bits<Bits, T>(fused), fma(f, a, b, c, mode), "fma");
      expect_same(f, as_bits<Bits, T>(quotient), div(f, a, b, mode), "div");
      expect_same(f, as_bits<Bits, T>(root), sqrt(f, a, mode), "sqrt");
      expect_same(f, as_bits<Bits, T>(integral), round_to_integral(f, a, mode), "integral");
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

TEST(HostModel, SinglePrecisionMatchesTheHostsUnit) {
  compare_with_host<float, uint32_t>(kF32, Kind::kF32);
}

TEST(HostModel, DoublePrecisionMatchesTheHostsUnit) {
  compare_with_host<double, uint64_t>(kF64, Kind::kF64);
}

TEST(HostModel, NarrowingMatchesTheHostsUnit) {
  std::mt19937_64 random(12);
  for (int i = 0; i < 100000; ++i) {
    const uint64_t a = emulator_tests::sample(Kind::kF64, random);
    volatile double x = as_float<double, uint64_t>(a);
    for (const auto& [model, host] : kRounds) {
      std::fesetround(host);
      volatile float narrow = static_cast<float>(x);
      std::fesetround(FE_TONEAREST);
      const float result = narrow;
      expect_same(kF32, as_bits<uint32_t, float>(result), convert(kF32, kF64, a, {model}), "cvt");
      if (HasFatalFailure()) return;
    }
  }
}

}  // namespace
}  // namespace host_model
