// One warp whose accesses can be counted by hand.
#include "runtime/counters_case.hpp"

namespace emulator_tests {

__global__ void counted(uint32_t* out) {
  __shared__ uint32_t words[1024];
  const uint32_t lane = threadIdx.x;
  words[lane] = lane;  // one wavefront
  __syncwarp();
  volatile uint32_t* const read = words;
  uint32_t sum = read[lane * 2 % 32];  // two lanes a word: one wavefront
  sum += read[lane * 2];               // two words a bank
  sum += read[lane * 32];              // all in one bank
  float d[4] = {};
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %4, %4, %4}, "
      "{%4, %4}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(sum));
  if (lane < 16) out[lane * 8] = sum + static_cast<uint32_t>(d[0]);  // a sector each
}

__global__ void __cluster_dims__(2) counted_pair(uint32_t* out) {
  volatile uint32_t* const words = out;
  if (blockIdx.x % 2 == 0) {
    words[threadIdx.x] = 1;
  } else {
    words[blockDim.x + threadIdx.x] = 2;
  }
}

}  // namespace emulator_tests
