// A module with two instructions outside of what the emulator knows: loading it must fail and name
// both. Prints what the first launch returns.
#include <cstdio>

__global__ void strange(unsigned* out) {
  unsigned a = out[0];
  asm volatile("vset4.u32.u32.eq %0, %1, %2, %3;" : "=r"(a) : "r"(a), "r"(7u), "r"(0u));
  asm volatile("vabsdiff4.u32.u32.u32.add %0, %1, %2, %3;" : "=r"(a) : "r"(a), "r"(9u), "r"(1u));
  out[0] = a;
}

int main() {
  unsigned* out = nullptr;
  cudaMalloc(&out, 4);
  strange<<<1, 1>>>(out);
  const cudaError_t status = cudaGetLastError();
  std::printf("launch: %s\n", cudaGetErrorName(status));
  return status == cudaSuccess ? 1 : 0;
}
