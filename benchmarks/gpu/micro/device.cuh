// Parts that several measurements share.
#pragma once

#include <cstdint>

#include "cuda/common/mma.cuh"
#include "micro.hpp"

namespace flash_kda::micro {

__device__ __forceinline__ long long now() {
  long long cycles;
  asm volatile("mov.u64 %0, %%clock64;" : "=l"(cycles)::"memory");
  return cycles;
}

__device__ __forceinline__ unsigned warp_index() { return threadIdx.x / 32; }

// Writes what this warp saw between construction and finish().
class Stopwatch {
 public:
  __device__ __forceinline__ explicit Stopwatch(Stamp* stamps) : stamps_(stamps), begin_(now()) {}
  __device__ __forceinline__ void finish(unsigned used = 0) const {
    const long long end = now();
    if (threadIdx.x % 32 == 0) stamps_[warp_index()] = {begin_, end, used};
  }

 private:
  Stamp* stamps_;
  long long begin_;
};

template <int kCount>
__device__ __forceinline__ unsigned sum_of(const float (&x)[kCount]) {
  float sum = 0;
#pragma unroll
  for (float value : x) sum += value;
  return __float_as_uint(sum);
}

// Zeroes dynamic shared memory, for every proxy, and waits for all threads.
__device__ __forceinline__ void clear_shared(std::uint32_t* words, unsigned bytes) {
  for (unsigned i = threadIdx.x; i < bytes / 4; i += blockDim.x) words[i] = 0;
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  __syncthreads();
}

template <class Kernel>
void allow_shared(Kernel kernel, unsigned bytes) {
  check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                             cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
        "cudaFuncSetAttribute");
}

}  // namespace flash_kda::micro
