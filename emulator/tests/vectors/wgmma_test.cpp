// wgmma.mma_async in every shape and every shared-memory layout against a host model.
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "host_model/fragment.hpp"
#include "host_model/real.hpp"
#include "host_model/wgmma_layout.hpp"
#include "support/device_buffer.hpp"
#include "support/wgmma_case.hpp"

namespace emulator_tests {
namespace {

using namespace host_model;

enum class WgmmaValues { kSmallIntegers, kReals };

constexpr int kRows = 64;
constexpr int kThreads = 128;

// Accumulator register of element (row, column): four warps own 16 rows each, and a warp holds its
// columns in chunks of eight.
FragmentPlace place_accumulator(int row, int column, int bits) {
  FragmentPlace place = place_c(row % 16, column % 8, bits);
  place.lane += row / 16 * 32;
  place.reg += column / 8 * (bits == 16 ? 2 : 4);
  return place;
}

class Problem {
 public:
  Problem(const WgmmaVariant& variant, int swizzle_bytes, WgmmaValues values, uint64_t seed)
      : variant_(variant), values_(values), random_(seed) {
    const uint32_t gap = seed % 2 ? pattern_bytes(swizzle_bytes) : 0;
    const auto slice = static_cast<uint32_t>(seed / 2);
    a_ = make_wgmma_operand(kRows, k(), element_bytes(), variant.a_major == OperandMajor::kK,
                            swizzle_bytes, gap, slice);
    b_ = make_wgmma_operand(variant.n, k(), element_bytes(), variant.b_major == OperandMajor::kK,
                            swizzle_bytes, variant.n <= 64 ? gap : 0, slice);
    fill();
  }

  void run_and_check() {
    for (const uint32_t scale_d : {1u, 0u}) {
      launch_once(scale_d);
      if (testing::Test::HasFatalFailure()) return;
    }
  }

 private:
  static uint32_t pattern_bytes(int swizzle_bytes) {
    return swizzle_bytes == 0 ? 16 : static_cast<uint32_t>(8 * swizzle_bytes);
  }
  Format input() const {
    return variant_.input == WgmmaInput::kF16    ? kF16
           : variant_.input == WgmmaInput::kBf16 ? kBf16
                                                 : kTf32;
  }
  Format output() const { return variant_.accumulator == WgmmaAccumulator::kF16 ? kF16 : kF32; }
  int element_bytes() const { return variant_.input == WgmmaInput::kTf32 ? 4 : 2; }
  int k() const { return 32 / element_bytes(); }
  int registers_per_thread() const { return variant_.n * output().bits() / 64; }

  uint64_t make_value(Format format) {
    if (values_ == WgmmaValues::kSmallIntegers) {
      return from_double(format, static_cast<double>(random_() % 17) - 8);
    }
    return from_double(format, std::normal_distribution<double>()(random_));
  }
  uint32_t register_bits(uint64_t value) {
    if (variant_.input != WgmmaInput::kTf32) return static_cast<uint32_t>(value);
    return static_cast<uint32_t>(value << 13 | (random_() & 0x1fff));
  }
  void put_shared(uint32_t offset, uint32_t bits) {
    if (image_.size() < offset + 4) image_.resize(offset + 4, 0xff);
    std::memcpy(&image_[offset], &bits, static_cast<size_t>(element_bytes()));
  }

  void fill() {
    left_.assign(static_cast<size_t>(kRows * k()), 0);
    right_.assign(static_cast<size_t>(variant_.n * k()), 0);
    a_registers_.assign(4 * kThreads, 0);
    for (int row = 0; row < kRows; ++row) {
      for (int i = 0; i < k(); ++i) {
        const uint64_t value = make_value(input());
        left_[static_cast<size_t>(row * k() + i)] = variant_.sign_a * to_double(input(), value);
        if (variant_.source == WgmmaSource::kShared) {
          put_shared(a_.offset(row, i), register_bits(value));
        } else {
          const FragmentPlace place = place_a(row % 16, i, element_bytes() * 8);
          a_registers_[static_cast<size_t>(place.reg * kThreads + row / 16 * 32 + place.lane)] |=
              register_bits(value) << place.shift;
        }
      }
    }
    // The swizzle pattern repeats every 1024 bytes; B starts on a fresh one.
    b_start_ = static_cast<uint32_t>((image_.size() + 1023) / 1024 * 1024);
    for (int column = 0; column < variant_.n; ++column) {
      for (int i = 0; i < k(); ++i) {
        const uint64_t value = make_value(input());
        right_[static_cast<size_t>(column * k() + i)] = variant_.sign_b * to_double(input(), value);
        put_shared(b_start_ + b_.offset(column, i), register_bits(value));
      }
    }
    image_.resize((image_.size() + 15) / 16 * 16, 0xff);
  }

