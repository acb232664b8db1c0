// Two exhibits: the CTA exits while a bulk store reads its shared memory, or while a bulk load
// writes to it.
#include "ptx.cuh"

namespace gallery::exit_in_flight {
namespace {

template <Variant variant>
__global__ void store_tile(int* out) {
  __shared__ alignas(128) int tile[32];
  tile[threadIdx.x] = 1;
  fence_proxy_async();
  __syncwarp();
  if (threadIdx.x == 0) {
    bulk_store(out, tile, sizeof tile);
    bulk_commit();
    if (variant == Variant::kMended) bulk_wait_read();
  }
}

template <Variant variant>
__global__ void load_tile(const int* in) {
  __shared__ alignas(128) int tile[32];
  __shared__ uint64_t full;
  if (threadIdx.x != 0) return;
  mbarrier_init(&full, 1);
  fence_mbarrier_init();
  mbarrier_expect(&full, sizeof tile);
  bulk_load(tile, in, sizeof tile, &full);
  if (variant == Variant::kMended) mbarrier_wait(&full, 0);
}

void run_store(Variant variant) {
  DeviceArray<int> out(32);
  const auto kernel =
      variant == Variant::kBroken ? store_tile<Variant::kBroken> : store_tile<Variant::kMended>;
  kernel<<<1, 32>>>(out.data);
  cudaDeviceSynchronize();
}

void run_load(Variant variant) {
  DeviceArray<int> in(32);
  const auto kernel =
      variant == Variant::kBroken ? load_tile<Variant::kBroken> : load_tile<Variant::kMended>;
  kernel<<<1, 32>>>(in.data);
  cudaDeviceSynchronize();
}

const Register with_store("exit-in-flight", "exit-in-flight", run_store);
const Register with_load("exit-in-flight-load", "exit-in-flight", run_load);

}  // namespace
}  // namespace gallery::exit_in_flight
