// Models of vectors/atomic.inc and their comparison with the kernels; atomics under contention.
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "host_model/integer.hpp"
#include "support/atomic_case.hpp"
#include "support/device_buffer.hpp"
#include "support/sample.hpp"
#include "support/vector_models.hpp"

namespace emulator_tests {

extern const AtomicKernel kAtomicKernels[];

namespace {

using namespace host_model;

enum class Returns { kOldValue, kNothing };

struct AtomicModelEntry {
  const char* name;
  const char* text;
  Kind kind;
  int bytes;
  Returns returns;
  ExactModel model;
};

uint64_t add_f16(uint32_t x, uint32_t y, uint32_t) { return add(kF16, x, y, {}); }
uint64_t add_bf16(uint32_t x, uint32_t y, uint32_t) { return add(kBf16, x, y, {}); }

// Vectors of floats in a 64-bit cell get integers' bit patterns without NaNs or subnormals.
constexpr Kind kPairF32 = Kind::kB64;
constexpr Kind kQuadF16 = Kind::kB64;
constexpr Kind kQuadBf16 = Kind::kB64;

#define CELL(name, text, K, RETURNS, ...)                           \
  {#name,                                                           \
   text,                                                            \
   K,                                                               \
   int{sizeof(operand<K>(0))},                                      \
   RETURNS,                                                         \
   [](uint64_t raw_a, uint64_t raw_b, uint64_t raw_c) -> uint64_t { \
     [[maybe_unused]] const auto a = operand<K>(raw_a);             \
     const auto b = operand<K>(raw_b);                              \
     [[maybe_unused]] const auto c = operand<K>(raw_c);             \
     return operand<K>(__VA_ARGS__);                                \
   }},
#define ATOMIC(name, space, text, K, ...) \
  CELL(name, text, MODEL_##K, Returns::kOldValue, __VA_ARGS__)
#define REDUCTION(name, space, text, K, ...) \
  CELL(name, text, MODEL_##K, Returns::kNothing, __VA_ARGS__)
#define MODEL_kB16 Kind::kB16
#define MODEL_kB32 Kind::kB32
#define MODEL_kB64 Kind::kB64
#define MODEL_kF16 Kind::kF16
#define MODEL_kBf16 Kind::kBf16
#define MODEL_kF16x2 Kind::kF16x2
#define MODEL_kBf16x2 Kind::kBf16x2
#define MODEL_kUnitF32 Kind::kUnitF32
#define MODEL_kF64 Kind::kF64
#define MODEL_kPairF32 kPairF32
#define MODEL_kQuadF16 kQuadF16
#define MODEL_kQuadBf16 kQuadBf16
const AtomicModelEntry kAtomicModels[] = {
#include "vectors/atomic.inc"
};

// A value of ordinary size in each float lane of a vector cell.
uint64_t sample_cell(const AtomicModelEntry& entry, std::mt19937_64& random) {
  const std::string name = entry.name;
  const auto lanes = [&](Kind kind, int count, int bits) {
    uint64_t value = 0;
    for (int i = 0; i < count; ++i) value |= sample(kind, random) << (bits * i);
    return value;
  };
  if (name == "red_v2_f32") return lanes(Kind::kUnitF32, 2, 32);
  if (name == "red_v4_f16") return lanes(Kind::kUnitF16, 4, 16);
  if (name == "red_v2_bf16x2") return lanes(Kind::kUnitBf16, 4, 16);
  return sample(entry.kind, random);
}

bool has_nan(const AtomicModelEntry& entry, uint64_t x) {
  switch (entry.kind) {
    case Kind::kF16:
      return is_nan(kF16, x);
    case Kind::kBf16:
      return is_nan(kBf16, x);
    case Kind::kF16x2:
      return is_nan(kF16, x & 0xffff) || is_nan(kF16, x >> 16);
    case Kind::kBf16x2:
      return is_nan(kBf16, x & 0xffff) || is_nan(kBf16, x >> 16);
    case Kind::kF64:
      return is_nan(kF64, x);
    default:
      return false;
  }
}

class AtomicVectorTest : public testing::TestWithParam<size_t> {};

TEST_P(AtomicVectorTest, MatchesHostModel) {
  const AtomicModelEntry& entry = kAtomicModels[GetParam()];
  std::mt19937_64 random(GetParam());
  std::vector<Operands> rows(kAtomicThreads);
  for (size_t i = 0; i < rows.size(); ++i) {
    for (uint64_t& value : rows[i].value) value = sample_cell(entry, random);
    if (i % 2 == 0) rows[i].value[1] = rows[i].value[0];  // for compare-and-swap
  }
  const DeviceBuffer<Operands> in(rows);
  const DeviceBuffer<uint64_t> cells(std::vector<uint64_t>(kAtomicThreads, 0));
  const DeviceBuffer<uint64_t> old(std::vector<uint64_t>(kAtomicThreads, 0));
  ASSERT_CUDA(launch(kAtomicKernels[GetParam()], {.block = kAtomicThreads}, in.data(), cells.data(),
                     old.data()));
  expect_device_is_fine();
  const std::vector<uint64_t> left = cells.download();
  const std::vector<uint64_t> returned = old.download();
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto& v = rows[i].value;
    const uint64_t expected = entry.model(v[0], v[1], v[2]);
    if (entry.returns == Returns::kOldValue) {
      ASSERT_EQ(v[0], returned[i]) << entry.text << " row " << i;
    }
    if (has_nan(entry, expected) && has_nan(entry, left[i])) continue;
    ASSERT_EQ(expected, left[i]) << entry.text << std::hex << " of " << v[0] << ' ' << v[1] << ' '
                                 << v[2];
  }
}

INSTANTIATE_TEST_SUITE_P(Atomic, AtomicVectorTest,
                         testing::Range(size_t{0}, std::size(kAtomicModels)),
                         [](const testing::TestParamInfo<size_t>& info) {
                           return std::string(kAtomicModels[info.param].name);
                         });

TEST(AtomicContention, EveryTicketOnceAndEverySumWhole) {
  constexpr int kCtas = 12;
  constexpr int kThreads = 160;
  const DeviceBuffer<unsigned> cells(std::vector<unsigned>(kContendedCells, 0));
  const DeviceBuffer<unsigned> sums(std::vector<unsigned>(kContendedCells, 0));
  const DeviceBuffer<unsigned> tickets(kCtas * kThreads);
  ASSERT_CUDA(launch(contended_atomics, {.grid = kCtas, .block = kThreads}, cells.data(),
                     sums.data(), tickets.data(), kContendedCells));
  expect_device_is_fine();
  std::vector<unsigned> expected_count(kContendedCells, 0);
  std::vector<unsigned> expected_sum(kContendedCells, 0);
  std::vector<std::set<unsigned>> seen(kContendedCells);
  const std::vector<unsigned> taken = tickets.download();
  for (unsigned thread = 0; thread < kCtas * kThreads; ++thread) {
    const unsigned cell = thread % kContendedCells;
    ++expected_count[cell];
    expected_sum[cell] += thread;
    seen[cell].insert(taken[thread]);
  }
  EXPECT_EQ(expected_count, cells.download());
  EXPECT_EQ(expected_sum, sums.download());
  for (int cell = 0; cell < kContendedCells; ++cell) {
    EXPECT_EQ(expected_count[cell], seen[cell].size());
    EXPECT_EQ(expected_count[cell] - 1, *seen[cell].rbegin());
  }
}

TEST(AtomicContention, SpinLockMakesProgress) {
  const DeviceBuffer<int> lock(std::vector<int>{0});
  const DeviceBuffer<int> counter(std::vector<int>{0});
  ASSERT_CUDA(launch(spin_lock_counter, {.grid = 3, .block = 40}, lock.data(), counter.data(), 2));
  expect_device_is_fine();
  EXPECT_EQ(3 * 40 * 2, counter.download()[0]);
}

}  // namespace
}  // namespace emulator_tests
