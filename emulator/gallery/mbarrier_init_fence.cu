// The async proxy signals an mbarrier whose initialisation it may not see yet.
#include "ptx.cuh"

namespace gallery::mbarrier_init_fence {
namespace {

template <Variant variant>
__global__ void load_tile(const int* in, int* out) {
  __shared__ alignas(128) int tile[64];
  __shared__ uint64_t full;
  if (threadIdx.x == 0) {
    mbarrier_init(&full, 1);
    if (variant == Variant::kMended) fence_mbarrier_init();
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    mbarrier_expect(&full, sizeof tile);
    bulk_load(tile, in, sizeof tile, &full);
  }
  mbarrier_wait(&full, 0);
  out[threadIdx.x] = tile[threadIdx.x];
}

void run(Variant variant) {
  DeviceArray<int> in(64), out(64);
  const auto kernel =
      variant == Variant::kBroken ? load_tile<Variant::kBroken> : load_tile<Variant::kMended>;
  kernel<<<1, 64>>>(in.data, out.data);
  cudaDeviceSynchronize();
}

const Register exhibit("mbarrier-init-fence", "mbarrier-init-fence", run);

}  // namespace
}  // namespace gallery::mbarrier_init_fence
