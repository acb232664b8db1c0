// TMA tensor copies against a host model, over random ranks, boxes, corners and swizzles.
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "host_model/soft_float.hpp"
#include "support/device_buffer.hpp"
#include "support/tensor_case.hpp"
#include "support/tensor_map_encode.hpp"

namespace emulator_tests {
namespace {

using host_model::BoxElement;
using host_model::for_each_box_element;
using host_model::TensorDescription;

struct ElementType {
  CUtensorMapDataType type;
  int bytes;
};

const ElementType kElementTypes[] = {
    {CU_TENSOR_MAP_DATA_TYPE_UINT8, 1},    {CU_TENSOR_MAP_DATA_TYPE_UINT16, 2},
    {CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2}, {CU_TENSOR_MAP_DATA_TYPE_FLOAT16, 2},
    {CU_TENSOR_MAP_DATA_TYPE_UINT32, 4},   {CU_TENSOR_MAP_DATA_TYPE_FLOAT32, 4},
    {CU_TENSOR_MAP_DATA_TYPE_INT32, 4},    {CU_TENSOR_MAP_DATA_TYPE_INT64, 8},
    {CU_TENSOR_MAP_DATA_TYPE_FLOAT64, 8},
};

enum class Traversal { kDense, kStrided };

struct TensorTestCase {
  int rank;
  int swizzle_bytes;
  Traversal traversal;
};

void PrintTo(const TensorTestCase& test, std::ostream* out) {
  *out << "rank " << test.rank << " swizzle " << test.swizzle_bytes;
}

// A tensor, a box of it, and where the box lies.
struct Scenario {
  TensorDescription tensor;
  ElementType element;
  BoxCorner corner;
};

class TensorCopy : public testing::TestWithParam<TensorTestCase> {
 protected:
  int between(int low, int high) { return low + static_cast<int>(random_() % (high - low + 1)); }

  Scenario make_scenario() {
    Scenario scenario{};
    scenario.element = kElementTypes[random_() % std::size(kElementTypes)];
    TensorDescription& tensor = scenario.tensor;
    tensor.rank = GetParam().rank;
    tensor.element_bytes = scenario.element.bytes;
    tensor.swizzle_bytes = GetParam().swizzle_bytes;
    // With swizzle a row fills the span: narrower rows are legal, but CUTLASS never makes them.
    const int inner_bytes = tensor.swizzle_bytes ? tensor.swizzle_bytes : 16 * between(1, 8);
    tensor.box[0] = inner_bytes / tensor.element_bytes;
    tensor.dimension[0] = between(1, 2 * tensor.box[0] + 3);
    const int64_t row = (tensor.dimension[0] * tensor.element_bytes + 15) / 16 * 16;
    tensor.stride_bytes[0] = tensor.element_bytes;
    int64_t stride = row + 16 * between(0, 2);
    for (int d = 1; d < tensor.rank; ++d) {
      tensor.box[d] = between(1, tensor.rank < 4 ? 17 : 4);
      if (GetParam().traversal == Traversal::kStrided) tensor.element_stride[d] = between(1, 3);
      tensor.dimension[d] = between(1, 2 * tensor.box[d] + 1);
      tensor.stride_bytes[d] = stride;
      stride = stride * tensor.dimension[d] + 16 * between(0, 1);
    }
    // A row begins at a multiple of 16 bytes; elsewhere a GPU takes the copy for an illegal
    // instruction.
    const int step = 16 / tensor.element_bytes;
    scenario.corner.coordinate[0] =
        step * between(-tensor.box[0] / 2 / step, static_cast<int>(tensor.dimension[0]) / step);
    for (int d = 1; d < tensor.rank; ++d) {
      scenario.corner.coordinate[d] =
          between(-tensor.box[d] / 2, static_cast<int>(tensor.dimension[d]));
    }
    return scenario;
  }

  std::vector<uint8_t> random_bytes(int64_t count) {
    std::vector<uint8_t> bytes(static_cast<size_t>(count));
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random_());
    return bytes;
  }

  LaunchShape shape(const TensorDescription& tensor) {
    return {.block = 64, .shared_bytes = static_cast<size_t>(tensor.box_bytes() + 1024)};
  }

