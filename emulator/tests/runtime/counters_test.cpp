// Counts by instruction, as models of speed read them.
#include <gtest/gtest.h>

#include "emulator/emulator.hpp"
#include "runtime/counters_case.hpp"
#include "support/device_buffer.hpp"

namespace emulator_tests {
namespace {

// The object that follows "name": in `json`.
std::string object_after(const std::string& json, const std::string& name) {
  const size_t begin = json.find("\"" + name + "\": {");
  if (begin == std::string::npos) return "";
  return json.substr(begin, json.find('}', begin) - begin);
}

uint64_t number_after(const std::string& json, const std::string& name) {
  const size_t begin = json.find("\"" + name + "\": ");
  return begin == std::string::npos ? 0 : std::stoull(json.substr(begin + name.size() + 4));
}

TEST(Counters, AccessesAndProductsAreCounted) {
  ASSERT_TRUE(emulator::set_option("count", "1"));
  const DeviceBuffer<uint32_t> out(128);
  for (int k = 0; k < 3; ++k) ASSERT_CUDA(launch(counted, {.grid = dim3(2)}, out.data()));
  expect_device_is_fine();
  constexpr uint64_t kCtas = 6;
  const std::string json = emulator::counters();
  EXPECT_EQ(3u, number_after(json, "launches"));
  EXPECT_EQ(kCtas, number_after(json, "ctas"));
  const std::string shared = object_after(json, "shared");
  EXPECT_EQ(kCtas * 4, number_after(shared, "warp_instructions"));
  EXPECT_EQ(kCtas * 128, number_after(shared, "thread_instructions"));
  EXPECT_EQ(kCtas * 512, number_after(shared, "shared_bytes"));
  EXPECT_EQ(kCtas * 36, number_after(shared, "shared_wavefronts"));
  EXPECT_EQ(kCtas * 4, number_after(shared, "shared_wavefronts_ideal"));
  const std::string global = object_after(json, "global");
  EXPECT_EQ(kCtas * 16, number_after(global, "thread_instructions"));
  EXPECT_EQ(kCtas * 64, number_after(global, "global_bytes"));
  EXPECT_EQ(kCtas * 16, number_after(global, "global_sectors"));
  EXPECT_EQ(kCtas * 16 * 8 * 16, number_after(object_after(json, "mma"), "multiply_adds"));
  EXPECT_NE(std::string::npos, json.find("counters.cu\", \"line\": "));
  EXPECT_NE(std::string::npos, json.find("\"class\": \"shared\", \"warps\": \"0\""));
}

TEST(Counters, CtasOfAClusterAreToldApart) {
  ASSERT_TRUE(emulator::set_option("count", "1"));
  const DeviceBuffer<uint32_t> out(128);
  ASSERT_CUDA(launch(counted_pair, {.grid = dim3(2), .block = dim3(64)}, out.data()));
  expect_device_is_fine();
  const std::string json = emulator::counters();
  const std::string pair = json.substr(json.find("counted_pair"));
  for (const char* warps : {"0-1", "2-3", "0-3"}) {
    EXPECT_NE(std::string::npos, pair.find(std::string("\"warps\": \"") + warps + "\"")) << warps;
  }
}

}  // namespace
}  // namespace emulator_tests
