// Launches: cooperative, clusters, programmatic dependence, occupancy, limits, device properties.
#include <gtest/gtest.h>

#include "support/cluster_case.hpp"
#include "support/device_buffer.hpp"
#include "support/runtime_case.hpp"
#include "support/wgmma_case.hpp"

namespace emulator_tests {
namespace {

template <class Kernel>
const void* symbol(Kernel* kernel) {
  return reinterpret_cast<const void*>(kernel);
}

int attribute(cudaDeviceAttr which) {
  int value = -1;
  EXPECT_CUDA(cudaDeviceGetAttribute(&value, which, 0));
  return value;
}

int resident_ctas(const void* kernel, int threads, size_t shared_bytes) {
  int per_multiprocessor = 0;
  EXPECT_CUDA(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&per_multiprocessor, kernel, threads,
                                                            shared_bytes));
  return per_multiprocessor * attribute(cudaDevAttrMultiProcessorCount);
}

void expect_barrier_mailboxes(const DeviceBuffer<int>& out, int ctas, int rounds) {
  const std::vector<int> result = out.download();
  for (int cta = 0; cta < ctas; ++cta) {
    ASSERT_EQ(rounds * 1000 + (cta + 1) % ctas, result[static_cast<size_t>(cta)]) << cta;
  }
}

TEST(CooperativeLaunch, AllCtasOfTheGpuMeet) {
  // One CTA per multiprocessor: a persistent kernel.
  const int ctas = attribute(cudaDevAttrMultiProcessorCount);
  const DeviceBuffer<unsigned> arrived(std::vector<unsigned>{0});
  const DeviceBuffer<int> mailbox(static_cast<size_t>(2 * ctas));
  const DeviceBuffer<int> out(static_cast<size_t>(ctas));
  unsigned* arrived_pointer = arrived.data();
  int* mailbox_pointer = mailbox.data();
  int* out_pointer = out.data();
  int rounds = 3;
  void* arguments[] = {&arrived_pointer, &mailbox_pointer, &out_pointer, &rounds};
  ASSERT_CUDA(cudaLaunchCooperativeKernel(symbol(global_barrier), dim3(static_cast<unsigned>(ctas)),
                                          dim3(64), arguments, 0, nullptr));
  expect_device_is_fine();
  expect_barrier_mailboxes(out, ctas, rounds);
}

TEST(CooperativeLaunch, GroupsSynchroniseTheGrid) {
  constexpr int kCtas = 6;
  constexpr int kThreads = 96;
  constexpr int kRounds = 3;
  const DeviceBuffer<int> data(kCtas * kThreads);
  const DeviceBuffer<int> out(kCtas * kThreads);
  int* data_pointer = data.data();
  int* out_pointer = out.data();
  int rounds = kRounds;
  void* arguments[] = {&data_pointer, &out_pointer, &rounds};
  ASSERT_CUDA(cudaLaunchCooperativeKernel(symbol(cooperative_groups_sync), dim3(kCtas),
                                          dim3(kThreads), arguments, 0, nullptr));
  expect_device_is_fine();
  const std::vector<int> result = out.download();
  for (int i = 0; i < kCtas * kThreads; ++i) {
    ASSERT_EQ((kRounds - 1) * 10000 + (i + kThreads) % (kCtas * kThreads),
              result[static_cast<size_t>(i)]);
  }
}

TEST(CooperativeLaunch, RefusesMoreCtasThanFit) {
  const int limit = resident_ctas(symbol(global_barrier), 64, 0);
  void* nothing = nullptr;
  int rounds = 1;
  void* arguments[] = {&nothing, &nothing, &nothing, &rounds};
  EXPECT_EQ(
      cudaErrorCooperativeLaunchTooLarge,
      cudaLaunchCooperativeKernel(symbol(global_barrier), dim3(static_cast<unsigned>(limit + 1)),
                                  dim3(64), arguments, 0, nullptr));
  EXPECT_EQ(cudaErrorCooperativeLaunchTooLarge, cudaGetLastError());
}

// Without the cooperative attribute the same kernel works as long as its CTAs fit together.
TEST(PersistentLaunch, ResidentCtasInterleave) {
  constexpr int kCtas = 40;
  const DeviceBuffer<unsigned> arrived(std::vector<unsigned>{0});
  const DeviceBuffer<int> mailbox(2 * kCtas);
  const DeviceBuffer<int> out(kCtas);
  ASSERT_CUDA(launch(global_barrier, {.grid = kCtas, .block = 64}, arrived.data(), mailbox.data(),
                     out.data(), 4));
  expect_device_is_fine();
  expect_barrier_mailboxes(out, kCtas, 4);
}

TEST(DependentLaunch, ConsumerWaitsForTheProducersMemory) {
  constexpr int kCount = 1000;
  const DeviceBuffer<int> middle(std::vector<int>(kCount, -1));
  const DeviceBuffer<int> out(kCount);
  ASSERT_CUDA(launch(dependent_producer, {.grid = 8, .block = 128}, middle.data(), kCount));
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(8);
  config.blockDim = dim3(128);
  config.attrs = &attribute;
  config.numAttrs = 1;
  const int* in_pointer = middle.data();
  int* out_pointer = out.data();
  int count = kCount;
  void* arguments[] = {&in_pointer, &out_pointer, &count};
  ASSERT_CUDA(cudaLaunchKernelExC(&config, symbol(dependent_consumer), arguments));
  expect_device_is_fine();
  const std::vector<int> result = out.download();
  for (int i = 0; i < kCount; ++i) {
    ASSERT_EQ(3 * (kCount - 1 - i) + 1, result[static_cast<size_t>(i)]);
  }
}

TEST(LaunchLimits, WrongShapesAreRefused) {
  const DeviceBuffer<int> out(4);
  const auto try_launch = [&](dim3 grid, dim3 block, size_t shared_bytes) {
    const cudaError_t status =
        launch(use_shared_memory, {grid, block, shared_bytes, nullptr}, out.data(), 4);
    cudaGetLastError();
    return status;
  };
  EXPECT_EQ(cudaSuccess, try_launch(1, 1024, 16));
  EXPECT_EQ(cudaErrorInvalidConfiguration, try_launch(1, 1025, 16));
  EXPECT_EQ(cudaErrorInvalidConfiguration, try_launch(0, 32, 16));
  EXPECT_EQ(cudaErrorInvalidConfiguration, try_launch(dim3(1, 70000), 32, 16));
  EXPECT_EQ(cudaErrorInvalidConfiguration, try_launch(1, dim3(1, 1, 65), 16));
  // More than 48 KB must be asked for.
  EXPECT_EQ(cudaErrorInvalidValue, try_launch(1, 32, 64 << 10));
  expect_device_is_fine();
}

TEST(LaunchLimits, SharedMemoryIsOptedInto) {
  const int limit = attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin);
  EXPECT_EQ(232448, limit);
  const DeviceBuffer<int> out(1);
  EXPECT_EQ(cudaErrorInvalidValue,
            cudaFuncSetAttribute(symbol(use_shared_memory),
                                 cudaFuncAttributeMaxDynamicSharedMemorySize, limit + 1));
  cudaGetLastError();
  ASSERT_CUDA(cudaFuncSetAttribute(symbol(use_shared_memory),
                                   cudaFuncAttributeMaxDynamicSharedMemorySize, limit));
  ASSERT_CUDA(launch(use_shared_memory, {.shared_bytes = static_cast<size_t>(limit)}, out.data(),
                     limit / 4));
  expect_device_is_fine();
  EXPECT_EQ(limit / 4 - 1, out.download()[0]);
  cudaFuncAttributes attributes{};
  ASSERT_CUDA(cudaFuncGetAttributes(&attributes, symbol(use_shared_memory)));
  EXPECT_EQ(limit, attributes.maxDynamicSharedSizeBytes);
  EXPECT_EQ(1024, attributes.maxThreadsPerBlock);
  ASSERT_CUDA(cudaFuncSetAttribute(symbol(use_shared_memory),
                                   cudaFuncAttributeMaxDynamicSharedMemorySize, 48 << 10));
}

