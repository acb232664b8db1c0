// Latency and rate of matrix products, alone and beside each other.
#include "products.cuh"

namespace flash_kda::micro {
namespace {

constexpr unsigned kSharedBytes = 2 * kOperandBytes;

// `groups` groups of kCount products, each awaited, by the first `warpgroups` warpgroups; further
// warps run mma.sync meanwhile.
template <class Product, int kCount>
__global__ void __launch_bounds__(384, 1)
    multiply(int groups, int warpgroups, Stamp* stamps, Background* background) {
  extern __shared__ __align__(1024) std::uint32_t words[];
  __shared__ int running;
  const unsigned measured_warps = 4 * static_cast<unsigned>(warpgroups);
  if (threadIdx.x == 0) running = static_cast<int>(measured_warps);
  clear_shared(words, kSharedBytes);
  if (warp_index() >= measured_warps) {
    return run_background(running, warp_index() - measured_warps, background);
  }
  const std::uint32_t shared = sm90::make_uniform(cuda::shared_address(words));
  float d[Product::kAccumulators] = {};
  std::uint32_t a[4] = {};
  const Stopwatch watch(stamps);
#pragma unroll 1
  for (int group = 0; group < groups; ++group) {
    sm90::pin(d), sm90::pin(a);
    sm90::begin_products();
#pragma unroll
    for (int i = 0; i < kCount; ++i) Product::multiply(d, a, shared);
    sm90::commit_products();
    sm90::wait_products<0>();
    sm90::pin(d), sm90::pin(a);
  }
  watch.finish(sum_of(d));
  finish_measured(running);
}

struct Measured {
  std::vector<double> cycles_a_group;
  std::vector<double> beside;  // multiply-adds a cycle of the background warps
};

template <class Product, int kCount>
Measured measure_groups(const Report& report, int warpgroups, int background_warps) {
  allow_shared(multiply<Product, kCount>, kSharedBytes);
  const DeviceArray<Background> background(kBackgroundWarps);
  Measured measured;
  const auto samples = measure_cycles(report, 4 * warpgroups, [&](Stamp* stamps) {
    multiply<Product, kCount><<<1, 128 * warpgroups + 32 * background_warps, kSharedBytes>>>(
        report.repeats(), warpgroups, stamps, background.data());
    double rate = 0;
    for (const Background& warp : background.download()) {
      if (warp.cycles > 0) rate += 2048.0 * warp.products / static_cast<double>(warp.cycles);
    }
    measured.beside.push_back(rate);
  });
  measured.cycles_a_group = each(samples, [&](double c) { return c / report.repeats(); });
  return measured;
}

template <class Product>
void measure_wgmma(Report& report) {
  constexpr int kMany = 16;
  const std::string name = Product::kName;
  report.add(name + ", latency", "cycles", measure_groups<Product, 1>(report, 1, 0).cycles_a_group);
  for (const int warpgroups : {1, 2}) {
    const std::string who = name + ", 16 in a group, " + std::to_string(warpgroups) +
                            (warpgroups > 1 ? " warpgroups" : " warpgroup");
    for (const int background_warps : {0, kBackgroundWarps}) {
      const Measured measured =
          measure_groups<Product, kMany>(report, warpgroups, background_warps);
      const std::string beside = background_warps > 0 ? ", beside mma.sync" : "";
      report.add(who + beside, "cycles/product",
                 each(measured.cycles_a_group, [&](double c) { return c / (kMany * warpgroups); }));
      if (background_warps > 0) {
        report.add("mma.sync by 4 warps, beside " + who, "multiply-adds/cycle", measured.beside);
      }
    }
  }
}

template <int kTiles>
__global__ void multiply_sync(int repeats, Stamp* stamps) {
  cuda::Accumulator d[kTiles];
  __syncthreads();
  const Stopwatch watch(stamps);
#pragma unroll 1
  for (int r = 0; r < repeats; ++r) {
#pragma unroll
    for (int step = 0; step < 16; ++step) multiply_tiles(d);
  }
  unsigned used = 0;
  for (const cuda::Accumulator& tile : d) used ^= sum_of(tile.d);
  watch.finish(used);
}

void measure_mma_sync(Report& report) {
  const auto latency = measure_cycles(
      report, 1, [&](Stamp* stamps) { multiply_sync<1><<<1, 32>>>(report.repeats(), stamps); });
  report.add("mma.sync m16n8k16 bf16, latency", "cycles",
             each(latency, [&](double c) { return c / (16 * report.repeats()); }));
  for (const int warps : {4, 8, 16}) {
    const auto rate = measure_cycles(report, warps, [&](Stamp* stamps) {
      multiply_sync<8><<<1, 32 * warps>>>(report.repeats(), stamps);
    });
    report.add(
        "mma.sync m16n8k16 bf16, " + std::to_string(warps) + " warps", "multiply-adds/cycle",
        each(rate, [&](double c) { return 2048.0 * 8 * 16 * warps * report.repeats() / c; }));
  }
}

}  // namespace

void measure_products(Report& report) {
  measure_wgmma<Register32>(report);
  measure_wgmma<Shared32>(report);
  measure_wgmma<Register64>(report);
  measure_wgmma<Register128>(report);
  measure_mma_sync(report);
}

}  // namespace flash_kda::micro
