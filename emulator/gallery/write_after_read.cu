// A buffer is refilled while other warps may still read it.
#include "ptx.cuh"

namespace gallery::write_after_read {
namespace {

template <Variant variant>
__global__ void reuse(int* out) {
  __shared__ int words[64];
  int sum = 0;
  for (int round = 0; round < 2; ++round) {
    words[threadIdx.x] = round;
    __syncthreads();
    sum += words[(threadIdx.x + 32) % 64];
    if (variant == Variant::kMended) __syncthreads();
  }
  out[threadIdx.x] = sum;
}

void run(Variant variant) {
  DeviceArray<int> out(64);
  (variant == Variant::kBroken ? reuse<Variant::kBroken>
                               : reuse<Variant::kMended>)<<<1, 64>>>(out.data);
  cudaDeviceSynchronize();
}

const Register exhibit("write-after-read", "write-after-read", run);

}  // namespace
}  // namespace gallery::write_after_read
