// PTX as nvcc compresses it: each mode has a test of its own.
#include <cstdio>

__global__ void add_one(int* value) { *value += 1; }

int main() {
  int* value = nullptr;
  cudaMalloc(&value, sizeof(int));
  cudaMemset(value, 0, sizeof(int));
  add_one<<<1, 1>>>(value);
  int result = 0;
  cudaMemcpy(&result, value, sizeof(int), cudaMemcpyDeviceToHost);
  std::printf("%d\n", result);
  return result == 1 ? 0 : 1;
}
