// What warps pay to wait for each other, to hand writes to the copy engine, and to move registers.
#include "cuda/sm90/ptx.cuh"
#include "device.cuh"

namespace flash_kda::micro {
namespace {

namespace sm90 = cuda::sm90;

// Two warps take turns: one arrives where the other waits.
__global__ void take_turns(int repeats, Stamp* stamps) {
  __shared__ std::uint64_t barriers[2];
  if (threadIdx.x == 0) {
    cuda::init_barrier(&barriers[0], 1);
    cuda::init_barrier(&barriers[1], 1);
  }
  __syncthreads();
  const unsigned mine = warp_index();
  const std::uint32_t wait_on = cuda::shared_address(&barriers[mine]);
  const std::uint32_t arrive_on = cuda::shared_address(&barriers[1 - mine]);
  const Stopwatch watch(stamps);
  if (mine == 0 && threadIdx.x == 0) sm90::arrive_at(arrive_on);
#pragma unroll 1
  for (int r = 0; r < repeats; ++r) {
    sm90::wait_at(wait_on, r & 1);
    const bool last = mine == 0 && r == repeats - 1;
    if (threadIdx.x % 32 == 0 && !last) sm90::arrive_at(arrive_on);
    __syncwarp();
  }
  watch.finish();
}

// An mbarrier that is complete already: what looking at it costs.
__global__ void look(int repeats, Stamp* stamps) {
  __shared__ std::uint64_t barrier;
  if (threadIdx.x == 0) {
    cuda::init_barrier(&barrier, 1);
    cuda::arrive(&barrier);
  }
  __syncthreads();
  const std::uint32_t address = cuda::shared_address(&barrier);
  const Stopwatch watch(stamps);
#pragma unroll 1
  for (int r = 0; r < repeats; ++r) sm90::wait_at(address, 0);
  watch.finish();
}

__global__ void meet(int repeats, Stamp* stamps) {
  __syncthreads();
  const Stopwatch watch(stamps);
#pragma unroll 1
  for (int r = 0; r < repeats; ++r) sm90::sync_threads(1, static_cast<int>(blockDim.x));
  watch.finish();
}

// volatile: ptxas keeps every one.
__device__ __forceinline__ void store_four(std::uint32_t address) {
  asm volatile("st.volatile.shared.v4.u32 [%0], {%1, %1, %1, %1};" ::"r"(address), "r"(0)
               : "memory");
}

__global__ void publish(int repeats, Stamp* stamps) {
  __shared__ __align__(16) float words[4 * 512];
  const std::uint32_t address = cuda::shared_address(words) + 16 * threadIdx.x;
  __syncthreads();
  const Stopwatch watch(stamps);
#pragma unroll 1
  for (int r = 0; r < repeats; ++r) {
    store_four(address);
    sm90::publish_to_async_proxy();
  }
  watch.finish();
}

__global__ void store_only(int repeats, Stamp* stamps) {
  __shared__ __align__(16) float words[4 * 512];
  const std::uint32_t address = cuda::shared_address(words) + 16 * threadIdx.x;
  __syncthreads();
  const Stopwatch watch(stamps);
#pragma unroll 1
  for (int r = 0; r < repeats; ++r) store_four(address);
  watch.finish();
}

// Four warpgroups start with 128 registers a thread, the first gives some to the others.
template <int kFirst, int kSecond, int kOthers>
__global__ void __launch_bounds__(512, 1) move_registers(Stamp* stamps) {
  static_assert(kFirst + kSecond + 2 * kOthers <= 512);
  __syncthreads();
  const Stopwatch watch(stamps);
  switch (threadIdx.x / 128) {
    case 0:
      sm90::shrink_registers<kFirst>();
      break;
    case 1:
      sm90::grow_registers<kSecond>();
      break;
    default:
      sm90::grow_registers<kOthers>();
  }
  watch.finish();
}

using Kernel = void (*)(int, Stamp*);

void measure(Report& report, const std::string& name, Kernel kernel, int warps) {
  const auto samples = measure_cycles(
      report, warps, [&](Stamp* stamps) { kernel<<<1, 32 * warps>>>(report.repeats(), stamps); });
  report.add(name, "cycles", each(samples, [&](double c) { return c / report.repeats(); }));
}

template <int kFirst, int kSecond, int kOthers>
void measure_registers(Report& report) {
  const auto samples = measure_cycles(report, 16, [&](Stamp* stamps) {
    move_registers<kFirst, kSecond, kOthers><<<1, 512>>>(stamps);
  });
  const std::string split = std::to_string(kFirst) + "/" + std::to_string(kSecond) + "/" +
                            std::to_string(kOthers) + "/" + std::to_string(kOthers);
  report.add("setmaxnreg from 128 to " + split + ", until all have theirs", "cycles", samples);
}

}  // namespace

void measure_barriers(Report& report) {
  measure(report, "mbarrier, to the other warp and back", take_turns, 2);
  measure(report, "mbarrier, wait for a phase that is over, 1 warp", look, 1);
  measure(report, "mbarrier, wait for a phase that is over, 16 warps", look, 16);
  measure(report, "bar.sync, 2 warps", meet, 2);
  measure(report, "bar.sync, 4 warps", meet, 4);
  measure(report, "bar.sync, 16 warps", meet, 16);
  measure(report, "st.shared.v4, 4 warps", store_only, 4);
  measure(report, "st.shared.v4 and fence.proxy.async, 4 warps", publish, 4);
  measure_registers<40, 136, 168>(report);
  measure_registers<24, 152, 168>(report);
  measure_registers<24, 136, 176>(report);
}

}  // namespace flash_kda::micro
