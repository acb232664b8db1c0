// Three exhibits: an index one too large, a pointer to freed memory, an address that is not a
// multiple of the size.
#include "ptx.cuh"

namespace gallery::addresses {
namespace {

__global__ void fill(int* out, int n) {
  if (static_cast<int>(threadIdx.x) < n) out[threadIdx.x] = 1;
}

__global__ void store_pair(char* out) { *reinterpret_cast<int2*>(out) = int2{1, 2}; }

void run_bounds(Variant variant) {
  DeviceArray<int> out(32);
  fill<<<1, 64>>>(out.data, variant == Variant::kBroken ? 33 : 32);
  cudaDeviceSynchronize();
}

void run_freed(Variant variant) {
  int* out = nullptr;
  cudaMalloc(reinterpret_cast<void**>(&out), 128);
  if (variant == Variant::kBroken) cudaFree(out);
  fill<<<1, 32>>>(out, 32);
  cudaDeviceSynchronize();
  if (variant == Variant::kMended) cudaFree(out);
}

void run_misaligned(Variant variant) {
  DeviceArray<char> out(16);
  store_pair<<<1, 1>>>(out.data + (variant == Variant::kBroken ? 4 : 8));
  cudaDeviceSynchronize();
}

const Register bounds("out-of-bounds", "out-of-bounds", run_bounds);
const Register freed("use-after-free", "use-after-free", run_freed);
const Register misaligned("misaligned", "misaligned", run_misaligned);

}  // namespace
}  // namespace gallery::addresses
