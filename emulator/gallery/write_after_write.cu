// Two warps write one word.
#include "ptx.cuh"

namespace gallery::write_after_write {
namespace {

template <Variant variant>
__global__ void last_one_wins(int* out) {
  __shared__ int word;
  if (threadIdx.x == 0) word = 1;
  if (variant == Variant::kMended) __syncthreads();
  if (threadIdx.x == 32) word = 2;
  __syncthreads();
  out[threadIdx.x] = word;
}

void run(Variant variant) {
  DeviceArray<int> out(64);
  const auto kernel = variant == Variant::kBroken ? last_one_wins<Variant::kBroken>
                                                  : last_one_wins<Variant::kMended>;
  kernel<<<1, 64>>>(out.data);
  cudaDeviceSynchronize();
}

const Register exhibit("write-after-write", "write-after-write", run);

}  // namespace
}  // namespace gallery::write_after_write
