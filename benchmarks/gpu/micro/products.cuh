// Matrix products as they are measured: wgmma by a warpgroup, mma.sync by a warp.
#pragma once

#include "cuda/sm90/layouts.cuh"
#include "cuda/sm90/ptx.cuh"
#include "cuda/sm90/wgmma.cuh"
#include "device.cuh"

namespace flash_kda::micro {

namespace sm90 = cuda::sm90;

// What an operand in shared memory is read from: 64 rows, 128 bytes each, swizzled; and the same
// for the left one.
inline constexpr unsigned kOperandBytes = 16384;

struct Register32 {
  static constexpr const char* kName = "wgmma m64n32k16, A in registers";
  static constexpr int kAccumulators = 16;
  static __device__ __forceinline__ void multiply(float (&d)[16], const std::uint32_t (&a)[4],
                                                  std::uint32_t shared) {
    sm90::multiply_32(d, a, sm90::describe(sm90::kTokensByChannels, shared, 0), 1);
  }
};

struct Shared32 {
  static constexpr const char* kName = "wgmma m64n32k16, A in shared memory";
  static constexpr int kAccumulators = 16;
  static __device__ __forceinline__ void multiply(float (&d)[16], const std::uint32_t (&)[4],
                                                  std::uint32_t shared) {
    sm90::multiply_shared_32(d, sm90::describe(sm90::kTokensByChannels, shared, kOperandBytes / 2),
                             sm90::describe(sm90::kTokensByChannels, shared, 0), 1);
  }
};

struct Register64 {
  static constexpr const char* kName = "wgmma m64n64k16, A in registers";
  static constexpr int kAccumulators = 32;
  static __device__ __forceinline__ void multiply(float (&d)[32], const std::uint32_t (&a)[4],
                                                  std::uint32_t shared) {
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 "
        "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
        "{%32, %33, %34, %35}, %36, 1, 1, 1, 0;\n"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]),
          "+f"(d[7]), "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]),
          "+f"(d[14]), "+f"(d[15]), "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]),
          "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]),
          "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]),
          "l"(sm90::describe(sm90::kTokensByChannels, shared, 0)));
  }
};

struct Register128 {
  static constexpr const char* kName = "wgmma m64n128k16, A in registers";
  static constexpr int kAccumulators = 64;
  static __device__ __forceinline__ void multiply(float (&d)[64], const std::uint32_t (&a)[4],
                                                  std::uint32_t shared) {
    sm90::multiply_128(d, a, sm90::describe(sm90::kChannelsByTokens, shared, 0), 1);
  }
};

// mma.sync.m16n8k16 on `kTiles` accumulators in turn.
template <int kTiles>
__device__ __forceinline__ void multiply_tiles(cuda::Accumulator (&d)[kTiles]) {
  const cuda::OperandA a = {{0, 0, 0, 0}};
#pragma unroll
  for (int i = 0; i < kTiles; ++i) cuda::multiply_add(d[i], a, 0, 0);
}

// Warps that run mma.sync beside the ones that are measured, until those are done. Each writes:
struct Background {
  long long cycles;
  unsigned products;
  unsigned used;  // as Stamp's
};

inline constexpr int kBackgroundWarps = 4;
inline constexpr int kBackgroundTiles = 8;

// running: in shared memory, measured warps that are not done. `index`: of this warp among its
// like.
__device__ __forceinline__ void run_background(const int& running, unsigned index,
                                               Background* warps) {
  cuda::Accumulator d[kBackgroundTiles];
  unsigned products = 0;
  const long long begin = now();
  while (*static_cast<const volatile int*>(&running) > 0) {
    multiply_tiles(d);
    multiply_tiles(d);
    products += 2 * kBackgroundTiles;
  }
  const long long cycles = now() - begin;
  unsigned used = 0;
  for (const cuda::Accumulator& tile : d) used ^= sum_of(tile.d);
  if (threadIdx.x % 32 == 0) warps[index] = {cycles, products, used};
}
__device__ __forceinline__ void finish_measured(int& running) {
  __syncwarp();
  if (threadIdx.x % 32 == 0) atomicSub(&running, 1);
}

}  // namespace flash_kda::micro