  void launch_once(uint32_t scale_d) {
    const auto words = static_cast<size_t>(registers_per_thread());
    // With scale_d = 0 the old accumulators, NaN here, must not matter.
    std::vector<uint32_t> accumulators(words * kThreads, scale_d ? 0 : 0xffffffff);
    std::vector<double> old(static_cast<size_t>(kRows * variant_.n), 0);
    const Format out = output();
    for (int row = 0; scale_d && row < kRows; ++row) {
      for (int column = 0; column < variant_.n; ++column) {
        const uint64_t value = make_value(out);
        const FragmentPlace place = place_accumulator(row, column, out.bits());
        accumulators[static_cast<size_t>(place.lane) * words + static_cast<size_t>(place.reg)] |=
            static_cast<uint32_t>(value) << place.shift;
        old[static_cast<size_t>(row * variant_.n + column)] = to_double(out, value);
      }
    }
    const DeviceBuffer<uint8_t> image(image_);
    const DeviceBuffer<uint32_t> a_registers(a_registers_);
    const DeviceBuffer<uint32_t> device_accumulators(accumulators);
    const WgmmaArguments arguments{image.data(),
                                   static_cast<uint32_t>(image_.size()),
                                   a_.descriptor(0),
                                   b_.descriptor(b_start_),
                                   a_registers.data(),
                                   device_accumulators.data(),
                                   scale_d};
    ASSERT_CUDA(cudaFuncSetAttribute(reinterpret_cast<const void*>(variant_.kernel),
                                     cudaFuncAttributeMaxDynamicSharedMemorySize,
                                     static_cast<int>(image_.size())));
    ASSERT_CUDA(
        launch(variant_.kernel, {.block = kThreads, .shared_bytes = image_.size()}, arguments));
    expect_device_is_fine();
    check(device_accumulators.download(), old);
  }

  void check(const std::vector<uint32_t>& accumulators, const std::vector<double>& old) {
    const Format out = output();
    const auto words = static_cast<size_t>(registers_per_thread());
    for (int row = 0; row < kRows; ++row) {
      for (int column = 0; column < variant_.n; ++column) {
        double expected = old[static_cast<size_t>(row * variant_.n + column)];
        double magnitude = std::abs(expected);
        for (int i = 0; i < k(); ++i) {
          const double term = left_[static_cast<size_t>(row * k() + i)] *
                              right_[static_cast<size_t>(column * k() + i)];
          expected += term;
          magnitude += std::abs(term);
        }
        const FragmentPlace place = place_accumulator(row, column, out.bits());
        const uint64_t bits = accumulators[static_cast<size_t>(place.lane) * words +
                                           static_cast<size_t>(place.reg)] >>
                              place.shift;
        const double result = to_double(out, out.bits() == 16 ? bits & 0xffff : bits);
        // As for mma.sync: integers are exact, else k + 1 terms are truncated once each.
        const double tolerance = values_ == WgmmaValues::kSmallIntegers
                                     ? 0
                                     : std::ldexp(magnitude * (k() + 1), -out.fraction_bits);
        ASSERT_LE(std::abs(result - expected), tolerance)
            << variant_.name << " swizzle " << a_.swizzle_bytes << " row " << row << " column "
            << column << ": " << result << " for " << expected;
      }
    }
  }

  const WgmmaVariant& variant_;
  WgmmaValues values_;
  std::mt19937_64 random_;
  WgmmaOperand a_{};
  WgmmaOperand b_{};
  uint32_t b_start_ = 0;
  std::vector<uint8_t> image_;
  std::vector<uint32_t> a_registers_;
  std::vector<double> left_;
  std::vector<double> right_;
};

class Wgmma : public testing::TestWithParam<int> {};

TEST_P(Wgmma, MatchesHostModelInEveryLayout) {
  const WgmmaVariant& variant = kWgmmaVariants[GetParam()];
  uint64_t seed = static_cast<uint64_t>(GetParam());
  for (const int swizzle_bytes : {128, 64, 32, 0}) {
    Problem(variant, swizzle_bytes, WgmmaValues::kSmallIntegers, seed++).run_and_check();
    if (HasFatalFailure()) return;
  }
  Problem(variant, 128, WgmmaValues::kReals, seed).run_and_check();
}

INSTANTIATE_TEST_SUITE_P(Wgmma, Wgmma, testing::Range(0, kWgmmaVariantCount),
                         [](const testing::TestParamInfo<int>& info) {
                           return std::string(kWgmmaVariants[info.param].name);
                         });

}  // namespace
}  // namespace emulator_tests
