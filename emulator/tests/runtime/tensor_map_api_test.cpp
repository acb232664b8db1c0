// cuTensorMapEncodeTiled refuses what the driver refuses.
#include <gtest/gtest.h>

#include <utility>

#include "support/device_buffer.hpp"
#include "support/tensor_map_encode.hpp"

namespace emulator_tests {
namespace {

struct Arguments {
  CUtensorMapDataType type = CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
  cuuint32_t rank = 3;
  size_t base_offset = 0;
  cuuint64_t dimension[5] = {128, 64, 8, 1, 1};
  cuuint64_t stride[5] = {256, 256 * 64, 16, 16, 0};
  cuuint32_t box[5] = {64, 16, 2, 1, 1};
  cuuint32_t element_stride[5] = {1, 1, 1, 1, 1};
  CUtensorMapInterleave interleave = CU_TENSOR_MAP_INTERLEAVE_NONE;
  CUtensorMapSwizzle swizzle = CU_TENSOR_MAP_SWIZZLE_128B;
  CUtensorMapL2promotion promotion = CU_TENSOR_MAP_L2_PROMOTION_NONE;
  CUtensorMapFloatOOBfill fill = CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE;
};

struct Mistake {
  const char* name;
  void (*make)(Arguments& arguments);
};

const Mistake kMistakes[] = {
    {"rank_0", [](Arguments& a) { a.rank = 0; }},
    {"rank_6", [](Arguments& a) { a.rank = 6; }},
    {"base_not_16_byte_aligned", [](Arguments& a) { a.base_offset = 8; }},
    {"dimension_0", [](Arguments& a) { a.dimension[1] = 0; }},
    {"dimension_above_2_32", [](Arguments& a) { a.dimension[2] = (cuuint64_t{1} << 32) + 1; }},
    {"stride_not_multiple_of_16", [](Arguments& a) { a.stride[0] = 264; }},
    {"stride_of_2_40", [](Arguments& a) { a.stride[1] = cuuint64_t{1} << 40; }},
    {"box_0", [](Arguments& a) { a.box[2] = 0; }},
    {"box_257", [](Arguments& a) { a.box[1] = 257; }},
    {"box_row_not_multiple_of_16_bytes", [](Arguments& a) { a.box[0] = 4; }},
    {"box_row_wider_than_swizzle", [](Arguments& a) { a.box[0] = 128; }},
    {"box_row_wider_than_64_byte_swizzle",
     [](Arguments& a) { a.swizzle = CU_TENSOR_MAP_SWIZZLE_64B; }},
    {"element_stride_0", [](Arguments& a) { a.element_stride[1] = 0; }},
    {"element_stride_9", [](Arguments& a) { a.element_stride[1] = 9; }},
    {"nan_fill_of_integers",
     [](Arguments& a) {
       a.type = CU_TENSOR_MAP_DATA_TYPE_UINT16;
       a.fill = CU_TENSOR_MAP_FLOAT_OOB_FILL_NAN_REQUEST_ZERO_FMA;
     }},
    {"interleave_of_rank_2",
     [](Arguments& a) {
       a.rank = 2;
       a.interleave = CU_TENSOR_MAP_INTERLEAVE_16B;
     }},
    {"interleave_32_without_32_byte_swizzle",
     [](Arguments& a) { a.interleave = CU_TENSOR_MAP_INTERLEAVE_32B; }},
    {"no_such_type", [](Arguments& a) { a.type = static_cast<CUtensorMapDataType>(77); }},
    {"no_such_swizzle", [](Arguments& a) { a.swizzle = static_cast<CUtensorMapSwizzle>(77); }},
};

CUresult encode_arguments(const Arguments& a, char* base) {
  alignas(64) CUtensorMap map;
  return encode_tiled_entry()(&map, a.type, a.rank, base + a.base_offset, a.dimension, a.stride,
                              a.box, a.element_stride, a.interleave, a.swizzle, a.promotion,
                              a.fill);
}

TEST(TensorMapApi, AcceptsTheValidBase) {
  const DeviceBuffer<char> buffer(128 * 64 * 8 * 2);
  EXPECT_EQ(CUDA_SUCCESS, encode_arguments({}, buffer.data()));
}

// A permuted tensor: an outer dimension may have the smaller stride.
TEST(TensorMapApi, AcceptsStridesInAnyOrder) {
  const DeviceBuffer<char> buffer(128 * 64 * 8 * 2);
  Arguments arguments;
  std::swap(arguments.stride[0], arguments.stride[1]);
  EXPECT_EQ(CUDA_SUCCESS, encode_arguments(arguments, buffer.data()));
}

class TensorMapMistake : public testing::TestWithParam<Mistake> {};

void PrintTo(const Mistake& mistake, std::ostream* out) { *out << mistake.name; }

TEST_P(TensorMapMistake, IsRefused) {
  const DeviceBuffer<char> buffer(128 * 64 * 8 * 2);
  Arguments arguments;
  GetParam().make(arguments);
  EXPECT_EQ(CUDA_ERROR_INVALID_VALUE, encode_arguments(arguments, buffer.data()));
}

INSTANTIATE_TEST_SUITE_P(TensorMapApi, TensorMapMistake, testing::ValuesIn(kMistakes),
                         [](const testing::TestParamInfo<Mistake>& info) {
                           return std::string(info.param.name);
                         });

TEST(TensorMapApi, UnknownEntryPointsAreNotFound) {
  void* entry = &entry;
  cudaDriverEntryPointQueryResult result{};
  cudaGetDriverEntryPointByVersion("cuNoSuchFunction", &entry, 12000, cudaEnableDefault, &result);
  EXPECT_EQ(cudaDriverEntryPointSymbolNotFound, result);
  EXPECT_EQ(nullptr, entry);
  cudaGetLastError();
}

}  // namespace
}  // namespace emulator_tests
