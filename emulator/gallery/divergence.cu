// The two halves of a warp execute different instructions that are both meant for the whole warp.
#include "ptx.cuh"

namespace gallery::divergence {
namespace {

template <Variant variant>
__global__ void half_a_barrier(int* out) {
  const bool first_half = variant == Variant::kMended || threadIdx.x < 16;
  if (first_half)
    asm volatile("barrier.sync.aligned 1, 32;" ::: "memory");
  else
    asm volatile("barrier.sync.aligned 2, 32;" ::: "memory");
  out[threadIdx.x] = 1;
}

void run(Variant variant) {
  DeviceArray<int> out(32);
  const auto kernel = variant == Variant::kBroken ? half_a_barrier<Variant::kBroken>
                                                  : half_a_barrier<Variant::kMended>;
  kernel<<<1, 32>>>(out.data);
  cudaDeviceSynchronize();
}

const Register exhibit("divergence", "divergence", run);

}  // namespace
}  // namespace gallery::divergence
