// One warp arrives at an mbarrier that another initialises, and nothing orders the two.
#include "ptx.cuh"

namespace gallery::mbarrier_init_order {
namespace {

template <Variant variant>
__global__ void meet(int* out) {
  __shared__ uint64_t bar;
  __shared__ int word;
  if (threadIdx.x == 0) mbarrier_init(&bar, 1);
  if (variant == Variant::kMended)
    __syncthreads();
  else
    __syncwarp();
  if (threadIdx.x == 0) {
    word = 1;
    mbarrier_arrive(&bar);
  }
  if (threadIdx.x == 32) {
    // Late enough for the initialisation to be seen, by luck.
    for (int i = 0; i < 100; ++i) __nanosleep(100);
    mbarrier_wait(&bar, 0);
    *out = word;
  }
}

void run(Variant variant) {
  DeviceArray<int> out(1);
  (variant == Variant::kBroken ? meet<Variant::kBroken>
                               : meet<Variant::kMended>)<<<1, 64>>>(out.data);
  cudaDeviceSynchronize();
}

const Register exhibit("mbarrier-init", "mbarrier-init", run);

}  // namespace
}  // namespace gallery::mbarrier_init_order
