// A tile is written with ordinary stores, then a bulk copy sends it to global memory.
#include "ptx.cuh"

namespace gallery::proxy_fence {
namespace {

template <Variant variant>
__global__ void store_tile(int* out) {
  __shared__ alignas(128) int tile[64];
  tile[threadIdx.x] = static_cast<int>(threadIdx.x);
  if (variant == Variant::kMended) fence_proxy_async();
  __syncthreads();
  if (threadIdx.x == 0) {
    bulk_store(out, tile, sizeof tile);
    bulk_commit();
    bulk_wait_read();
  }
}

void run(Variant variant) {
  DeviceArray<int> out(64);
  const auto kernel =
      variant == Variant::kBroken ? store_tile<Variant::kBroken> : store_tile<Variant::kMended>;
  kernel<<<1, 64>>>(out.data);
  cudaDeviceSynchronize();
}

const Register exhibit("proxy-fence", "proxy-fence", run);

}  // namespace
}  // namespace gallery::proxy_fence
