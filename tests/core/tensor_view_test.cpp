#include "flash_kda/tensor_view.hpp"

#include <gtest/gtest.h>

namespace flash_kda {
namespace {

TEST(TensorView, ContiguousStridesAreRowMajor) {
  const TensorView view = TensorView::contiguous(nullptr, DType::kBF16, {2, 3, 4, 5});
  EXPECT_EQ(view.rank, 4);
  EXPECT_EQ(view.strides[0], 60);
  EXPECT_EQ(view.strides[1], 20);
  EXPECT_EQ(view.strides[2], 5);
  EXPECT_EQ(view.strides[3], 1);
  EXPECT_EQ(view.num_elements(), 120);
}

TEST(TensorView, NoDimensionsMeansOneElement) { EXPECT_EQ(TensorView{}.num_elements(), 1); }

TEST(DTypes, SizesMatchTheirNames) {
  EXPECT_EQ(size_of(DType::kF32), 4u);
  EXPECT_EQ(size_of(DType::kBF16), 2u);
  EXPECT_EQ(size_of(DType::kF16), 2u);
  EXPECT_EQ(size_of(DType::kI32), 4u);
  EXPECT_EQ(size_of(DType::kI64), 8u);
  EXPECT_EQ(size_of(DType::kU8), 1u);
}

}  // namespace
}  // namespace flash_kda
