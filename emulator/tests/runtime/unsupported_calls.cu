// Recursion and calls through pointers are outside of what the emulator runs: loading the module
// must fail and name both.
#include <cstdio>

__device__ __noinline__ unsigned fibonacci(unsigned n) {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}
__device__ __noinline__ unsigned doubled(unsigned x) { return 2 * x; }
__device__ __noinline__ unsigned squared(unsigned x) { return x * x; }

__global__ void calls(unsigned* out) {
  unsigned (*const functions[2])(unsigned) = {doubled, squared};
  out[threadIdx.x] = functions[out[0] & 1](fibonacci(threadIdx.x));
}

int main() {
  unsigned* out = nullptr;
  cudaMalloc(&out, 128);
  cudaMemset(out, 0, 128);
  calls<<<1, 32>>>(out);
  const cudaError_t status = cudaGetLastError();
  std::printf("launch: %s\n", cudaGetErrorName(status));
  return status == cudaSuccess ? 1 : 0;
}
