// Programs of vectors/program.cu against the same thing written for the host.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "support/device_buffer.hpp"
#include "support/program_case.hpp"

namespace emulator_tests {
namespace {

std::vector<uint32_t> test_words(size_t count) {
  std::vector<uint32_t> words(count);
  uint32_t value = 12345;
  for (uint32_t& word : words) {
    value = value * 1664525u + 1013904223u;
    word = value >> 7;
  }
  return words;
}

// Runs `kernel` with one word in and one out per thread and compares with `model`.
void expect_words(void (*kernel)(const uint32_t*, uint32_t*),
                  const std::function<uint32_t(uint32_t)>& model) {
  const std::vector<uint32_t> words = test_words(96);
  const DeviceBuffer<uint32_t> in(words);
  const DeviceBuffer<uint32_t> out(words.size());
  ASSERT_CUDA(launch(kernel, {.block = 96}, in.data(), out.data()));
  expect_device_is_fine();
  const std::vector<uint32_t> results = out.download();
  for (size_t i = 0; i < words.size(); ++i) {
    ASSERT_EQ(model(words[i]), results[i]) << "thread " << i << " input " << words[i];
  }
}

TEST(Program, SpecialRegistersDescribeTheLaunch) {
  const dim3 grid(3, 2, 2);
  const dim3 block(5, 4, 3);
  const uint32_t threads = block.x * block.y * block.z;
  const DeviceBuffer<uint32_t> out(grid.x * grid.y * grid.z * threads * 18);
  ASSERT_CUDA(
      launch(special_registers, {.grid = grid, .block = block, .shared_bytes = 160}, out.data()));
  expect_device_is_fine();
  const std::vector<uint32_t> result = out.download();
  for (uint32_t cta = 0; cta < grid.x * grid.y * grid.z; ++cta) {
    for (uint32_t t = 0; t < threads; ++t) {
      const std::vector<uint32_t> expected = {t % 5,   t / 5 % 4,   t / 20,  5,   4, 3,
                                              cta % 3, cta / 3 % 2, cta / 6, 3,   2, 2,
                                              t % 32,  t / 32,      1,       160, 1, 0};
      const uint32_t* mine = &result[(cta * threads + t) * 18];
      ASSERT_EQ(expected, std::vector<uint32_t>(mine, mine + 18))
          << "CTA " << cta << " thread " << t;
    }
  }
}

uint32_t divergent_model(uint32_t value) {
  uint32_t result = 0;
  for (uint32_t i = 0; i < (value & 15); ++i) {
    if ((value >> i & 1) == 0) continue;
    for (uint32_t j = i; j < 20; j += 1 + (value & 3)) {
      result += i * j;
      if (result > 300) break;
    }
    if (result % 7 == 3) {
      result ^= value;
      break;
    }
  }
  return result;
}

TEST(Program, DivergentLoopsReconverge) {
  const std::vector<uint32_t> words = test_words(128);
  const DeviceBuffer<uint32_t> in(words);
  const DeviceBuffer<uint32_t> out(words.size());
  ASSERT_CUDA(launch(divergent_control_flow, {.block = 128}, in.data(), out.data()));
  expect_device_is_fine();
  const std::vector<uint32_t> results = out.download();
  for (size_t i = 0; i < words.size(); ++i) {
    ASSERT_EQ(divergent_model(words[i]) + divergent_model(words[i ^ 1]), results[i]) << i;
  }
}

TEST(Program, BarriersDoNotWaitForThreadsThatLeft) {
  const DeviceBuffer<uint32_t> out(std::vector<uint32_t>(128, 7));
  ASSERT_CUDA(launch(early_exit_then_barrier, {.block = 128}, out.data(), 45u));
  expect_device_is_fine();
  const std::vector<uint32_t> results = out.download();
  for (size_t i = 0; i < 128; ++i) ASSERT_EQ(i < 45 ? 45u : 7u, results[i]);
}

TEST(Program, SwitchJumpsThroughItsTable) {
  expect_words(switch_statement, [](uint32_t v) -> uint32_t {
    const uint32_t arms[] = {v + 1, v * 3,    v ^ 0x55,  v << 2, v >> 1, ~v,
                             v - 9, v & 0xff, v | 0xf00, v / 5,  1234,   1234};
    return arms[v % 12];
  });
}

TEST(Program, DeviceFunctionsTakeAndReturnStructs) {
  expect_words(device_calls, [](uint32_t v) -> uint32_t {
    const uint64_t wide = uint64_t{v} << 20;
    const auto sum = static_cast<uint32_t>(v + wide);
    const uint64_t product = v * wide;
    const auto tag = static_cast<uint8_t>(static_cast<uint8_t>(v) + 1);
    const uint32_t through = v & 1 ? v ^ 0xabcd : 0;
    const uint32_t mixed = v & 2 ? 3 : v & 0xffff;
    return sum ^ static_cast<uint32_t>(product >> 7) ^ tag ^ through ^ mixed;
  });
}

TEST(Program, LocalArraysAreIndexedDynamically) {
  expect_words(local_arrays, [](uint32_t value) -> uint32_t {
    uint32_t stack[24];
    uint8_t bytes[24];
    const auto step = [&] { value = value * 1664525u + 1013904223u; };
    for (int i = 0; i < 24; ++i) {
      stack[i] = value;
      bytes[i] = static_cast<uint8_t>(value >> 3);
      step();
    }
    for (int i = 0; i < 50; ++i) {
      const uint32_t a = value >> 8 & 15;
      const uint32_t b = (value >> 16) % 24;
      const uint32_t swap = stack[a];
      stack[a] = stack[b] + bytes[a];
      stack[b] = swap;
      step();
    }
    return stack[value % 24] ^ stack[0];
  });
}

TEST(Program, ParametersAreIndexedDynamically) {
  WideParameter parameter;
  for (uint32_t i = 0; i < 64; ++i) parameter.word[i] = i * i + 5;
  const std::vector<uint32_t> index = test_words(64);
  const DeviceBuffer<uint32_t> in(index);
  const DeviceBuffer<uint32_t> out(64);
  ASSERT_CUDA(launch(wide_parameter, {.block = 64}, parameter, in.data(), out.data()));
  expect_device_is_fine();
  const std::vector<uint32_t> results = out.download();
  for (size_t i = 0; i < 64; ++i) {
    ASSERT_EQ(parameter.word[index[i] % 64] + parameter.word[63], results[i]);
  }
}

TEST(Program, ModuleVariablesHaveTheirInitialValues) {
  const uint32_t constants[] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3};
  const uint32_t variables[] = {2, 7, 1, 8, 2, 8, 1, 8, 2, 8, 4, 5, 9, 0, 4, 5};
  const char text[] = "constant memory";
  const double doubles[] = {0.5, -3.25};
  expect_words(module_variables, [&](uint32_t v) -> uint32_t {
    const uint32_t i = v % kTableEntries;
    const uint32_t from_pointer = i + 1 < kTableEntries ? variables[i + 1] : 0;
    return constants[i] * 1000000 + variables[i] * 10000 + from_pointer * 1000 +
           static_cast<uint8_t>(text[i]) + static_cast<uint32_t>(doubles[i & 1] * 4 + 20);
  });
}

TEST(Program, BarriersReducePredicates) {
  std::vector<uint32_t> words = test_words(128);
  for (uint32_t& word : words) word %= 99;
  words[77] = 17;
  const DeviceBuffer<uint32_t> in(words);
  const DeviceBuffer<uint32_t> out(128);
  ASSERT_CUDA(launch(barrier_reductions, {.block = 128}, in.data(), out.data()));
  expect_device_is_fine();
  uint32_t odd = 0;
  uint32_t large[2] = {0, 0};
  for (size_t i = 0; i < 128; ++i) {
    odd += words[i] & 1;
    large[i / 64] += words[i] > 50;
  }
  const std::vector<uint32_t> results = out.download();
  for (size_t i = 0; i < 128; ++i) {
    ASSERT_EQ(odd * 10000 + 1000 + 500 + large[i / 64], results[i]) << i;
  }
}

TEST(Program, NamedBarriersPassSlots) {
  constexpr uint32_t kRounds = 6;
  const DeviceBuffer<uint32_t> out(64);
  ASSERT_CUDA(launch(named_barrier_pipeline, {.block = 96}, out.data(), int{kRounds}));
  expect_device_is_fine();
  const std::vector<uint32_t> sums = out.download();
  for (uint32_t i = 0; i < 64; ++i) {
    const uint32_t warp = i / 32 + 1;
    ASSERT_EQ(warp * (100 * kRounds * (kRounds - 1) / 2 + kRounds * (31 - i % 32)), sums[i]);
  }
}

TEST(Program, RegistersMoveBetweenWarpgroups) {
  const DeviceBuffer<uint32_t> out(384);
  ASSERT_CUDA(launch(register_reallocation, {.block = 384}, out.data()));
  expect_device_is_fine();
  const std::vector<uint32_t> results = out.download();
  for (size_t i = 0; i < 384; ++i) ASSERT_EQ(5 + i / 128, results[i]);
}

TEST(Program, ClocksAdvance) {
  const DeviceBuffer<uint64_t> out(96);
  ASSERT_CUDA(launch(clocks, {}, out.data()));
  expect_device_is_fine();
  for (const uint64_t good : out.download()) EXPECT_EQ(1u, good);
}

// One thread's wait vouches for the reads of the whole warpgroup.
TEST(Program, WarpgroupsCompleteWgmmaAsOne) {
  constexpr int kRounds = 12;
  const DeviceBuffer<float> out(512);
  ASSERT_CUDA(launch(wgmma_ring, {.block = 160}, out.data(), int{kRounds}));
  expect_device_is_fine();
  for (const float sum : out.download()) ASSERT_EQ(16.0f * kRounds * (kRounds + 1) / 2, sum);
}

// CUDA's math library documents at most 2 ulp for each of these in fp32, 4 for powf; the reference
// is fp64.
TEST(Program, MathLibraryStaysWithinItsBounds) {
  std::vector<float> x(128);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i) * 0.11f - 7.0f;
  const DeviceBuffer<float> in(x);
  const DeviceBuffer<float> out(x.size() * 10);
  ASSERT_CUDA(launch(math_library, {.block = 128}, in.data(), out.data()));
  expect_device_is_fine();
  const std::vector<float> results = out.download();
  for (size_t i = 0; i < x.size(); ++i) {
    const double v = x[i];
    const double size = std::abs(v);
    const double expected[10] = {std::exp(v),
                                 std::log(std::abs(x[i]) + 0.1f),
                                 std::sin(v),
                                 std::cos(static_cast<double>(x[i] * 100.0f)),
                                 std::tanh(v),
                                 std::pow(size, static_cast<double>(1.7f)),
                                 std::erf(v),
                                 1.0 / std::sqrt(static_cast<double>(std::abs(x[i]) + 0.5f)),
                                 v / static_cast<double>(3.7f),
                                 std::fmod(v, static_cast<double>(0.3f))};
    for (size_t j = 0; j < 10; ++j) {
      const double ulp = std::ldexp(1.0, std::max(std::ilogb(expected[j]), -126) - 23);
      ASSERT_NEAR(expected[j], static_cast<double>(results[i * 10 + j]), (j == 5 ? 4 : 2) * ulp)
          << "function " << j << " of " << v;
    }
  }
}

}  // namespace
}  // namespace emulator_tests
