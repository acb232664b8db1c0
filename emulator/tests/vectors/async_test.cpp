// mbarrier, cp.async and cp.async.bulk against a host model.
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "host_model/integer.hpp"
#include "host_model/mbarrier.hpp"
#include "support/async_case.hpp"
#include "support/device_buffer.hpp"
#include "support/sample.hpp"

namespace emulator_tests {
namespace {

using namespace host_model;

std::vector<uint8_t> random_bytes(size_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<uint8_t> bytes(count);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  return bytes;
}

// Builds a legal random script and what each step must return.
class ScriptWriter {
 public:
  explicit ScriptWriter(uint64_t seed) : random_(seed) {}

  void write(int count) {
    add(MbarrierOp::kInit, 5);
    barrier_.init(5);
    record(0);
    for (int i = 1; i < count; ++i) step();
  }
  const std::vector<MbarrierStep>& steps() const { return steps_; }
  const std::vector<uint32_t>& results() const { return results_; }

 private:
  void add(MbarrierOp op, uint32_t argument) { steps_.push_back({op, argument}); }
  void record(uint32_t result) { results_.push_back(result); }
  void record_arrival(Mbarrier::State before) {
    last_ = before;
    has_state_ = true;
    record(before.pending);
  }
  uint32_t up_to(uint32_t limit) { return static_cast<uint32_t>(random_() % limit) + 1; }

  void step() {
    switch (random_() % 13) {
      case 0:
        if (barrier_.pending() == 0) return balance();
        add(MbarrierOp::kArrive, 1);
        return record_arrival(barrier_.arrive(1));
      case 1: {
        if (barrier_.pending() == 0) return balance();
        const uint32_t count = up_to(barrier_.pending());
        add(MbarrierOp::kArriveCount, count);
        return record_arrival(barrier_.arrive(count));
      }
      case 2: {
        if (barrier_.pending() < 2) return balance();
        const uint32_t count = up_to(barrier_.pending() - 1);
        add(MbarrierOp::kArriveNoComplete, count);
        return record_arrival(barrier_.arrive(count));
      }
      case 3:
        // Dropping keeps at least two expected arrivals, so that the script can go on.
        if (barrier_.pending() == 0 || barrier_.expected() < 3) return balance();
        add(MbarrierOp::kArriveDrop, 1);
        return record_arrival(barrier_.arrive_drop(1));
      case 4:
        if (barrier_.pending() < 2 || barrier_.expected() < 3) return balance();
        add(MbarrierOp::kArriveDropNoComplete, 1);
        return record_arrival(barrier_.arrive_drop(1));
      case 5: {
        const uint32_t bytes = up_to(4000);
        if (barrier_.pending() == 0 || barrier_.transactions() > 100000) return balance();
        add(MbarrierOp::kExpectTx, bytes);
        barrier_.expect_transactions(bytes);
        return record(0);
      }
      case 6:
        return balance();
      case 7: {
        if (barrier_.pending() == 0) return balance();
        const uint32_t bytes = up_to(500);
        add(MbarrierOp::kArriveExpectTx, bytes);
        barrier_.expect_transactions(bytes);
        return record_arrival(barrier_.arrive(1));
      }
      case 8: {
        if (barrier_.pending() == 0) return balance();
        add(MbarrierOp::kArriveSink, 1);
        barrier_.arrive(1);
        return record(0);
      }
      case 9:
        // A state may be asked about in its own phase and the next one.
        if (!has_state_ || barrier_.state().phase - last_.phase > 1) return balance();
        add(MbarrierOp::kTestLastState, 0);
        return record(barrier_.test(last_));
      case 10:
        add(MbarrierOp::kTestParity0, 0);
        return record(barrier_.test_parity(0));
      case 11:
        add(MbarrierOp::kTestParity1, 0);
        return record(barrier_.test_parity(1));
      default:
        if (random_() % 2) {
          add(MbarrierOp::kTryParity0, 0);
          return record(barrier_.test_parity(0));
        }
        add(MbarrierOp::kTryParity1, 0);
        return record(barrier_.test_parity(1));
    }
  }

  // Delivers some or all of the bytes that are expected.
  void balance() {
    if (barrier_.transactions() <= 0) {
      add(MbarrierOp::kTestParity0, 0);
      return record(barrier_.test_parity(0));
    }
    const auto outstanding = static_cast<uint32_t>(barrier_.transactions());
    const uint32_t bytes = random_() % 2 ? outstanding : up_to(outstanding);
    add(MbarrierOp::kCompleteTx, bytes);
    barrier_.complete_transactions(bytes);
    record(0);
  }

