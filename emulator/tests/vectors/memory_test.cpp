// Models of vectors/memory.inc and their comparison with the kernels.
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>

#include "support/device_buffer.hpp"
#include "support/launch.hpp"
#include "support/memory_case.hpp"

namespace emulator_tests {

extern const MemoryKernel kMemoryKernels[];

namespace {

// Writes what the instruction leaves in a thread's 32 output bytes.
using MemoryModel = void (*)(const uint8_t* in, uint8_t* out);

struct MemoryModelEntry {
  const char* name;
  const char* text;
  MemoryModel model;
};

#define COPY(name, bytes, text) \
  {#name, text, [](const uint8_t* in, uint8_t* out) { std::memcpy(out, in, bytes); }},
#define FROM_BYTES(name, bytes, text, value)                                 \
  {#name, text, [](const uint8_t* in, uint8_t* out) {                        \
     [[maybe_unused]] uint64_t word;                                         \
     [[maybe_unused]] uint64_t second_word;                                  \
     std::memcpy(&word, in, 8);                                              \
     std::memcpy(&second_word, in + 8, 8);                                   \
     const auto result = static_cast<uint64_t>(static_cast<int64_t>(value)); \
     std::memcpy(out, &result, bytes);                                       \
   }},
const MemoryModelEntry kMemoryModels[] = {
#include "vectors/memory.inc"
};

class MemoryVectorTest : public testing::TestWithParam<size_t> {};

TEST_P(MemoryVectorTest, MatchesHostModel) {
  const MemoryModelEntry& entry = kMemoryModels[GetParam()];
  std::mt19937_64 random(GetParam());
  std::vector<uint8_t> input(kMemoryThreads * 32);
  for (uint8_t& byte : input) byte = static_cast<uint8_t>(random());
  std::vector<uint8_t> expected(input.size(), 0xa5);
  const DeviceBuffer<uint8_t> in(input);
  const DeviceBuffer<uint8_t> out(expected);
  for (size_t i = 0; i < kMemoryThreads; ++i) entry.model(&input[i * 32], &expected[i * 32]);
  ASSERT_CUDA(launch(kMemoryKernels[GetParam()], {.block = kMemoryThreads}, in.data(), out.data()));
  expect_device_is_fine();
  EXPECT_EQ(expected, out.download()) << entry.text;
}

INSTANTIATE_TEST_SUITE_P(Memory, MemoryVectorTest,
                         testing::Range(size_t{0}, std::size(kMemoryModels)),
                         [](const testing::TestParamInfo<size_t>& info) {
                           return std::string(kMemoryModels[info.param].name);
                         });

}  // namespace
}  // namespace emulator_tests
