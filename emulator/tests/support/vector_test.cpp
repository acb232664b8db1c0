#include "support/vector_test.hpp"

#include <cmath>
#include <cstdlib>

#include "host_model/real.hpp"
#include "support/device_buffer.hpp"
#include "support/sample.hpp"

namespace emulator_tests {

// In gtest's failure messages a case is its instruction.
void PrintTo(const VectorCase& vector_case, std::ostream* out) { *out << vector_case.model.text; }

std::string vector_case_name(const testing::TestParamInfo<VectorCase>& info) {
  return info.param.model.name;
}

namespace {

using namespace host_model;

constexpr int kRows = 3000;
constexpr int kThreads = 128;

struct FloatKind {
  Format format;
  int elements;
};

// The float format of a kind; no elements for integers.
FloatKind float_kind(Kind kind) {
  switch (kind) {
    case Kind::kF16:
    case Kind::kUnitF16:
      return {kF16, 1};
    case Kind::kBf16:
    case Kind::kUnitBf16:
      return {kBf16, 1};
    case Kind::kF16x2:
    case Kind::kUnitF16x2:
      return {kF16, 2};
    case Kind::kBf16x2:
    case Kind::kUnitBf16x2:
      return {kBf16, 2};
    case Kind::kTf32:
    case Kind::kF32:
    case Kind::kUnitF32:
      return {kF32, 1};
    case Kind::kF64:
      return {kF64, 1};
    default:
      return {kF32, 0};
  }
}

uint64_t element(uint64_t x, FloatKind kind, int index) {
  return kind.elements == 1 ? x : x >> (16 * index) & 0xffff;
}

// Equal bits, except that any NaN stands for any other and tf32 leaves 13 bits open.
bool same_result(Kind kind, uint64_t expected, uint64_t actual) {
  if (expected == actual) return true;
  const FloatKind floats = float_kind(kind);
  if (floats.elements == 0) return false;
  for (int i = 0; i < floats.elements; ++i) {
    const uint64_t x = element(expected, floats, i);
    const uint64_t y = element(actual, floats, i);
    if (is_nan(floats.format, x) && is_nan(floats.format, y)) continue;
    const uint64_t ignored = kind == Kind::kTf32 ? 0x1fff : 0;
    if (((x ^ y) & ~ignored) != 0) return false;
  }
  return true;
}

// With EMULATOR_APPROX=inject the emulator adds an error as large as the bound to a value that was
// already rounded, and rounds again: half a unit of the result each.
double injection_slack(Format f, double expected) {
  static const bool injects = std::getenv("EMULATOR_APPROX") != nullptr;
  if (!injects || expected == 0) return 0;
  return std::ldexp(1.0, std::max(std::ilogb(expected), f.min_exponent()) - f.fraction_bits);
}

bool close_result(const VectorModelEntry& model, const Operands& in, uint64_t actual) {
  const FloatKind result = float_kind(model.result);
  for (int i = 0; i < result.elements; ++i) {
    double operand[2] = {0, 0};
    for (int j = 0; j < 2; ++j) {
      const FloatKind kind = float_kind(model.operand[j]);
      if (kind.elements > 0) operand[j] = to_double(kind.format, element(in.value[j], kind, i));
    }
    const double expected = model.real(operand[0], operand[1], 0);
    const double value = to_double(result.format, element(actual, result, i));
    if (std::isnan(expected) && std::isnan(value)) continue;
    if (expected == value) continue;
    if (!(std::abs(value - expected) <= model.bound.relative * std::abs(expected) +
                                            model.bound.absolute +
                                            injection_slack(result.format, expected))) {
      return false;
    }
  }
  return true;
}

std::vector<Operands> make_operands(const VectorModelEntry& model) {
  std::mt19937_64 random(std::hash<std::string>{}(model.name));
  std::vector<Operands> rows(kRows);
  for (Operands& row : rows) {
    for (int i = 0; i < 3; ++i) row.value[i] = sample(model.operand[i], random);
  }
  return rows;
}

std::string describe(const VectorModelEntry& model, const Operands& in, uint64_t actual) {
  std::ostringstream out;
  out << std::hex << model.text << "\n  operands " << in.value[0] << ' ' << in.value[1] << ' '
      << in.value[2] << "\n  result   " << actual << "\n  expected ";
  if (model.exact != nullptr) {
    out << model.exact(in.value[0], in.value[1], in.value[2]);
  } else {
    const FloatKind kind = float_kind(model.operand[0]);
    out << model.real(to_double(kind.format, element(in.value[0], kind, 0)),
                      to_double(kind.format, element(in.value[1], kind, 0)), 0);
  }
  return out.str();
}

TEST_P(VectorTest, MatchesHostModel) {
  const VectorModelEntry& model = GetParam().model;
  const std::vector<Operands> rows = make_operands(model);
  const DeviceBuffer<Operands> in(rows);
  const DeviceBuffer<uint64_t> out(rows.size());
  const Operands* in_pointer = in.data();
  uint64_t* out_pointer = out.data();
  int count = kRows;
  void* arguments[] = {&in_pointer, &out_pointer, &count};
  ASSERT_CUDA(cudaLaunchKernel(reinterpret_cast<const void*>(GetParam().kernel),
                               dim3((kRows + kThreads - 1) / kThreads), dim3(kThreads), arguments,
                               0, nullptr));
  expect_device_is_fine();
  const std::vector<uint64_t> results = out.download();
  int mismatches = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto& v = rows[i].value;
    const bool agrees = model.exact != nullptr
                            ? same_result(model.result, model.exact(v[0], v[1], v[2]), results[i])
                            : close_result(model, rows[i], results[i]);
    if (agrees) continue;
    if (++mismatches <= 3) ADD_FAILURE() << describe(model, rows[i], results[i]);
  }
  EXPECT_EQ(mismatches, 0) << "of " << rows.size() << " rows";
}

}  // namespace
}  // namespace emulator_tests