  std::mt19937_64 random_;
  Mbarrier barrier_;
  Mbarrier::State last_{};
  bool has_state_ = false;
  std::vector<MbarrierStep> steps_;
  std::vector<uint32_t> results_;
};

class MbarrierScript : public testing::TestWithParam<int> {};

TEST_P(MbarrierScript, MatchesHostModel) {
  ScriptWriter script(static_cast<uint64_t>(GetParam()));
  script.write(200);
  const auto& steps = script.steps();
  const DeviceBuffer<MbarrierStep> device_steps(steps);
  const DeviceBuffer<uint32_t> results(steps.size());
  ASSERT_CUDA(launch(mbarrier_script, {.block = 1}, device_steps.data(), results.data(),
                     static_cast<int>(steps.size())));
  expect_device_is_fine();
  const std::vector<uint32_t> actual = results.download();
  for (size_t i = 0; i < steps.size(); ++i) {
    ASSERT_EQ(script.results()[i], actual[i])
        << "step " << i << " op " << static_cast<int>(steps[i].op) << " argument "
        << steps[i].argument;
  }
}

INSTANTIATE_TEST_SUITE_P(Async, MbarrierScript, testing::Range(0, 12));

TEST(Mbarrier, ProducersAndConsumersAlternate) {
  constexpr uint32_t kRounds = 9;
  const DeviceBuffer<uint32_t> out(64);
  ASSERT_CUDA(launch(mbarrier_ping_pong, {.block = 128}, out.data(), int{kRounds}));
  expect_device_is_fine();
  const std::vector<uint32_t> sums = out.download();
  for (uint32_t i = 0; i < 64; ++i) {
    ASSERT_EQ(1000 * (kRounds * (kRounds - 1) / 2) + kRounds * (63 - i), sums[i]);
  }
}

class CpAsyncGroups : public testing::TestWithParam<int> {};

TEST_P(CpAsyncGroups, CopiesEveryGroup) {
  const auto total = static_cast<size_t>(3 * 64 * GetParam());
  const std::vector<uint8_t> bytes = random_bytes(total, 5);
  const DeviceBuffer<uint8_t> in(bytes);
  const DeviceBuffer<uint8_t> out(total);
  ASSERT_CUDA(launch(cp_async_groups, {.block = 64}, in.data(), out.data(), GetParam()));
  expect_device_is_fine();
  EXPECT_EQ(bytes, out.download());
}

INSTANTIATE_TEST_SUITE_P(Async, CpAsyncGroups, testing::Values(4, 8, 16));

TEST(CpAsync, ZeroFillsPastTheSource) {
  const std::vector<uint8_t> bytes = random_bytes(64 * 16, 6);
  std::vector<uint32_t> source_bytes(64);
  std::vector<uint8_t> expected(bytes.size(), 0);
  for (size_t i = 0; i < source_bytes.size(); ++i) {
    source_bytes[i] = static_cast<uint32_t>(i % 17);
    std::memcpy(&expected[i * 16], &bytes[i * 16], source_bytes[i]);
  }
  const DeviceBuffer<uint8_t> in(bytes);
  const DeviceBuffer<uint8_t> out(bytes.size());
  const DeviceBuffer<uint32_t> sizes(source_bytes);
  ASSERT_CUDA(launch(cp_async_zero_fill, {.block = 64}, in.data(), out.data(), sizes.data()));
  expect_device_is_fine();
  EXPECT_EQ(expected, out.download());
}

TEST(CpAsync, IgnoredSourceWritesZeros) {
  std::vector<uint8_t> expected = random_bytes(64 * 8, 7);
  const DeviceBuffer<uint8_t> in(expected);
  const DeviceBuffer<uint8_t> out(expected.size());
  for (size_t i = 0; i < 64; i += 3) std::memset(&expected[i * 8], 0, 8);
  ASSERT_CUDA(launch(cp_async_ignore_source, {.block = 64}, in.data(), out.data()));
  expect_device_is_fine();
  EXPECT_EQ(expected, out.download());
}

TEST(CpAsync, CompletionReachesMbarriers) {
  const std::vector<uint8_t> bytes = random_bytes(2 * 1024, 8);
  const DeviceBuffer<uint8_t> in(bytes);
  const DeviceBuffer<uint8_t> out(bytes.size());
  ASSERT_CUDA(launch(cp_async_mbarrier, {.block = 64}, in.data(), out.data()));
  expect_device_is_fine();
  EXPECT_EQ(bytes, out.download());
}

class BulkCopy : public testing::TestWithParam<uint32_t> {};

TEST_P(BulkCopy, LoadsAndStores) {
  std::vector<uint8_t> bytes = random_bytes(GetParam(), 9);
  const DeviceBuffer<uint8_t> in(bytes);
  const DeviceBuffer<uint8_t> out(bytes.size());
  ASSERT_CUDA(launch(bulk_round_trip, {.block = 96, .shared_bytes = GetParam()}, in.data(),
                     out.data(), GetParam()));
  expect_device_is_fine();
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(~byte);
  EXPECT_EQ(bytes, out.download());
}

TEST_P(BulkCopy, StoresInGroups) {
  const std::vector<uint8_t> bytes = random_bytes(3 * GetParam(), 10);
  const DeviceBuffer<uint8_t> in(bytes);
  const DeviceBuffer<uint8_t> out(bytes.size());
  ASSERT_CUDA(launch(bulk_store_groups, {.block = 96, .shared_bytes = 2 * GetParam()}, in.data(),
                     out.data(), GetParam()));
  expect_device_is_fine();
  EXPECT_EQ(bytes, out.download());
}

INSTANTIATE_TEST_SUITE_P(Async, BulkCopy, testing::Values(16u, 48u, 1024u, 16368u));

struct ReductionModel {
  Kind kind;
  int bytes;
  uint64_t (*combine)(uint64_t old, uint64_t value);
};

ReductionModel reduction_model(BulkReduction reduction) {
  using U = uint64_t;
  switch (reduction) {
    case BulkReduction::kAddU32:
    case BulkReduction::kAddS32:
      return {Kind::kB32, 4, [](U a, U b) -> U { return a + b; }};
    case BulkReduction::kAddU64:
      return {Kind::kB64, 8, [](U a, U b) -> U { return a + b; }};
    case BulkReduction::kMinU32:
      return {Kind::kB32, 4, [](U a, U b) { return smaller(kU32, a, b); }};
    case BulkReduction::kMaxS32:
      return {Kind::kB32, 4, [](U a, U b) { return larger(kS32, a, b); }};
    case BulkReduction::kIncU32:
      return {Kind::kB32, 4, [](U a, U b) -> U { return a >= b ? 0 : a + 1; }};
    case BulkReduction::kDecU32:
      return {Kind::kB32, 4, [](U a, U b) -> U { return a == 0 || a > b ? b : a - 1; }};
    case BulkReduction::kAndB32:
      return {Kind::kB32, 4, [](U a, U b) -> U { return a & b; }};
    case BulkReduction::kOrB32:
      return {Kind::kB32, 4, [](U a, U b) -> U { return a | b; }};
    case BulkReduction::kXorB64:
      return {Kind::kB64, 8, [](U a, U b) -> U { return a ^ b; }};
    case BulkReduction::kAddF16:
      return {Kind::kUnitF16, 2, [](U a, U b) { return add(kF16, a, b, {}); }};
    case BulkReduction::kAddBf16:
      return {Kind::kUnitBf16, 2, [](U a, U b) { return add(kBf16, a, b, {}); }};
    case BulkReduction::kMinF16:
      return {Kind::kUnitF16, 2, [](U a, U b) { return minimum(kF16, a, b); }};
    case BulkReduction::kMaxBf16:
      return {Kind::kUnitBf16, 2, [](U a, U b) { return maximum(kBf16, a, b); }};
    case BulkReduction::kCount:
      break;
  }
  return {};
}

class BulkReduce : public testing::TestWithParam<int> {};

TEST_P(BulkReduce, MatchesHostModel) {
  const auto reduction = static_cast<BulkReduction>(GetParam());
  const ReductionModel model = reduction_model(reduction);
  constexpr uint32_t kBytes = 512;
  std::mt19937_64 random(GetParam());
  std::vector<uint8_t> values(kBytes);
  std::vector<uint8_t> old(kBytes);
  std::vector<uint8_t> expected(kBytes);
  for (uint32_t i = 0; i < kBytes; i += model.bytes) {
    const uint64_t a = sample(model.kind, random);
    const uint64_t b = sample(model.kind, random);
    const uint64_t result = model.combine(a, b);
    std::memcpy(&old[i], &a, model.bytes);
    std::memcpy(&values[i], &b, model.bytes);
    std::memcpy(&expected[i], &result, model.bytes);
  }
  const DeviceBuffer<uint8_t> in(values);
  const DeviceBuffer<uint8_t> inout(old);
  ASSERT_CUDA(launch(bulk_reduce, {.block = 32, .shared_bytes = kBytes}, in.data(), inout.data(),
                     kBytes, reduction));
  expect_device_is_fine();
  EXPECT_EQ(expected, inout.download());
}

INSTANTIATE_TEST_SUITE_P(Async, BulkReduce,
                         testing::Range(0, static_cast<int>(BulkReduction::kCount)));

}  // namespace
}  // namespace emulator_tests
