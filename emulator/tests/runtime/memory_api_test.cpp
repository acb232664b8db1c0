// Memory calls of the runtime.
#include <gtest/gtest.h>

#include <numeric>

#include "support/device_buffer.hpp"
#include "support/runtime_case.hpp"

namespace emulator_tests {
namespace {

std::vector<int> counting(size_t count, int first) {
  std::vector<int> values(count);
  std::iota(values.begin(), values.end(), first);
  return values;
}

TEST(MemoryApi, CopiesInEveryDirection) {
  const std::vector<int> values = counting(1000, 5);
  const DeviceBuffer<int> a(values);
  const DeviceBuffer<int> b(1000);
  ASSERT_CUDA(cudaMemcpy(b.data(), a.data(), 4000, cudaMemcpyDeviceToDevice));
  EXPECT_EQ(values, b.download());
  std::vector<int> host(1000);
  ASSERT_CUDA(cudaMemcpy(host.data(), a.data(), 4000, cudaMemcpyDefault));
  EXPECT_EQ(values, host);
  ASSERT_CUDA(cudaMemcpyAsync(host.data() + 1, b.data(), 400, cudaMemcpyDeviceToHost, nullptr));
  ASSERT_CUDA(cudaStreamSynchronize(nullptr));
  EXPECT_EQ(values[0], host[1]);
}

TEST(MemoryApi, CopiesRectangles) {
  const std::vector<int> values = counting(12 * 10, 0);
  const DeviceBuffer<int> device(std::vector<int>(16 * 10, -1));
  ASSERT_CUDA(cudaMemcpy2D(device.data(), 16 * 4, values.data(), 12 * 4, 12 * 4, 10,
                           cudaMemcpyHostToDevice));
  const std::vector<int> result = device.download();
  for (int y = 0; y < 10; ++y) {
    for (int x = 0; x < 16; ++x) EXPECT_EQ(x < 12 ? y * 12 + x : -1, result[y * 16 + x]);
  }
}

TEST(MemoryApi, SetsBytes) {
  const DeviceBuffer<int> device(64);
  ASSERT_CUDA(cudaMemset(device.data(), 0x21, 256));
  ASSERT_CUDA(cudaMemsetAsync(device.data() + 8, 0, 32, nullptr));
  ASSERT_CUDA(cudaMemset2D(device.data() + 32, 32, 0x11, 4, 4));
  const std::vector<int> result = device.download();
  for (int i = 0; i < 64; ++i) {
    const bool zeroed = i >= 8 && i < 16;
    const bool rectangle = i >= 32 && i % 8 == 0;
    EXPECT_EQ(zeroed ? 0 : rectangle ? 0x11111111 : 0x21212121, result[i]) << i;
  }
}

TEST(MemoryApi, AllocatesInStreamOrder) {
  cudaStream_t stream;
  ASSERT_CUDA(cudaStreamCreate(&stream));
  int* data = nullptr;
  ASSERT_CUDA(cudaMallocAsync(reinterpret_cast<void**>(&data), 4000, stream));
  ASSERT_CUDA(launch(fill, {.grid = 10, .block = 100, .stream = stream}, data, 3, 1000));
  std::vector<int> host(1000);
  ASSERT_CUDA(cudaMemcpyAsync(host.data(), data, 4000, cudaMemcpyDeviceToHost, stream));
  ASSERT_CUDA(cudaFreeAsync(data, stream));
  ASSERT_CUDA(cudaStreamSynchronize(stream));
  EXPECT_EQ(counting(1000, 3), host);
  ASSERT_CUDA(cudaStreamDestroy(stream));
}

TEST(MemoryApi, AllocatesHostMemory) {
  int* pinned = nullptr;
  ASSERT_CUDA(cudaHostAlloc(reinterpret_cast<void**>(&pinned), 400, cudaHostAllocDefault));
  pinned[99] = 7;
  const DeviceBuffer<int> device(100);
  ASSERT_CUDA(cudaMemcpyAsync(device.data(), pinned, 400, cudaMemcpyHostToDevice, nullptr));
  EXPECT_EQ(7, device.download()[99]);
  ASSERT_CUDA(cudaFreeHost(pinned));
  ASSERT_CUDA(cudaMallocHost(reinterpret_cast<void**>(&pinned), 64));
  ASSERT_CUDA(cudaFreeHost(pinned));
}

TEST(MemoryApi, TellsWhatAPointerIs) {
  const DeviceBuffer<int> device(100);
  cudaPointerAttributes attributes{};
  ASSERT_CUDA(cudaPointerGetAttributes(&attributes, device.data() + 50));
  EXPECT_EQ(cudaMemoryTypeDevice, attributes.type);
  EXPECT_EQ(0, attributes.device);
  int local = 0;
  ASSERT_CUDA(cudaPointerGetAttributes(&attributes, &local));
  EXPECT_EQ(cudaMemoryTypeUnregistered, attributes.type);
}

TEST(MemoryApi, CountsFreeMemory) {
  size_t free_before = 0;
  size_t total = 0;
  ASSERT_CUDA(cudaMemGetInfo(&free_before, &total));
  EXPECT_LE(free_before, total);
  EXPECT_GE(total, size_t{1} << 30);
  const DeviceBuffer<uint8_t> large(64 << 20);
  size_t free_after = 0;
  ASSERT_CUDA(cudaMemGetInfo(&free_after, &total));
  EXPECT_LE(free_after + (64 << 20), free_before + (2 << 20));
}

TEST(MemoryApi, RejectsWrongCalls) {
  void* data = nullptr;
  EXPECT_EQ(cudaErrorMemoryAllocation, cudaMalloc(&data, size_t{1} << 46));
  EXPECT_EQ(cudaErrorMemoryAllocation, cudaGetLastError());
  EXPECT_EQ(cudaSuccess, cudaGetLastError());
  int local = 0;
  EXPECT_EQ(cudaErrorInvalidValue, cudaFree(&local));
  EXPECT_EQ(cudaSuccess, cudaFree(nullptr));
  cudaGetLastError();
}

TEST(MemoryApi, ReachesModuleVariablesBySymbol) {
  const int values[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  ASSERT_CUDA(copy_to_symbols(values, 1000));
  const DeviceBuffer<int> out(1);
  ASSERT_CUDA(launch(write_symbol_sum, {.block = 1}, out.data()));
  EXPECT_EQ(1000 + 204, out.download()[0]);
  int symbol = 0;
  ASSERT_CUDA(copy_from_symbol(&symbol));
  EXPECT_EQ(1205, symbol);
  void* address = nullptr;
  size_t bytes = 0;
  ASSERT_CUDA(address_of_symbol(&address, &bytes));
  EXPECT_EQ(32u, bytes);
  int first = 0;
  ASSERT_CUDA(cudaMemcpy(&first, address, 4, cudaMemcpyDeviceToHost));
  EXPECT_EQ(1, first);
}

}  // namespace
}  // namespace emulator_tests
