// Two warps meet at a named barrier and disagree on how many threads it has.
#include "ptx.cuh"

namespace gallery::barrier {
namespace {

template <Variant variant>
__global__ void meet(int* out) {
  const int threads = variant == Variant::kMended || threadIdx.x < 32 ? 64 : 96;
  asm volatile("barrier.sync.aligned 1, %0;" ::"r"(threads) : "memory");
  out[threadIdx.x] = threads;
}

void run(Variant variant) {
  DeviceArray<int> out(64);
  (variant == Variant::kBroken ? meet<Variant::kBroken>
                               : meet<Variant::kMended>)<<<1, 64>>>(out.data);
  cudaDeviceSynchronize();
}

const Register exhibit("barrier", "barrier", run);

}  // namespace
}  // namespace gallery::barrier
