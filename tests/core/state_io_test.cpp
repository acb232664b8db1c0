#include <gtest/gtest.h>

#include <vector>

#include "core/host_call.hpp"
#include "core/number.hpp"

namespace flash_kda {
namespace {

constexpr std::int64_t kV = 3, kK = 4;

TEST(StateIo, LoadsBothLayoutsAndTypes) {
  std::vector<std::uint16_t> kv(kV * kK);  // [K, V]
  for (std::int64_t k = 0; k < kK; ++k) {
    for (std::int64_t v = 0; v < kV; ++v) {
      kv[k * kV + v] = float_to_bf16(static_cast<float>(10 * v + k));
    }
  }
  const StateRef ref{.data = kv.data(), .dtype = DType::kBF16, .v_stride = 1, .k_stride = kV};
  std::vector<float> rows(2 * 5, -1.0f);
  load_state(ref, /*v_begin=*/1, /*num_v=*/2, kK, rows.data(), /*dst_pitch=*/5);
  EXPECT_EQ(rows, (std::vector<float>{10, 11, 12, 13, -1, 20, 21, 22, 23, -1}));
}

TEST(StateIo, AbsentStateReadsAsZeroAndIsNotWritten) {
  std::vector<float> rows(kV * kK, 7.0f);
  load_state({}, 0, kV, kK, rows.data(), kK);
  EXPECT_EQ(rows, std::vector<float>(kV * kK, 0.0f));
  store_state({}, 0, kV, kK, rows.data(), kK);
}

TEST(StateIo, StoreIsTheInverseOfLoad) {
  for (const StateLayout layout : {StateLayout::kVK, StateLayout::kKV}) {
    std::vector<float> memory(kV * kK), rows(kV * kK), back(kV * kK);
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<float>(i) + 0.5f;
    const bool v_first = layout == StateLayout::kVK;
    const StateRef ref{.data = memory.data(),
                       .dtype = DType::kF32,
                       .v_stride = v_first ? kK : 1,
                       .k_stride = v_first ? 1 : kV};
    store_state(ref, 0, kV, kK, rows.data(), kK);
    load_state(ref, 0, kV, kK, back.data(), kK);
    EXPECT_EQ(back, rows) << to_string(layout);
  }
}

}  // namespace
}  // namespace flash_kda
