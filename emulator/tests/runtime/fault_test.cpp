// What a kernel does wrong comes back as CUDA's error. A fault is sticky, so each runs in a process
// of its own.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "support/device_buffer.hpp"
#include "support/runtime_case.hpp"
#include "support/tensor_case.hpp"
#include "support/tensor_map_encode.hpp"

namespace emulator_tests {
namespace {

// Ends the process: 0 if the device reports `expected` now and ever after.
[[noreturn]] void exit_with_fault(cudaError_t expected) {
  const cudaError_t first = cudaDeviceSynchronize();
  void* memory = nullptr;
  const cudaError_t later = cudaMalloc(&memory, 16);
  std::fprintf(stderr, "first %s, later %s\n", cudaGetErrorName(first), cudaGetErrorName(later));
  std::_Exit(first == expected && later == expected ? 0 : 1);
}

class Fault : public testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(Fault, StoreOutOfBounds) {
  EXPECT_EXIT(
      {
        const DeviceBuffer<int> buffer(16);
        launch(store_to, {.block = 1}, buffer.data() + 16, 1);
        exit_with_fault(cudaErrorIllegalAddress);
      },
      testing::ExitedWithCode(0), "");
}

TEST_F(Fault, StoreThroughNull) {
  EXPECT_EXIT(
      {
        launch(store_to, {.block = 1}, static_cast<int*>(nullptr), 1);
        exit_with_fault(cudaErrorIllegalAddress);
      },
      testing::ExitedWithCode(0), "");
}

TEST_F(Fault, StoreAfterFree) {
  EXPECT_EXIT(
      {
        int* memory = nullptr;
        cudaMalloc(reinterpret_cast<void**>(&memory), 64 << 20);
        cudaFree(memory);
        launch(store_to, {.block = 1}, memory, 1);
        exit_with_fault(cudaErrorIllegalAddress);
      },
      testing::ExitedWithCode(0), "");
}

TEST_F(Fault, MisalignedStore) {
  EXPECT_EXIT(
      {
        const DeviceBuffer<char> buffer(64);
        launch(store_misaligned, {.block = 1}, buffer.data());
        exit_with_fault(cudaErrorMisalignedAddress);
      },
      testing::ExitedWithCode(0), "");
}

TEST_F(Fault, SharedStoreOutOfBounds) {
  EXPECT_EXIT(
      {
        launch(store_shared_out_of_bounds, {.block = 1}, 1 << 20);
        exit_with_fault(cudaErrorIllegalAddress);
      },
      testing::ExitedWithCode(0), "");
}

TEST_F(Fault, Trap) {
  EXPECT_EXIT(
      {
        launch(trap_now, {.block = 1});
        exit_with_fault(cudaErrorLaunchFailure);
      },
      testing::ExitedWithCode(0), "");
}

TEST_F(Fault, Assert) {
  EXPECT_EXIT(
      {
        launch(assert_positive, {.block = 1}, 1);
        if (cudaDeviceSynchronize() != cudaSuccess) std::_Exit(2);
        launch(assert_positive, {.block = 1}, -1);
        exit_with_fault(cudaErrorAssert);
      },
      testing::ExitedWithCode(0), "ssertion `value > 0` failed");
}

TEST_F(Fault, TensorCopyFromTheMiddleOfSixteenBytes) {
  EXPECT_EXIT(
      {
        host_model::TensorDescription tensor;
        tensor.rank = 1;
        tensor.element_bytes = 2;
        tensor.dimension[0] = 64;
        tensor.box[0] = 16;
        const DeviceBuffer<uint16_t> in(std::vector<uint16_t>(64, 1));
        const DeviceBuffer<uint8_t> out(32);
        alignas(64) CUtensorMap map;
        encode(&map, tensor, in.data(), {.type = CU_TENSOR_MAP_DATA_TYPE_BFLOAT16});
        launch(kTensorLoad[0], {.block = 32, .shared_bytes = 1024}, map, BoxCorner{{4}}, 32u,
               out.data());
        exit_with_fault(cudaErrorIllegalInstruction);
      },
      testing::ExitedWithCode(0), "");
}

TEST_F(Fault, PrintfFormatsOnTheHost) {
  // Through stderr, which the death test captures.
  EXPECT_EXIT(
      {
        const DeviceBuffer<char> text(std::vector<char>{'t', 'e', 'x', 't', 0});
        std::fflush(stdout);
        dup2(2, 1);
        launch(print_lines, {.block = 3}, 42, text.data());
        cudaDeviceSynchronize();
        std::fflush(stdout);
        std::_Exit(0);
      },
      testing::ExitedWithCode(0), "thread 1: 42  2.50 text z -12345678901 abc%");
}

}  // namespace
}  // namespace emulator_tests