TEST(LaunchLimits, GridsMustBeWholeClusters) {
  const DeviceBuffer<uint32_t> out(16);
  EXPECT_NE(cudaSuccess, launch(cluster_addresses, {.grid = kClusterCtas + 1}, out.data()));
  cudaGetLastError();
  expect_device_is_fine();
}

TEST(LaunchLimits, UnknownFunctionsAreRefused) {
  const int not_a_kernel = 0;
  void* arguments[] = {nullptr};
  EXPECT_EQ(cudaErrorInvalidDeviceFunction,
            cudaLaunchKernel(&not_a_kernel, dim3(1), dim3(32), arguments, 0, nullptr));
  EXPECT_EQ(cudaErrorInvalidDeviceFunction, cudaGetLastError());
}

TEST(LaunchLimits, LaunchBoundsAreKept) {
  const DeviceBuffer<uint32_t> out(512);
  cudaFuncAttributes attributes{};
  ASSERT_CUDA(cudaFuncGetAttributes(&attributes, symbol(kWgmmaVariants[0].kernel)));
  EXPECT_EQ(128, attributes.maxThreadsPerBlock);
  EXPECT_NE(cudaSuccess, launch(kWgmmaVariants[0].kernel, {.block = 256}, WgmmaArguments{}));
  cudaGetLastError();
}

