// Lanes of one warp exchange through shared memory. They run in step here and on most hardware, but
// only __syncwarp promises it.
#include "ptx.cuh"

namespace gallery::read_after_write_warp {
namespace {

template <Variant variant>
__global__ void rotate(int* out) {
  __shared__ int words[32];
  words[threadIdx.x] = static_cast<int>(threadIdx.x);
  if (variant == Variant::kMended) __syncwarp();
  out[threadIdx.x] = words[(threadIdx.x + 1) % 32];
}

void run(Variant variant) {
  DeviceArray<int> out(32);
  (variant == Variant::kBroken ? rotate<Variant::kBroken>
                               : rotate<Variant::kMended>)<<<1, 32>>>(out.data);
  cudaDeviceSynchronize();
}

const Register exhibit("read-after-write-warp", "read-after-write", run);

}  // namespace
}  // namespace gallery::read_after_write_warp
