// Warp-wide accesses to shared memory without bank conflicts: latency and rate.
#include "cuda/sm90/ptx.cuh"
#include "device.cuh"

namespace flash_kda::micro {
namespace {

constexpr int kWarps = 16;
constexpr int kSteps = 16;
constexpr unsigned kSharedBytes = kWarps * 512;

// Each access returns a word that depends on it; memory holds zeros.
struct LoadTiles {
  static constexpr const char* kName = "ldmatrix.x4";
  static constexpr int kBytes = 512;
  static __device__ __forceinline__ std::uint32_t apply(std::uint32_t address) {
    std::uint32_t tiles[4];
    cuda::load_tiles(tiles, address);
    return tiles[0];
  }
};
struct LoadTilesTransposed {
  static constexpr const char* kName = "ldmatrix.x4.trans";
  static constexpr int kBytes = 512;
  static __device__ __forceinline__ std::uint32_t apply(std::uint32_t address) {
    std::uint32_t tiles[4];
    cuda::load_tiles_transposed(tiles, address);
    return tiles[0];
  }
};
struct LoadFour {
  static constexpr const char* kName = "ld.shared.v4.b32";
  static constexpr int kBytes = 512;
  static __device__ __forceinline__ std::uint32_t apply(std::uint32_t address) {
    return cuda::sm90::load_shared_bits(address).x;
  }
};
struct LoadOne {
  static constexpr const char* kName = "ld.shared.b32";
  static constexpr int kBytes = 128;
  static __device__ __forceinline__ std::uint32_t apply(std::uint32_t address) {
    return __float_as_uint(cuda::sm90::load_shared(address));
  }
};
struct StoreTiles {
  static constexpr const char* kName = "stmatrix.x4";
  static constexpr int kBytes = 512;
  static __device__ __forceinline__ std::uint32_t apply(std::uint32_t address) {
    cuda::sm90::store_tiles(address, {0, 0, 0, 0});
    return 0;
  }
};
struct StoreTilesTransposed {
  static constexpr const char* kName = "stmatrix.x4.trans";
  static constexpr int kBytes = 512;
  static __device__ __forceinline__ std::uint32_t apply(std::uint32_t address) {
    cuda::sm90::store_tiles_transposed(address, {0, 0, 0, 0});
    return 0;
  }
};
struct StoreFour {
  static constexpr const char* kName = "st.shared.v4.b32";
  static constexpr int kBytes = 512;
  static __device__ __forceinline__ std::uint32_t apply(std::uint32_t address) {
    // volatile: ptxas would keep the last one only.
    asm volatile("st.volatile.shared.v4.u32 [%0], {%1, %1, %1, %1};" ::"r"(address), "r"(0)
                 : "memory");
    return 0;
  }
};

// The next address of a chain needs its last result, at the price of one addition; without that,
// ptxas would keep one load of many.
template <class Access, int kChains>
__global__ void repeat(int repeats, Stamp* stamps) {
  extern __shared__ __align__(1024) std::uint32_t words[];
  clear_shared(words, kSharedBytes);
  const unsigned lane = threadIdx.x % 32;
  std::uint32_t address[kChains];
  for (int i = 0; i < kChains; ++i) {  // equal, as all words are zero, but ptxas does not know
    address[i] = cuda::shared_address(words) + 512 * warp_index() + Access::kBytes / 32 * lane +
                 words[warp_index() + i];
  }
  __syncthreads();
  const Stopwatch watch(stamps);
#pragma unroll 1
  for (int r = 0; r < repeats; ++r) {
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
#pragma unroll
      for (std::uint32_t& a : address) a += Access::apply(a);
    }
  }
  std::uint32_t used = 0;
  for (const std::uint32_t a : address) used ^= a;
  watch.finish(used);
}

// Cycles of one access of every warp.
template <class Access, int kChains>
std::vector<double> cycles_of(const Report& report, int warps) {
  const auto samples = measure_cycles(report, warps, [&](Stamp* stamps) {
    repeat<Access, kChains><<<1, 32 * warps, kSharedBytes>>>(report.repeats(), stamps);
  });
  return each(samples, [&](double c) { return c / (kChains * kSteps * report.repeats()); });
}

template <class Access>
void measure(Report& report) {
  const std::string name = Access::kName;
  if (name.starts_with("ld")) {
    report.add(name + ", latency with an addition", "cycles", cycles_of<Access, 1>(report, 1));
  }
  report.add(name + ", rate", "bytes/cycle/SM",
             each(cycles_of<Access, 4>(report, kWarps),
                  [](double c) { return Access::kBytes * kWarps / c; }));
}

}  // namespace

void measure_shared_memory(Report& report) {
  measure<LoadTiles>(report);
  measure<LoadTilesTransposed>(report);
  measure<LoadFour>(report);
  measure<LoadOne>(report);
  measure<StoreTiles>(report);
  measure<StoreTilesTransposed>(report);
  measure<StoreFour>(report);
}

}  // namespace flash_kda::micro
