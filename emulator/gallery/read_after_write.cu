// A thread reads the word of its neighbour.
#include "ptx.cuh"

namespace gallery::read_after_write {
namespace {

template <Variant variant>
__global__ void rotate(int* out) {
  __shared__ int words[128];
  words[threadIdx.x] = static_cast<int>(threadIdx.x);
  if (variant == Variant::kMended) __syncthreads();
  out[threadIdx.x] = words[(threadIdx.x + 32) % 128];
}

void run(Variant variant) {
  DeviceArray<int> out(128);
  (variant == Variant::kBroken ? rotate<Variant::kBroken>
                               : rotate<Variant::kMended>)<<<1, 128>>>(out.data);
  cudaDeviceSynchronize();
}

const Register exhibit("read-after-write", "read-after-write", run);

}  // namespace
}  // namespace gallery::read_after_write
