// Programs that hardware would run forever; the emulator says where every warp stands. Not for a
// real GPU.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "support/device_buffer.hpp"
#include "support/program_case.hpp"
#include "support/runtime_case.hpp"

namespace emulator_tests {
namespace {

class Deadlock : public testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

// Ends the process: 0 if the launch was given up with an error.
[[noreturn]] void exit_with_deadlock() {
  std::_Exit(cudaDeviceSynchronize() != cudaSuccess ? 0 : 1);
}

TEST_F(Deadlock, MbarrierThatNeverCompletes) {
  EXPECT_EXIT(
      {
        const DeviceBuffer<int> out(1);
        launch(wait_forever, {.block = 64}, out.data());
        exit_with_deadlock();
      },
      testing::ExitedWithCode(0), "[Dd]eadlock.*wait_forever");
}

// So much shared memory that a multiprocessor holds one CTA, and one CTA more than multiprocessors.
TEST_F(Deadlock, MoreCtasThanFit) {
  EXPECT_EXIT(
      {
        constexpr int kSharedBytes = 128 << 10;
        int multiprocessors = 0;
        cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, 0);
        const int ctas = multiprocessors + 1;
        const DeviceBuffer<unsigned> arrived(std::vector<unsigned>{0});
        const DeviceBuffer<int> mailbox(static_cast<size_t>(2 * ctas));
        const DeviceBuffer<int> out(static_cast<size_t>(ctas));
        cudaFuncSetAttribute(reinterpret_cast<const void*>(global_barrier),
                             cudaFuncAttributeMaxDynamicSharedMemorySize, kSharedBytes);
        launch(global_barrier,
               {.grid = static_cast<unsigned>(ctas), .block = 32, .shared_bytes = kSharedBytes},
               arrived.data(), mailbox.data(), out.data(), 1);
        exit_with_deadlock();
      },
      testing::ExitedWithCode(0), "[Dd]eadlock.*global_barrier");
}

// setmaxnreg: the warps that ask for more wait for registers that nobody gives back.
TEST_F(Deadlock, MoreRegistersThanThereAre) {
  EXPECT_EXIT(
      {
        const DeviceBuffer<uint32_t> out(384);
        launch(too_many_registers, {.block = 384}, out.data());
        exit_with_deadlock();
      },
      testing::ExitedWithCode(0), "[Dd]eadlock.*too_many_registers(.|\n)*setmaxnreg.inc");
}

}  // namespace
}  // namespace emulator_tests
