// Two exhibits: a bulk load that only one thread waits for, and cp.async whose data others read
// without a barrier.
#include "ptx.cuh"

namespace gallery::async_not_awaited {
namespace {

template <Variant variant>
__global__ void bulk(const int* in, int* out) {
  __shared__ alignas(128) int tile[64];
  __shared__ uint64_t full;
  if (threadIdx.x == 0) {
    mbarrier_init(&full, 1);
    fence_mbarrier_init();
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    mbarrier_expect(&full, sizeof tile);
    bulk_load(tile, in, sizeof tile, &full);
    mbarrier_wait(&full, 0);
  }
  if (variant == Variant::kMended) mbarrier_wait(&full, 0);
  out[threadIdx.x] = tile[threadIdx.x];
}

template <Variant variant>
__global__ void cp_async(const int* in, int* out) {
  __shared__ alignas(128) int tile[256];
  copy_async(tile + 4 * threadIdx.x, in + 4 * threadIdx.x);
  copy_commit();
  if (variant == Variant::kMended) copy_wait();
  __syncthreads();
  out[threadIdx.x] = tile[64 + threadIdx.x];
  copy_wait();
}

void run_bulk(Variant variant) {
  DeviceArray<int> in(64), out(64);
  (variant == Variant::kBroken ? bulk<Variant::kBroken> : bulk<Variant::kMended>)<<<1, 64>>>(
      in.data, out.data);
  cudaDeviceSynchronize();
}

void run_cp_async(Variant variant) {
  DeviceArray<int> in(256), out(64);
  const auto kernel =
      variant == Variant::kBroken ? cp_async<Variant::kBroken> : cp_async<Variant::kMended>;
  kernel<<<1, 64>>>(in.data, out.data);
  cudaDeviceSynchronize();
}

const Register with_bulk("async-not-awaited", "async-not-awaited", run_bulk);
const Register with_cp_async("async-not-awaited-cp-async", "async-not-awaited", run_cp_async);

}  // namespace
}  // namespace gallery::async_not_awaited
