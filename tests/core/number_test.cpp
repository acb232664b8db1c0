// Conversions of storage types, exhaustively over the 16-bit patterns.
#include "core/number.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace flash_kda {
namespace {

TEST(Bf16, EveryPatternRoundTrips) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float value = bf16_to_float(half);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(bf16_to_float(float_to_bf16(value)))) << std::hex << bits;
    } else {
      EXPECT_EQ(float_to_bf16(value), half) << std::hex << bits;
    }
  }
}

TEST(Fp16, EveryPatternRoundTrips) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float value = fp16_to_float(half);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(fp16_to_float(float_to_fp16(value)))) << std::hex << bits;
    } else {
      EXPECT_EQ(float_to_fp16(value), half) << std::hex << bits;
    }
  }
}

// Between two neighbours the midpoint goes to the even one, its sides to the nearer one.
template <typename ToFloat, typename FromFloat>
void expect_nearest_even(std::uint16_t last_finite, ToFloat to_float, FromFloat from_float) {
  for (std::uint16_t low = 0; low < last_finite; ++low) {
    const auto high = static_cast<std::uint16_t>(low + 1);
    const float middle = 0.5f * to_float(low) + 0.5f * to_float(high);  // exact: one more bit
    const std::uint16_t even = low % 2 == 0 ? low : high;
    ASSERT_EQ(from_float(middle), even) << low;
    ASSERT_EQ(from_float(std::nextafter(middle, -1.0f)), low) << low;
    ASSERT_EQ(from_float(std::nextafter(middle, std::numeric_limits<float>::infinity())), high)
        << low;
  }
}

TEST(Bf16, RoundsToNearestEven) {
  // From 2^-126 on: half of a bf16 subnormal step is not a float below 2^-133 (still exact here).
  expect_nearest_even(0x7f7f, bf16_to_float, float_to_bf16);
}

TEST(Fp16, RoundsToNearestEven) { expect_nearest_even(0x7bff, fp16_to_float, float_to_fp16); }

TEST(Fp16, OverflowsToInfinityAtHalfAnUlpAboveTheLargest) {
  EXPECT_EQ(float_to_fp16(65519.996f), 0x7bff);
  EXPECT_EQ(float_to_fp16(65520.0f), 0x7c00);
  EXPECT_EQ(float_to_fp16(-std::numeric_limits<float>::infinity()), 0xfc00);
}

TEST(Bf16, OverflowsToInfinity) {
  EXPECT_EQ(float_to_bf16(std::numeric_limits<float>::max()), 0x7f80);
}

}  // namespace
}  // namespace flash_kda