  std::mt19937_64 random_{static_cast<uint64_t>(GetParam().rank * 1000 + GetParam().swizzle_bytes)};
};

constexpr int kRounds = 8;

TEST_P(TensorCopy, LoadsBoxes) {
  for (int round = 0; round < kRounds; ++round) {
    const auto [tensor, element, corner] = make_scenario();
    const std::vector<uint8_t> global = random_bytes(tensor.tensor_bytes());
    const DeviceBuffer<uint8_t> device(global);
    const DeviceBuffer<uint8_t> out(static_cast<size_t>(tensor.box_bytes()));
    alignas(64) CUtensorMap map;
    ASSERT_EQ(CUDA_SUCCESS, encode(&map, tensor, device.data(), {.type = element.type}));
    const auto& kernels = round % 2 == 0 ? kTensorLoad : kTensorLoadHinted;
    ASSERT_CUDA(launch(kernels[tensor.rank - 1], shape(tensor), map, corner,
                       static_cast<uint32_t>(tensor.box_bytes()), out.data()));
    expect_device_is_fine();
    std::vector<uint8_t> expected(out.size(), 0);
    for_each_box_element(tensor, corner.coordinate, [&](const BoxElement& e) {
      if (!e.inside) return;
      std::memcpy(&expected[e.shared_offset], &global[static_cast<size_t>(e.global_offset)],
                  static_cast<size_t>(tensor.element_bytes));
    });
    ASSERT_EQ(expected, out.download()) << "round " << round;
  }
}

TEST_P(TensorCopy, StoresBoxes) {
  if (GetParam().traversal == Traversal::kStrided) GTEST_SKIP() << "loads only";
  for (int round = 0; round < kRounds; ++round) {
    const auto [tensor, element, corner] = make_scenario();
    const std::vector<uint8_t> before = random_bytes(tensor.tensor_bytes());
    const std::vector<uint8_t> box = random_bytes(tensor.box_bytes());
    const DeviceBuffer<uint8_t> device(before);
    const DeviceBuffer<uint8_t> in(box);
    alignas(64) CUtensorMap map;
    ASSERT_EQ(CUDA_SUCCESS, encode(&map, tensor, device.data(), {.type = element.type}));
    ASSERT_CUDA(launch(kTensorStore[tensor.rank - 1], shape(tensor), map, corner,
                       static_cast<uint32_t>(tensor.box_bytes()), in.data()));
    expect_device_is_fine();
    std::vector<uint8_t> expected = before;
    for_each_box_element(tensor, corner.coordinate, [&](const BoxElement& e) {
      if (!e.inside) return;
      std::memcpy(&expected[static_cast<size_t>(e.global_offset)], &box[e.shared_offset],
                  static_cast<size_t>(tensor.element_bytes));
    });
    ASSERT_EQ(expected, device.download()) << "round " << round;
  }
}

TEST_P(TensorCopy, ReducesBoxes) {
  if (GetParam().traversal == Traversal::kStrided) GTEST_SKIP() << "loads only";
  for (int round = 0; round < kRounds; ++round) {
    auto [tensor, element, corner] = make_scenario();
    if (tensor.element_bytes != 4) continue;
    element.type = CU_TENSOR_MAP_DATA_TYPE_UINT32;
    const std::vector<uint8_t> before = random_bytes(tensor.tensor_bytes());
    const std::vector<uint8_t> box = random_bytes(tensor.box_bytes());
    const DeviceBuffer<uint8_t> device(before);
    const DeviceBuffer<uint8_t> in(box);
    alignas(64) CUtensorMap map;
    ASSERT_EQ(CUDA_SUCCESS, encode(&map, tensor, device.data(), {.type = element.type}));
    ASSERT_CUDA(launch(kTensorReduceAdd[tensor.rank - 1], shape(tensor), map, corner,
                       static_cast<uint32_t>(tensor.box_bytes()), in.data()));
    expect_device_is_fine();
    std::vector<uint8_t> expected = before;
    for_each_box_element(tensor, corner.coordinate, [&](const BoxElement& e) {
      if (!e.inside) return;
      uint32_t old;
      uint32_t value;
      std::memcpy(&old, &before[static_cast<size_t>(e.global_offset)], 4);
      std::memcpy(&value, &box[e.shared_offset], 4);
      value += old;
      std::memcpy(&expected[static_cast<size_t>(e.global_offset)], &value, 4);
    });
    ASSERT_EQ(expected, device.download()) << "round " << round;
  }
}

std::vector<TensorTestCase> tensor_cases() {
  std::vector<TensorTestCase> cases;
  for (int rank = 1; rank <= 5; ++rank) {
    for (const int swizzle : {0, 32, 64, 128}) cases.push_back({rank, swizzle, Traversal::kDense});
  }
  for (int rank = 2; rank <= 5; ++rank) cases.push_back({rank, 0, Traversal::kStrided});
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Tensor, TensorCopy, testing::ValuesIn(tensor_cases()),
                         [](const testing::TestParamInfo<TensorTestCase>& info) {
                           return "rank" + std::to_string(info.param.rank) + "_swizzle" +
                                  std::to_string(info.param.swizzle_bytes) +
                                  (info.param.traversal == Traversal::kStrided ? "_strided" : "");
                         });

TEST(TensorFill, OutsideOfFloatTensorsReadsAsNanOnRequest) {
  const struct {
    CUtensorMapDataType type;
    host_model::Format format;
  } floats[] = {{CU_TENSOR_MAP_DATA_TYPE_FLOAT16, host_model::kF16},
                {CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, host_model::kBf16},
                {CU_TENSOR_MAP_DATA_TYPE_FLOAT32, host_model::kF32}};
  for (const auto& [type, format] : floats) {
    TensorDescription tensor;
    tensor.rank = 2;
    tensor.element_bytes = format.bits() / 8;
    tensor.dimension[0] = 10;
    tensor.dimension[1] = 3;
    tensor.stride_bytes[1] = 48;
    tensor.box[0] = 16;
    tensor.box[1] = 4;
    const DeviceBuffer<uint8_t> device(std::vector<uint8_t>(144, 0));
    const DeviceBuffer<uint8_t> out(static_cast<size_t>(tensor.box_bytes()));
    alignas(64) CUtensorMap map;
    ASSERT_EQ(CUDA_SUCCESS, encode(&map, tensor, device.data(),
                                   {type, CU_TENSOR_MAP_FLOAT_OOB_FILL_NAN_REQUEST_ZERO_FMA}));
    const BoxCorner corner{{-8, 1}};
    ASSERT_CUDA(launch(kTensorLoad[1], {.block = 32, .shared_bytes = 2048}, map, corner,
                       static_cast<uint32_t>(tensor.box_bytes()), out.data()));
    expect_device_is_fine();
    const std::vector<uint8_t> bytes = out.download();
    for_each_box_element(tensor, corner.coordinate, [&](const BoxElement& e) {
      uint64_t value = 0;
      std::memcpy(&value, &bytes[e.shared_offset], static_cast<size_t>(tensor.element_bytes));
      EXPECT_EQ(!e.inside, host_model::is_nan(format, value)) << e.shared_offset;
    });
  }
}

TEST(TensorMulticast, BothCtasReceiveBothHalves) {
  TensorDescription tensor;
  tensor.rank = 2;
  tensor.element_bytes = 4;
  tensor.dimension[0] = 32;
  tensor.dimension[1] = 16;
  tensor.stride_bytes[1] = 128;
  tensor.box[0] = 32;
  tensor.box[1] = 8;
  tensor.swizzle_bytes = 128;
  std::vector<uint8_t> global(16 * 128);
  for (size_t i = 0; i < global.size(); ++i) global[i] = static_cast<uint8_t>(i * 37 >> 3);
  const DeviceBuffer<uint8_t> device(global);
  const DeviceBuffer<uint8_t> out(2 * global.size());
  alignas(64) CUtensorMap map;
  ASSERT_EQ(CUDA_SUCCESS,
            encode(&map, tensor, device.data(), {.type = CU_TENSOR_MAP_DATA_TYPE_UINT32}));
  ASSERT_CUDA(launch(tensor_multicast, {.grid = 2, .block = 64, .shared_bytes = 4096}, map,
                     static_cast<uint32_t>(tensor.box_bytes()), out.data()));
  expect_device_is_fine();
  std::vector<uint8_t> expected(out.size());
  for (size_t cta = 0; cta < 2; ++cta) {
    for (uint32_t i = 0; i < global.size(); ++i) {
      // The stage is 1024-byte aligned and 8 rows are 1024 bytes, so one swizzle fits both halves.
      expected[cta * global.size() + host_model::swizzle(i, 128)] = global[i];
    }
  }
  EXPECT_EQ(expected, out.download());
}

TEST(TensorMapEdit, KernelsReplaceFields) {
  TensorDescription tensor;
  tensor.rank = 2;
  tensor.element_bytes = 4;
  tensor.dimension[0] = 32;
  tensor.dimension[1] = 8;
  tensor.stride_bytes[1] = 128;
  tensor.box[0] = 32;
  tensor.box[1] = 8;
  constexpr uint32_t kColumns = 20, kRows = 5, kStride = 64, kFirst = 8;
  std::vector<uint32_t> words(kStride * 8 + kFirst);
  for (size_t i = 0; i < words.size(); ++i) words[i] = static_cast<uint32_t>(i + 1);
  const DeviceBuffer<uint32_t> other(32 * 8);
  const DeviceBuffer<uint32_t> device(words);
  const DeviceBuffer<CUtensorMap> edited(1);
  const DeviceBuffer<uint8_t> out(static_cast<size_t>(tensor.box_bytes()));
  alignas(64) CUtensorMap map;
  ASSERT_EQ(CUDA_SUCCESS,
            encode(&map, tensor, other.data(), {.type = CU_TENSOR_MAP_DATA_TYPE_UINT32}));
  ASSERT_CUDA(launch(tensor_map_edit, {.block = 32, .shared_bytes = 2048}, map, edited.data(),
                     device.data() + kFirst, kColumns, kRows,
                     static_cast<uint32_t>(tensor.box_bytes()), out.data()));
  expect_device_is_fine();
  const std::vector<uint8_t> bytes = out.download();
  for (uint32_t row = 0; row < 8; ++row)
    for (uint32_t column = 0; column < 32; ++column) {
      uint32_t word = 0;
      std::memcpy(&word, &bytes[(row * 32 + column) * 4], 4);
      const bool inside = row < kRows && column < kColumns;
      ASSERT_EQ(inside ? words[kFirst + row * kStride + column] : 0, word) << row << " " << column;
    }
}

}  // namespace
}  // namespace emulator_tests
