// A pipeline of one stage waits for the parity of the load before.
#include "ptx.cuh"

namespace gallery::mbarrier_phase {
namespace {

template <Variant variant>
__global__ void load_tiles(const int* in, int* out) {
  __shared__ alignas(128) int tile[64];
  __shared__ uint64_t full;
  if (threadIdx.x == 0) {
    mbarrier_init(&full, 1);
    fence_mbarrier_init();
  }
  __syncthreads();
  int sum = 0;
  for (int i = 0; i < 2; ++i) {
    if (threadIdx.x == 0) {
      mbarrier_expect(&full, sizeof tile);
      bulk_load(tile, in + 64 * i, sizeof tile, &full);
    }
    __syncthreads();
    mbarrier_wait(&full, variant == Variant::kMended ? i % 2 : 0);
    sum += tile[threadIdx.x];
    __syncthreads();
  }
  mbarrier_wait(&full, 1);
  out[threadIdx.x] = sum;
}

void run(Variant variant) {
  DeviceArray<int> in(128), out(64);
  const auto kernel =
      variant == Variant::kBroken ? load_tiles<Variant::kBroken> : load_tiles<Variant::kMended>;
  kernel<<<1, 64>>>(in.data, out.data);
  cudaDeviceSynchronize();
}

const Register exhibit("mbarrier-phase", "mbarrier-phase", run);

}  // namespace
}  // namespace gallery::mbarrier_phase