TEST(Occupancy, IsLimitedByThreadsAndSharedMemory) {
  const auto ctas = [](int threads, size_t shared_bytes) {
    int count = -1;
    EXPECT_CUDA(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&count, symbol(use_shared_memory),
                                                              threads, shared_bytes));
    return count;
  };
  EXPECT_EQ(2048 / 1024, ctas(1024, 0));
  EXPECT_EQ(32, ctas(32, 0));
  // 228 KB per multiprocessor; a CTA also takes 1 KB for the system.
  EXPECT_EQ(4, ctas(32, 48 << 10));
}

TEST(Occupancy, CountsClusters) {
  cudaLaunchAttribute attributes[1] = {};
  attributes[0].id = cudaLaunchAttributeClusterDimension;
  attributes[0].val.clusterDim.x = 2;
  attributes[0].val.clusterDim.y = 1;
  attributes[0].val.clusterDim.z = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(64);
  config.blockDim = dim3(128);
  config.attrs = attributes;
  config.numAttrs = 1;
  int clusters = 0;
  ASSERT_CUDA(
      cudaOccupancyMaxActiveClusters(&clusters, symbol(cluster_special_registers), &config));
  EXPECT_GE(clusters, attribute(cudaDevAttrMultiProcessorCount) / 2);
  int size = 0;
  ASSERT_CUDA(
      cudaOccupancyMaxPotentialClusterSize(&size, symbol(cluster_special_registers), &config));
  EXPECT_EQ(8, size);
}

TEST(Device, DescribesAHopperGpu) {
  int count = 0;
  ASSERT_CUDA(cudaGetDeviceCount(&count));
  EXPECT_GE(count, 1);
  ASSERT_CUDA(cudaSetDevice(0));
  int current = -1;
  ASSERT_CUDA(cudaGetDevice(&current));
  EXPECT_EQ(0, current);
  EXPECT_EQ(cudaErrorInvalidDevice, cudaSetDevice(count));
  cudaGetLastError();
  cudaDeviceProp properties{};
  ASSERT_CUDA(cudaGetDeviceProperties(&properties, 0));
  EXPECT_EQ(9, properties.major);
  EXPECT_EQ(0, properties.minor);
  EXPECT_EQ(32, properties.warpSize);
  EXPECT_EQ(properties.multiProcessorCount, attribute(cudaDevAttrMultiProcessorCount));
  EXPECT_GE(properties.multiProcessorCount, 100);
  EXPECT_EQ(232448u, properties.sharedMemPerBlockOptin);
  EXPECT_EQ(49152u, properties.sharedMemPerBlock);
  EXPECT_EQ(233472u, properties.sharedMemPerMultiprocessor);
  EXPECT_EQ(1024, properties.maxThreadsPerBlock);
  EXPECT_EQ(2048, properties.maxThreadsPerMultiProcessor);
  EXPECT_EQ(65536, properties.regsPerMultiprocessor);
  EXPECT_EQ(1, attribute(cudaDevAttrCooperativeLaunch));
  EXPECT_EQ(9, attribute(cudaDevAttrComputeCapabilityMajor));
  int version = 0;
  ASSERT_CUDA(cudaRuntimeGetVersion(&version));
  EXPECT_GE(version, 13000);
  ASSERT_CUDA(cudaDriverGetVersion(&version));
  EXPECT_GE(version, 13000);
}

TEST(Errors, HaveNamesAndStick) {
  EXPECT_STREQ("cudaErrorInvalidValue", cudaGetErrorName(cudaErrorInvalidValue));
  EXPECT_STREQ("invalid argument", cudaGetErrorString(cudaErrorInvalidValue));
  EXPECT_STREQ("no error", cudaGetErrorString(cudaSuccess));
  EXPECT_EQ(cudaErrorInvalidValue, cudaMemcpy(nullptr, nullptr, 4, cudaMemcpyHostToDevice));
  EXPECT_EQ(cudaErrorInvalidValue, cudaPeekAtLastError());
  EXPECT_EQ(cudaErrorInvalidValue, cudaGetLastError());
  EXPECT_EQ(cudaSuccess, cudaGetLastError());
}

}  // namespace
}  // namespace emulator_tests
