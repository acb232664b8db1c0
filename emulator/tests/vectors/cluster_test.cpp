// Thread block clusters.
#include <gtest/gtest.h>

#include <cstring>

#include "support/cluster_case.hpp"
#include "support/device_buffer.hpp"

namespace emulator_tests {
namespace {

template <class... Parameters, class... Arguments>
cudaError_t launch_cluster(void (*kernel)(Parameters...), const LaunchShape& shape, dim3 cluster,
                           Arguments... arguments) {
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim.x = cluster.x;
  attribute.val.clusterDim.y = cluster.y;
  attribute.val.clusterDim.z = cluster.z;
  cudaLaunchConfig_t config{};
  config.gridDim = shape.grid;
  config.blockDim = shape.block;
  config.dynamicSmemBytes = shape.shared_bytes;
  config.attrs = &attribute;
  config.numAttrs = 1;
  void* pointers[] = {&arguments...};
  return cudaLaunchKernelExC(&config, reinterpret_cast<const void*>(kernel), pointers);
}

TEST(Cluster, SpecialRegistersFollowTheLaunch) {
  const dim3 grid(6, 4);
  const dim3 cluster(3, 2);
  const DeviceBuffer<ClusterView> out(24);
  ASSERT_CUDA(launch_cluster(cluster_special_registers, {.grid = grid}, cluster, out.data()));
  expect_device_is_fine();
  const std::vector<ClusterView> views = out.download();
  for (uint32_t y = 0; y < grid.y; ++y) {
    for (uint32_t x = 0; x < grid.x; ++x) {
      const ClusterView expected{
          x % 3 + y % 2 * 3, 6, {x % 3, y % 2, 0}, {3, 2, 1}, {x / 3, y / 2, 0}, {2, 2, 1}, 1};
      EXPECT_EQ(0, std::memcmp(&expected, &views[y * grid.x + x], sizeof expected))
          << "CTA " << x << ", " << y;
    }
  }
}

class ClusterRing : public testing::TestWithParam<int> {};

TEST_P(ClusterRing, EveryWordArrivesNextDoor) {
  const DeviceBuffer<uint32_t> out(kClusterCtas * kClusterThreads);
  ASSERT_CUDA(launch(cluster_ring, {.grid = kClusterCtas, .block = kClusterThreads},
                     static_cast<RingTransport>(GetParam()), out.data()));
  expect_device_is_fine();
  const std::vector<uint32_t> words = out.download();
  for (uint32_t cta = 0; cta < kClusterCtas; ++cta) {
    const uint32_t previous = (cta + kClusterCtas - 1) % kClusterCtas;
    for (uint32_t thread = 0; thread < kClusterThreads; ++thread) {
      ASSERT_EQ(1000 * previous + thread, words[cta * kClusterThreads + thread])
          << "CTA " << cta << " thread " << thread;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Cluster, ClusterRing,
                         testing::Range(0, static_cast<int>(RingTransport::kCount)));

TEST(Cluster, BulkMulticastReachesTheMaskOnly) {
  constexpr uint32_t kBytes = 256;
  constexpr uint16_t kMask = 0b1101;
  std::vector<uint8_t> bytes(kBytes);
  for (uint32_t i = 0; i < kBytes; ++i) bytes[i] = static_cast<uint8_t>(i + 1);
  const DeviceBuffer<uint8_t> in(bytes);
  const DeviceBuffer<uint8_t> out(kClusterCtas * kBytes);
  ASSERT_CUDA(launch(cluster_bulk_multicast,
                     {.grid = kClusterCtas, .block = 64, .shared_bytes = kBytes}, in.data(),
                     out.data(), kBytes, kMask));
  expect_device_is_fine();
  const std::vector<uint8_t> result = out.download();
  for (uint32_t cta = 0; cta < kClusterCtas; ++cta) {
    for (uint32_t i = 0; i < kBytes; ++i) {
      ASSERT_EQ(kMask >> cta & 1 ? bytes[i] : 0, result[cta * kBytes + i]) << cta << ' ' << i;
    }
  }
}

TEST(Cluster, BarrierSeparatesRounds) {
  constexpr int kRounds = 5;
  const DeviceBuffer<uint32_t> out(2 * kClusterCtas);
  ASSERT_CUDA(
      launch(cluster_barrier_rounds, {.grid = 2 * kClusterCtas, .block = 96}, out.data(), kRounds));
  expect_device_is_fine();
  uint32_t value[kClusterCtas] = {1, 2, 3, 4};
  for (int round = 0; round < kRounds; ++round) {
    uint32_t sum = 0;
    for (uint32_t i = 0; i < kClusterCtas; ++i) sum += value[i] * (i + 1);
    for (uint32_t& v : value) v = sum;
  }
  const std::vector<uint32_t> result = out.download();
  for (uint32_t cta = 0; cta < 2 * kClusterCtas; ++cta) {
    EXPECT_EQ(value[cta % kClusterCtas], result[cta]);
  }
}

TEST(Cluster, AddressesTellTheirCta) {
  const DeviceBuffer<uint32_t> out(kClusterCtas);
  ASSERT_CUDA(launch(cluster_addresses, {.grid = kClusterCtas}, out.data()));
  expect_device_is_fine();
  const std::vector<uint32_t> result = out.download();
  for (uint32_t cta = 0; cta < kClusterCtas; ++cta) {
    const uint32_t next = (cta + 1) % kClusterCtas;
    EXPECT_EQ(next * 110 + 1, result[cta]);
  }
}

}  // namespace
}  // namespace emulator_tests
