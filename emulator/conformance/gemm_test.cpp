// CUTLASS GEMMs, unmodified, against a host reference.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cmath>

#include "gemm_case.hpp"
#include "reference.hpp"

namespace emulator_conformance {
namespace {

class DeviceBytes {
 public:
  explicit DeviceBytes(const std::vector<uint8_t>& bytes) : size_(bytes.size()) {
    EXPECT_EQ(cudaSuccess, cudaMalloc(&data_, size_));
    EXPECT_EQ(cudaSuccess, cudaMemcpy(data_, bytes.data(), size_, cudaMemcpyHostToDevice));
  }
  DeviceBytes(const DeviceBytes&) = delete;
  DeviceBytes& operator=(const DeviceBytes&) = delete;
  ~DeviceBytes() { cudaFree(data_); }
  void* data() const { return data_; }
  std::vector<uint8_t> download() const {
    std::vector<uint8_t> bytes(size_);
    EXPECT_EQ(cudaSuccess, cudaMemcpy(bytes.data(), data_, size_, cudaMemcpyDeviceToHost));
    return bytes;
  }

 private:
  void* data_ = nullptr;
  size_t size_;
};

struct GemmTestCase {
  GemmImplementation gemm;
  GemmShape shape;
  Values values;
};

void PrintTo(const GemmTestCase& test, std::ostream* out) { *out << test.gemm.name; }

std::vector<GemmTestCase> all_cases() {
  // Full tiles, and enough of K to go round every ring of stages; then tails in every dimension
  // (multiples of 8 for 16-byte rows).
  const GemmShape shapes[] = {{256, 128, 512}, {200, 136, 328}};
  std::vector<GemmTestCase> cases;
  for (const GemmImplementation& gemm : all_gemms()) {
    for (const GemmShape& shape : shapes) {
      cases.push_back({gemm, shape, Values::kSmallIntegers});
    }
    cases.push_back({gemm, shapes[1], Values::kReals});
  }
  return cases;
}

std::string case_name(const testing::TestParamInfo<GemmTestCase>& info) {
  const auto [m, n, k] = info.param.shape;
  return info.param.gemm.name + "_m" + std::to_string(m) + "n" + std::to_string(n) + "k" +
         std::to_string(k) + (info.param.values == Values::kSmallIntegers ? "_exact" : "_reals");
}

class CutlassGemm : public testing::TestWithParam<GemmTestCase> {};

void expect_matches(const Reference& reference, const std::vector<double>& result, int n) {
  int mismatches = 0;
  for (size_t i = 0; i < result.size(); ++i) {
    // Written so that a NaN result fails.
    const double error = std::abs(result[i] - reference.values[i]);
    if (error <= reference.tolerance[i]) continue;
    if (++mismatches <= 5) {
      ADD_FAILURE() << "row " << i / static_cast<size_t>(n) << " column "
                    << i % static_cast<size_t>(n) << ": got " << result[i] << ", expected "
                    << reference.values[i] << " +- " << reference.tolerance[i];
    }
  }
  EXPECT_EQ(mismatches, 0) << "of " << result.size();
}

TEST_P(CutlassGemm, MatchesReference) {
  const auto& [gemm, shape, values] = GetParam();
  const auto [m, n, k] = shape;
  const auto count = [](int rows, int columns) { return static_cast<size_t>(rows) * columns; };
  const Matrix a = make_matrix(gemm.element_ab, count(m, k), values, 1);
  const Matrix b = make_matrix(gemm.element_ab, count(n, k), values, 2);
  const Matrix c = make_matrix(gemm.element_cd, count(m, n), values, 3);
  const DeviceBytes device_a(a.bytes);
  const DeviceBytes device_b(b.bytes);
  const DeviceBytes device_c(c.bytes);
  // Poison: an element that is never written reads as NaN.
  const DeviceBytes device_d(std::vector<uint8_t>(c.bytes.size(), 0xff));
  const float alpha = values == Values::kSmallIntegers ? 1.0f : 0.75f;
  const float beta = values == Values::kSmallIntegers ? 1.0f : -0.5f;
  ASSERT_EQ(cudaSuccess, gemm.run({shape, device_a.data(), device_b.data(), device_c.data(),
                                   device_d.data(), alpha, beta}));
  const Reference reference = reference_gemm(gemm, shape, a, b, c, alpha, beta, values);
  expect_matches(reference, decode(gemm.element_cd, device_d.download()), n);
}

INSTANTIATE_TEST_SUITE_P(Conformance, CutlassGemm, testing::ValuesIn(all_cases()), case_name);

}  // namespace
}  // namespace emulator_conformance
