// Two exhibits: shared memory of which only a part was written, and global memory that nobody
// wrote.
#include "ptx.cuh"

namespace gallery::uninitialised {
namespace {

template <Variant variant>
__global__ void shared_sum(int* out) {
  __shared__ int words[64];
  if (variant == Variant::kMended || threadIdx.x < 60) words[threadIdx.x] = 1;
  __syncthreads();
  out[threadIdx.x] = words[63 - threadIdx.x];
}

__global__ void copy(const int* in, int* out) { out[threadIdx.x] = in[threadIdx.x]; }

void run_shared(Variant variant) {
  DeviceArray<int> out(64);
  const auto kernel =
      variant == Variant::kBroken ? shared_sum<Variant::kBroken> : shared_sum<Variant::kMended>;
  kernel<<<1, 64>>>(out.data);
  cudaDeviceSynchronize();
}

void run_global(Variant variant) {
  using Fill = DeviceArray<int>::Fill;
  DeviceArray<int> in(32, variant == Variant::kBroken ? Fill::kNothing : Fill::kZero), out(32);
  copy<<<1, 32>>>(in.data, out.data);
  cudaDeviceSynchronize();
}

const Register in_shared("uninitialised-shared", "uninitialised-shared", run_shared);
const Register in_global("uninitialised-global", "uninitialised-global", run_global);

}  // namespace
}  // namespace gallery::uninitialised
