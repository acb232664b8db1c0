// A barrier of 64 threads that only 32 ever reach.
#include "ptx.cuh"

namespace gallery::deadlock {
namespace {

template <Variant variant>
__global__ void wait_for_all(int* out) {
  if (variant == Variant::kMended || threadIdx.x < 32)
    asm volatile("barrier.sync.aligned 1, 64;" ::: "memory");
  out[threadIdx.x] = 1;
}

void run(Variant variant) {
  DeviceArray<int> out(64);
  const auto kernel =
      variant == Variant::kBroken ? wait_for_all<Variant::kBroken> : wait_for_all<Variant::kMended>;
  kernel<<<1, 64>>>(out.data);
  cudaDeviceSynchronize();
}

const Register exhibit("deadlock", "deadlock", run);

}  // namespace
}  // namespace gallery::deadlock
