// ldmatrix, stmatrix, movmatrix and mma.sync against a host model.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "host_model/fragment.hpp"
#include "host_model/real.hpp"
#include "support/device_buffer.hpp"
#include "support/matrix_case.hpp"

namespace emulator_tests {
namespace {

using namespace host_model;

std::vector<uint8_t> random_bytes(size_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<uint8_t> bytes(count);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  return bytes;
}

// 32 distinct 16-byte rows of shared memory in random order.
std::vector<uint32_t> random_rows(uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<uint32_t> rows(64);
  for (uint32_t i = 0; i < 64; ++i) rows[i] = i * 16;
  std::shuffle(rows.begin(), rows.end(), random);
  rows.resize(32);
  return rows;
}

// Element (row, column) of an 8x8 tile held in registers; transposed forms swap the two.
FragmentPlace tile_place(const MatrixVariant& variant, int matrix, int row, int column) {
  FragmentPlace place =
      variant.transposed ? place_in_tile(column, row, 16) : place_in_tile(row, column, 16);
  place.reg = matrix;
  return place;
}

class MatrixMove : public testing::TestWithParam<int> {};

TEST_P(MatrixMove, LdmatrixMatchesHostModel) {
  const MatrixVariant& variant = kMatrixVariants[GetParam()];
  const std::vector<uint8_t> shared = random_bytes(1024, 1);
  const std::vector<uint32_t> rows = random_rows(2);
  const DeviceBuffer<uint8_t> in(shared);
  const DeviceBuffer<uint32_t> offsets(rows);
  const DeviceBuffer<uint32_t> out(static_cast<size_t>(variant.matrices) * 32);
  ASSERT_CUDA(launch(kLdmatrix[GetParam()], {}, in.data(), offsets.data(), out.data()));
  expect_device_is_fine();
  std::vector<uint32_t> expected(out.size(), 0);
  for (int matrix = 0; matrix < variant.matrices; ++matrix) {
    for (int row = 0; row < 8; ++row) {
      for (int column = 0; column < 8; ++column) {
        uint16_t element;
        std::memcpy(&element, &shared[rows[matrix * 8 + row] + column * 2], 2);
        const FragmentPlace place = tile_place(variant, matrix, row, column);
        expected[place.reg * 32 + place.lane] |= uint32_t{element} << place.shift;
      }
    }
  }
  EXPECT_EQ(expected, out.download());
}

TEST_P(MatrixMove, StmatrixMatchesHostModel) {
  const MatrixVariant& variant = kMatrixVariants[GetParam()];
  std::vector<uint32_t> registers(128);
  std::mt19937_64 random(3);
  for (uint32_t& value : registers) value = static_cast<uint32_t>(random());
  const std::vector<uint32_t> rows = random_rows(4);
  const DeviceBuffer<uint32_t> in(registers);
  const DeviceBuffer<uint32_t> offsets(rows);
  const DeviceBuffer<uint8_t> out(1024);
  ASSERT_CUDA(launch(kStmatrix[GetParam()], {}, in.data(), offsets.data(), out.data()));
  expect_device_is_fine();
  std::vector<uint8_t> expected(1024, 0xee);
  for (int matrix = 0; matrix < variant.matrices; ++matrix) {
    for (int row = 0; row < 8; ++row) {
      for (int column = 0; column < 8; ++column) {
        const FragmentPlace place = tile_place(variant, matrix, row, column);
        const auto element =
            static_cast<uint16_t>(registers[place.reg * 32 + place.lane] >> place.shift);
        std::memcpy(&expected[rows[matrix * 8 + row] + column * 2], &element, 2);
      }
    }
  }
  EXPECT_EQ(expected, out.download());
}

INSTANTIATE_TEST_SUITE_P(Matrix, MatrixMove, testing::Range(0, 6),
                         [](const testing::TestParamInfo<int>& info) {
                           return std::string(kMatrixVariants[info.param].name);
                         });

TEST(Movmatrix, Transposes) {
  std::vector<uint32_t> registers(32);
  std::mt19937_64 random(5);
  for (uint32_t& value : registers) value = static_cast<uint32_t>(random());
  const DeviceBuffer<uint32_t> in(registers);
  const DeviceBuffer<uint32_t> out(32);
  ASSERT_CUDA(launch(movmatrix_kernel, {}, in.data(), out.data()));
  expect_device_is_fine();
  std::vector<uint32_t> expected(32, 0);
  for (int row = 0; row < 8; ++row) {
    for (int column = 0; column < 8; ++column) {
      const FragmentPlace from = place_in_tile(row, column, 16);
      const FragmentPlace to = place_in_tile(column, row, 16);
      expected[to.lane] |= (registers[from.lane] >> from.shift & 0xffff) << to.shift;
    }
  }
  EXPECT_EQ(expected, out.download());
}

enum class MmaValues { kSmallIntegers, kReals };

struct MmaTestCase {
  int variant;
  MmaValues values;
};

void PrintTo(const MmaTestCase& test, std::ostream* out) {
  *out << kMmaVariants[test.variant].name;
}

class MmaSync : public testing::TestWithParam<MmaTestCase> {
 protected:
  Format input_format() const {
    switch (variant_.input) {
      case MmaInput::kF16:
        return kF16;
      case MmaInput::kBf16:
        return kBf16;
      case MmaInput::kTf32:
        break;
    }
    return kTf32;
  }
  int input_bits() const { return variant_.input == MmaInput::kTf32 ? 32 : 16; }
  Format output_format() const {
    return variant_.accumulator == MmaAccumulator::kF16 ? kF16 : kF32;
  }

