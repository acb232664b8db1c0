#include "reference.hpp"

#include <cmath>
#include <cstring>
#include <random>

namespace emulator_conformance {
namespace {

struct FloatFormat {
  int fraction_bits;
  int min_exponent;
  int bytes;
};

FloatFormat format_of(ElementType type) {
  switch (type) {
    case ElementType::kBf16:
      return {7, -126, 2};
    case ElementType::kF16:
      return {10, -14, 2};
    case ElementType::kTf32:
      return {10, -126, 4};
    case ElementType::kF32:
      break;
  }
  return {23, -126, 4};
}

// Spacing of the type's values around `value`.
double spacing(ElementType type, double value) {
  const FloatFormat format = format_of(type);
  const int exponent = value == 0 ? format.min_exponent : std::ilogb(value);
  return std::ldexp(1.0, std::max(exponent, format.min_exponent) - format.fraction_bits);
}

// Bits of a value that the type represents exactly.
uint32_t encode(ElementType type, double value) {
  const auto as_float = static_cast<float>(value);
  uint32_t bits;
  std::memcpy(&bits, &as_float, 4);
  if (type == ElementType::kBf16) return bits >> 16;
  if (type != ElementType::kF16) return bits;
  if (value == 0) return bits >> 16;
  const uint32_t sign = bits >> 16 & 0x8000;
  const int exponent = std::ilogb(value);
  const double magnitude = std::abs(value);
  if (exponent < -14) return sign | static_cast<uint32_t>(std::ldexp(magnitude, 24));
  const auto fraction = static_cast<uint32_t>(std::ldexp(magnitude, 10 - exponent)) & 0x3ff;
  return sign | static_cast<uint32_t>(exponent + 15) << 10 | fraction;
}

double decode_one(ElementType type, uint32_t bits) {
  if (type == ElementType::kF16) {
    const int exponent = static_cast<int>(bits >> 10 & 31);
    const double fraction = bits & 0x3ff;
    const double magnitude = exponent == 0    ? std::ldexp(fraction, -24)
                             : exponent == 31 ? (fraction == 0 ? INFINITY : NAN)
                                              : std::ldexp(fraction + 1024, exponent - 25);
    return bits & 0x8000 ? -magnitude : magnitude;
  }
  if (type == ElementType::kBf16) bits <<= 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

}  // namespace

int element_bytes(ElementType type) { return format_of(type).bytes; }

double round_to(ElementType type, double value) {
  const double unit = spacing(type, value);
  return std::nearbyint(value / unit) * unit;
}

Matrix make_matrix(ElementType type, size_t count, Values values, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  const auto bytes_each = static_cast<size_t>(element_bytes(type));
  Matrix matrix{std::vector<double>(count), std::vector<uint8_t>(count * bytes_each)};
  for (size_t i = 0; i < count; ++i) {
    const double raw =
        values == Values::kSmallIntegers ? static_cast<double>(random() % 5) - 2 : normal(random);
    matrix.values[i] = round_to(type, raw);
    const uint32_t bits = encode(type, matrix.values[i]);
    std::memcpy(&matrix.bytes[i * bytes_each], &bits, bytes_each);
  }
  return matrix;
}

std::vector<double> decode(ElementType type, const std::vector<uint8_t>& bytes) {
  const auto bytes_each = static_cast<size_t>(element_bytes(type));
  std::vector<double> values(bytes.size() / bytes_each);
  for (size_t i = 0; i < values.size(); ++i) {
    uint32_t bits = 0;
    std::memcpy(&bits, &bytes[i * bytes_each], bytes_each);
    values[i] = decode_one(type, bits);
  }
  return values;
}

Reference reference_gemm(const GemmImplementation& gemm, GemmShape shape, const Matrix& a,
                         const Matrix& b, const Matrix& c, double alpha, double beta,
                         Values values) {
  const auto m = static_cast<size_t>(shape.m);
  const auto n = static_cast<size_t>(shape.n);
  const auto k = static_cast<size_t>(shape.k);
  Reference reference{std::vector<double>(m * n), std::vector<double>(m * n)};
  for (size_t i = 0; i < m; ++i) {
    for (size_t j = 0; j < n; ++j) {
      double sum = 0;
      double magnitude = 0;
      for (size_t l = 0; l < k; ++l) {
        const double x = a.values[gemm.a_major == Major::kK ? i * k + l : l * m + i];
        const double y = b.values[gemm.b_major == Major::kK ? j * k + l : l * n + j];
        sum += x * y;
        magnitude += std::abs(x * y);
      }
      const double result = alpha * sum + beta * c.values[i * n + j];
      reference.values[i * n + j] = round_to(gemm.element_cd, result);
      if (values == Values::kSmallIntegers) continue;
      // Each of the k additions loses at most one unit of the accumulator (tensor cores truncate),
      // the epilogue rounds twice in fp32 and the result once in its own type.
      const double unit = std::ldexp(1.0, 1 - gemm.accumulator_bits);
      reference.tolerance[i * n + j] = std::abs(alpha) * magnitude * unit * static_cast<double>(k) +
                                       std::abs(result) * 0x1p-22 +
                                       spacing(gemm.element_cd, result);
    }
  }
  return reference;
}

}  // namespace emulator_conformance
