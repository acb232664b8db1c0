// Latency and rate of matrix products, alone and beside each other.
#include "products.cuh"

namespace flash_kda::micro {
namespace {

constexpr unsigned kSharedBytes = 2 * kOperandBytes;

// `groups` groups of kCount products, each awaited, by the first `warpgroups` warpgroups; further
// warps run mma.sync meanwhile, and beside[0], beside[1] are their products and cycles.
template <class Product, int kCount>
__global__ void __launch_bounds__(512, 1)
    multiply(int groups, int warpgroups, Stamp* stamps, long long* beside) {
  extern __shared__ __align__(1024) std::uint32_t words[];
  __shared__ Background background;
  if (threadIdx.x == 0) background = {4 * warpgroups, 0, 0};
  clear_shared(words, kSharedBytes);
  if (warp_index() >= 4u * warpgroups) {
    run_background(background);
  } else {
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
    watch.finish();
    finish_measured(background);
  }
  __syncthreads();
  if (threadIdx.x != 0) return;
  beside[0] = background.products;
  beside[1] = static_cast<long long>(background.cycles);
}

template <class Product, int kCount>
std::vector<double> cycles_a_group(const Report& report, int warpgroups, int background_warps,
                                   std::vector<double>* beside_rate) {
  allow_shared(multiply<Product, kCount>, kSharedBytes);
  const DeviceArray<long long> beside(2);
  const auto samples = measure_cycles(report, 4 * warpgroups, [&](Stamp* stamps) {
    multiply<Product, kCount><<<1, 128 * warpgroups + 32 * background_warps, kSharedBytes>>>(
        report.repeats(), warpgroups, stamps, beside.data());
    const auto seen = beside.download();
    if (beside_rate != nullptr && seen[1] > 0) {
      beside_rate->push_back(2048.0 * static_cast<double>(seen[0]) / static_cast<double>(seen[1]));
    }
  });
  return each(samples, [&](double c) { return c / report.repeats(); });
}

template <class Product>
void measure_wgmma(Report& report) {
  constexpr int kMany = 16;
  const std::string name = Product::kName;
  report.add(name + ", latency", "cycles", cycles_a_group<Product, 1>(report, 1, 0, nullptr));
  for (const int warpgroups : {1, 2}) {
    const std::string who = name + ", " + std::to_string(warpgroups) + " warpgroup" +
                            (warpgroups > 1 ? "s" : "") + " 16 in a group";
    const auto a_product = [&](double c) { return c / (kMany * warpgroups); };
    report.add(who, "cycles/product",
               each(cycles_a_group<Product, kMany>(report, warpgroups, 0, nullptr), a_product));
    std::vector<double> rate;
    report.add(who + ", 4 warps of mma.sync", "cycles/product",
               each(cycles_a_group<Product, kMany>(report, warpgroups, 4, &rate), a_product));
    if (!rate.empty()) report.add("  mma.sync beside it", "multiply-adds/cycle", rate);
  }
}

template <int kTiles>
__global__ void multiply_sync(int repeats, Stamp* stamps, float* sink) {
  cuda::Accumulator d[kTiles];
  __syncthreads();
  const Stopwatch watch(stamps);
#pragma unroll 1
  for (int r = 0; r < repeats; ++r) {
#pragma unroll
    for (int step = 0; step < 16; ++step) multiply_tiles(d);
  }
  watch.finish();
  float sum = 0;
  for (const cuda::Accumulator& tile : d) sum += tile.d[0];
  if (sum != 0) *sink = sum;
}

void measure_mma_sync(Report& report) {
  const DeviceArray<float> sink(1);
  const auto latency = measure_cycles(report, 1, [&](Stamp* stamps) {
    multiply_sync<1><<<1, 32>>>(report.repeats(), stamps, sink.data());
  });
  report.add("mma.sync m16n8k16 bf16, latency", "cycles",
             each(latency, [&](double c) { return c / (16 * report.repeats()); }));
  for (const int warps : {4, 8, 16}) {
    const auto rate = measure_cycles(report, warps, [&](Stamp* stamps) {
      multiply_sync<8><<<1, 32 * warps>>>(report.repeats(), stamps, sink.data());
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
