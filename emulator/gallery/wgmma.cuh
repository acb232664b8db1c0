// One wgmma of 64x8x16 with both operands in shared memory, without swizzle, and its companions.
#pragma once

#include "ptx.cuh"

namespace gallery {

// Core matrices of 8 rows by 16 bytes lie one after the other: along K first, 128 bytes apart, then
// along M or N, 256 bytes apart.
__device__ inline uint64_t descriptor(const void* tile) {
  const uint64_t address = shared_address(tile);
  return (address & 0x3ffff) >> 4 | uint64_t{128 >> 4} << 16 | uint64_t{256 >> 4} << 32;
}

__device__ inline void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ inline void wgmma_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int kPending>
__device__ void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}

__device__ inline void wgmma(float (&d)[4], const void* a, const void* b) {
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%0, %1, %2, %3}, %4, %5, 1, 1, 1, 0, 0;"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "l"(descriptor(a)), "l"(descriptor(b))
      : "memory");
}

struct Tiles {
  alignas(128) uint32_t a[64 * 16 / 2];
  alignas(128) uint32_t b[8 * 16 / 2];
};

__device__ inline void fill(Tiles& tiles) {
  for (int i = threadIdx.x; i < 512; i += 128) tiles.a[i] = 0x3f803f80;
  for (int i = threadIdx.x; i < 64; i += 128) tiles.b[i] = 0x3f803f80;
}

}  // namespace gallery
