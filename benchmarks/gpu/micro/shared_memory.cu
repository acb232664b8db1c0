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
    cuda::sm90::store_shared_bits(address, {0, 0, 0, 0});
    return 0;
  }
};

// kChained: the next address needs the last result, at the price of one addition.
enum class Order { kChained, kFree };

template <class Access, Order kOrder>
__global__ void repeat(int repeats, Stamp* stamps, std::uint32_t* sink) {
  extern __shared__ __align__(1024) std::uint32_t words[];
  clear_shared(words, kSharedBytes);
  const unsigned lane = threadIdx.x % 32;
  std::uint32_t address =
      cuda::shared_address(words) + 512 * warp_index() + Access::kBytes / 32 * lane;
  std::uint32_t sum = 0;
  const Stopwatch watch(stamps);
#pragma unroll 1
  for (int r = 0; r < repeats; ++r) {
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      const std::uint32_t result = Access::apply(address);
      if constexpr (kOrder == Order::kChained) {
        address += result;
      } else {
        sum |= result;
      }
    }
  }
  watch.finish();
  if ((sum | (address & 1)) != 0) *sink = sum;
}

template <class Access, Order kOrder>
std::vector<double> cycles_of(Report& report, int warps) {
  const DeviceArray<std::uint32_t> sink(1);
  const auto samples = measure_cycles(report, warps, [&](Stamp* stamps) {
    repeat<Access, kOrder><<<1, 32 * warps, kSharedBytes>>>(report.repeats(), stamps, sink.data());
  });
  return each(samples, [&](double c) { return c / (kSteps * report.repeats()); });
}

template <class Access>
void measure(Report& report) {
  const std::string name = Access::kName;
  if (name.starts_with("ld")) {
    report.add(name + ", latency with an addition", "cycles",
               cycles_of<Access, Order::kChained>(report, 1));
  }
  report.add(name + ", rate", "bytes/cycle/SM",
             each(cycles_of<Access, Order::kFree>(report, kWarps),
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
