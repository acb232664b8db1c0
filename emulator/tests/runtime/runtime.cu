// Small kernels that the runtime's tests launch.
#include <cassert>
#include <cstdio>

#include "support/ptx.cuh"
#include "support/runtime_case.hpp"

namespace emulator_tests {

__constant__ int constant_symbol[8];
__device__ int device_symbol;

__global__ void fill(int* out, int value, int count) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) out[i] = value + i;
}

__global__ void add_to(int* out, int value, int count) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) out[i] += value;
}

__global__ void saxpy(float a, const float* x, float* y, int count) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) y[i] = a * x[i] + y[i];
}

__global__ void global_barrier(unsigned* arrived, int* mailbox, int* out, int rounds) {
  const unsigned cta = blockIdx.x;
  for (int round = 1; round <= rounds; ++round) {
    if (threadIdx.x == 0)
      mailbox[(round & 1) * gridDim.x + cta] = round * 1000 + static_cast<int>(cta);
    __syncthreads();
    if (threadIdx.x == 0) {
      asm volatile("red.release.gpu.global.add.u32 [%0], 1;" ::"l"(arrived) : "memory");
      unsigned seen;
      do {
        asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(seen) : "l"(arrived) : "memory");
      } while (seen < round * gridDim.x);
      out[cta] = mailbox[(round & 1) * gridDim.x + (cta + 1) % gridDim.x];
    }
    __syncthreads();
  }
}

__global__ void dependent_producer(int* out, int count) {
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) out[i] = 3 * i;
}

__global__ void dependent_consumer(const int* in, int* out, int count) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  asm volatile("griddepcontrol.wait;" ::: "memory");
  if (i < count) out[i] = in[count - 1 - i] + 1;
}

__global__ void use_shared_memory(int* out, int words) {
  extern __shared__ int scratch[];
  for (int i = threadIdx.x; i < words; i += blockDim.x) scratch[i] = i;
  __syncthreads();
  if (threadIdx.x == 0) out[0] = scratch[words - 1];
}

__global__ void print_lines(int number, const char* text) {
  if (threadIdx.x < 2) {
    printf("thread %u: %d %5.2f %s %c %lld %x%%\n", threadIdx.x, number, 2.5, text, 'z',
           -12345678901ll, 0xabcu);
  }
}

__global__ void write_symbol_sum(int* out) {
  int sum = device_symbol;
  for (int i = 0; i < 8; ++i) sum += constant_symbol[i] * (i + 1);
  *out = sum;
  device_symbol = sum + 1;
}

__global__ void store_to(int* address, int value) { *address = value; }

__global__ void store_misaligned(char* base) {
  *reinterpret_cast<int*>(base + threadIdx.x + 1) = 1;
}

__global__ void store_shared_out_of_bounds(int index) {
  __shared__ int words[32];
  asm volatile("st.shared.b32 [%0], %1;" ::"r"(ptx::shared_address(words) + index * 4), "r"(index)
               : "memory");
}

__global__ void trap_now() { asm volatile("trap;"); }

__global__ void assert_positive(int value) { assert(value > 0); }

__global__ void wait_forever(int* out) {
  __shared__ uint64_t barrier;
  if (threadIdx.x == 0) ptx::mbarrier_init(&barrier, blockDim.x + 1);
  __syncthreads();
  asm volatile("mbarrier.arrive.shared.b64 _, [%0];" ::"r"(ptx::shared_address(&barrier))
               : "memory");
  ptx::wait_parity(&barrier, 0);
  out[0] = 1;
}

__global__ void spin_on_flag(volatile int* flag) {
  while (*flag == 0) {
  }
}

cudaError_t copy_to_symbols(const int (&constant_values)[8], int device_value) {
  const cudaError_t status =
      cudaMemcpyToSymbol(constant_symbol, constant_values, sizeof constant_values);
  if (status != cudaSuccess) return status;
  return cudaMemcpyToSymbol(device_symbol, &device_value, sizeof device_value);
}

cudaError_t copy_from_symbol(int* device_value) {
  return cudaMemcpyFromSymbol(device_value, device_symbol, sizeof *device_value);
}

cudaError_t address_of_symbol(void** address, size_t* bytes) {
  const cudaError_t status = cudaGetSymbolAddress(address, constant_symbol);
  return status != cudaSuccess ? status : cudaGetSymbolSize(bytes, constant_symbol);
}

}  // namespace emulator_tests
