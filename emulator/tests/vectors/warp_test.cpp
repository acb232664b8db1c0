// Models of vectors/warp.inc and their comparison with the kernels.
#include "host_model/warp.hpp"

#include <gtest/gtest.h>

#include <string>

#include "support/device_buffer.hpp"
#include "support/launch.hpp"
#include "support/sample.hpp"
#include "support/vector_case.hpp"

namespace emulator_tests {

extern const VectorKernelEntry kWarpKernels[];

namespace {

using namespace host_model;

using WarpModel = uint32_t (*)(const uint32_t* a, const uint32_t* b, const uint32_t* c, int lane);

struct WarpModelEntry {
  const char* name;
  const char* text;
  WarpModel model;
};

#define WARP(name, text, ...)                                                 \
  {#name, text,                                                               \
   []([[maybe_unused]] const uint32_t* a, [[maybe_unused]] const uint32_t* b, \
      [[maybe_unused]] const uint32_t* c,                                     \
      [[maybe_unused]] int lane) -> uint32_t { return static_cast<uint32_t>(__VA_ARGS__); }},
const WarpModelEntry kWarpModels[] = {
#include "vectors/warp.inc"
};

class WarpVectorTest : public testing::TestWithParam<size_t> {};

constexpr int kWarps = 96;
constexpr int kRows = kWarps * 32;

TEST_P(WarpVectorTest, MatchesHostModel) {
  const WarpModelEntry& entry = kWarpModels[GetParam()];
  std::mt19937_64 random(GetParam());
  std::vector<Operands> rows(kRows);
  for (Operands& row : rows) {
    for (uint64_t& value : row.value) value = sample(Kind::kB32, random);
  }
  const DeviceBuffer<Operands> in(rows);
  const DeviceBuffer<uint64_t> out(rows.size());
  ASSERT_CUDA(launch(kWarpKernels[GetParam()].kernel, {.grid = kWarps / 4, .block = 128}, in.data(),
                     out.data(), kRows));
  expect_device_is_fine();
  const std::vector<uint64_t> results = out.download();
  for (int warp = 0; warp < kWarps; ++warp) {
    uint32_t operands[3][32];
    for (int lane = 0; lane < 32; ++lane) {
      for (int i = 0; i < 3; ++i) {
        operands[i][lane] = static_cast<uint32_t>(rows[warp * 32 + lane].value[i]);
      }
    }
    for (int lane = 0; lane < 32; ++lane) {
      ASSERT_EQ(entry.model(operands[0], operands[1], operands[2], lane),
                static_cast<uint32_t>(results[warp * 32 + lane]))
          << entry.text << "\nwarp " << warp << " lane " << lane;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Warp, WarpVectorTest, testing::Range(size_t{0}, std::size(kWarpModels)),
                         [](const testing::TestParamInfo<size_t>& info) {
                           return std::string(kWarpModels[info.param].name);
                         });

}  // namespace
}  // namespace emulator_tests