  uint64_t make_value(Format format) {
    if (GetParam().values == MmaValues::kSmallIntegers) {
      return from_double(format, static_cast<double>(random_() % 17) - 8);
    }
    return from_double(format, std::normal_distribution<double>()(random_));
  }
  // tf32 sits in the upper bits of its register; the multiplier must not see the lower 13.
  uint32_t register_bits(uint64_t value) {
    if (variant_.input != MmaInput::kTf32) return static_cast<uint32_t>(value);
    return static_cast<uint32_t>(value << 13 | (random_() & 0x1fff));
  }

  const MmaVariant& variant_ = kMmaVariants[GetParam().variant];
  std::mt19937_64 random_{7};
};

TEST_P(MmaSync, MatchesHostModel) {
  const Format in = input_format();
  const Format out = output_format();
  std::vector<uint32_t> a(128, 0), b(64, 0), c(128, 0);
  double product[16][8], magnitude[16][8], left[16][16], right[16][8];
  const auto put = [](std::vector<uint32_t>& buffer, FragmentPlace place, uint32_t bits) {
    buffer[place.reg * 32 + place.lane] |= bits << place.shift;
  };
  for (int k = 0; k < variant_.k; ++k) {
    for (int row = 0; row < 16; ++row) {
      const uint64_t value = make_value(in);
      left[row][k] = to_double(in, value);
      put(a, place_a(row, k, input_bits()), register_bits(value));
    }
    for (int column = 0; column < 8; ++column) {
      const uint64_t value = make_value(in);
      right[k][column] = to_double(in, value);
      put(b, place_b(k, column, input_bits()), register_bits(value));
    }
  }
  for (int row = 0; row < 16; ++row) {
    for (int column = 0; column < 8; ++column) {
      const uint64_t value = make_value(out);
      put(c, place_c(row, column, out.bits()), static_cast<uint32_t>(value));
      product[row][column] = to_double(out, value);
      magnitude[row][column] = std::abs(product[row][column]);
      for (int k = 0; k < variant_.k; ++k) {
        product[row][column] += left[row][k] * right[k][column];
        magnitude[row][column] += std::abs(left[row][k] * right[k][column]);
      }
    }
  }
  const DeviceBuffer<uint32_t> device_a(a), device_b(b), device_c(c), device_d(128);
  ASSERT_CUDA(launch(variant_.kernel, {}, device_a.data(), device_b.data(), device_c.data(),
                     device_d.data()));
  expect_device_is_fine();
  const std::vector<uint32_t> d = device_d.download();
  for (int row = 0; row < 16; ++row) {
    for (int column = 0; column < 8; ++column) {
      const FragmentPlace place = place_c(row, column, out.bits());
      const uint64_t bits = d[place.reg * 32 + place.lane] >> place.shift;
      const double result = to_double(out, out.bits() == 16 ? bits & 0xffff : bits);
      // Integers are exact. Otherwise each of k + 1 terms is aligned and truncated to the result's
      // precision at most once.
      const double tolerance =
          GetParam().values == MmaValues::kSmallIntegers
              ? 0
              : std::ldexp(magnitude[row][column] * (variant_.k + 1), -out.fraction_bits);
      ASSERT_LE(std::abs(result - product[row][column]), tolerance)
          << "row " << row << " column " << column << ": " << result << " for "
          << product[row][column];
    }
  }
}

std::vector<MmaTestCase> mma_cases() {
  std::vector<MmaTestCase> cases;
  for (int variant = 0; variant < kMmaVariantCount; ++variant) {
    cases.push_back({variant, MmaValues::kSmallIntegers});
    cases.push_back({variant, MmaValues::kReals});
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Matrix, MmaSync, testing::ValuesIn(mma_cases()));

}  // namespace
}  // namespace emulator_tests
