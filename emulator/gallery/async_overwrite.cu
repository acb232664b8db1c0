// The staging buffer of a bulk store is refilled before the store has read it.
#include "ptx.cuh"

namespace gallery::async_overwrite {
namespace {

template <Variant variant>
__global__ void store_tiles(int* out) {
  __shared__ alignas(128) int tile[64];
  for (int i = 0; i < 2; ++i) {
    tile[threadIdx.x] = i;
    fence_proxy_async();
    __syncthreads();
    if (threadIdx.x == 0) {
      bulk_store(out + 64 * i, tile, sizeof tile);
      bulk_commit();
      if (variant == Variant::kMended || i == 1) bulk_wait_read();
    }
    __syncthreads();
  }
}

void run(Variant variant) {
  DeviceArray<int> out(128);
  const auto kernel =
      variant == Variant::kBroken ? store_tiles<Variant::kBroken> : store_tiles<Variant::kMended>;
  kernel<<<1, 64>>>(out.data);
  cudaDeviceSynchronize();
}

const Register exhibit("async-overwrite", "async-overwrite", run);

}  // namespace
}  // namespace gallery::async_overwrite
