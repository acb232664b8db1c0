// What one multiprocessor pays to hand a word, or a state, to another through L2.
#include "device.cuh"

namespace flash_kda::micro {
namespace {

constexpr int kThreads = 256;                   // two warpgroups, as those that hold a state
constexpr int kStateVectors = 128 * 128 / 4;    // fp32, four at a time
constexpr unsigned kAloneOnItsSm = 160 * 1024;  // shared bytes: two blocks never share one

__device__ __forceinline__ void release(unsigned* flag, unsigned value) {
  asm volatile("st.release.gpu.global.u32 [%0], %1;" ::"l"(flag), "r"(value) : "memory");
}
__device__ __forceinline__ void acquire(const unsigned* flag, unsigned value) {
  unsigned seen;
  do {
    asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(seen) : "l"(flag) : "memory");
  } while (seen != value);
}

enum class Payload { kNothing, kState };

template <Payload kPayload>
__device__ __forceinline__ void send(float4* state, unsigned* flag, unsigned value) {
  if constexpr (kPayload == Payload::kState) {
    const float x = static_cast<float>(value);
#pragma unroll 8
    for (int i = static_cast<int>(threadIdx.x); i < kStateVectors; i += kThreads) {
      state[i] = {x, x, x, x};
    }
    __syncthreads();
  }
  if (threadIdx.x == 0) release(flag, value);
}

template <Payload kPayload>
__device__ __forceinline__ void receive(const float4* state, const unsigned* flag, unsigned value,
                                        unsigned* wrong) {
  if (threadIdx.x == 0) acquire(flag, value);
  __syncthreads();
  if constexpr (kPayload == Payload::kState) {
    bool good = true;
#pragma unroll 8
    for (int i = static_cast<int>(threadIdx.x); i < kStateVectors; i += kThreads) {
      good &= state[i].w == static_cast<float>(value);
    }
    if (!good) *wrong = 1;
  }
}

// Block 0 sends, block 1 answers. states[b], flags[32 b] are written by block b.
template <Payload kPayload>
__global__ void exchange(int repeats, Stamp* stamps, float4* states, unsigned* flags,
                         unsigned* wrong) {
  float4* mine = states + blockIdx.x * kStateVectors;
  const float4* theirs = states + (1 - blockIdx.x) * kStateVectors;
  unsigned* my_flag = flags + 32 * blockIdx.x;
  const unsigned* their_flag = flags + 32 * (1 - blockIdx.x);
  const Stopwatch watch(stamps + blockIdx.x * (kThreads / 32));
#pragma unroll 1
  for (int r = 0; r < repeats; ++r) {
    const unsigned value = static_cast<unsigned>(r) + 1;
    if (blockIdx.x == 0) send<kPayload>(mine, my_flag, value);
    receive<kPayload>(theirs, their_flag, value, wrong);
    if (blockIdx.x == 1) send<kPayload>(mine, my_flag, value);
  }
  watch.finish();
}

template <Payload kPayload>
void measure(Report& report, const std::string& name) {
  const DeviceArray<float4> states(2 * kStateVectors);
  const DeviceArray<unsigned> flags(64), wrong(1);
  allow_shared(exchange<kPayload>, kAloneOnItsSm);
  const DeviceArray<Stamp> all(2 * (kThreads / 32));
  std::vector<double> samples;
  for (int round = 0; round <= report.rounds(); ++round) {
    check(cudaMemset(flags.data(), 0, 64 * sizeof(unsigned)), "cudaMemset");
    exchange<kPayload><<<2, kThreads, kAloneOnItsSm>>>(report.repeats(), all.data(), states.data(),
                                                       flags.data(), wrong.data());
    check(cudaGetLastError(), "launch");
    const Stamp seen = all.download()[0];  // block 0's clock only
    if (round > 0) {
      samples.push_back(static_cast<double>(seen.end - seen.begin) / (2 * report.repeats()));
    }
  }
  if (wrong.download()[0] != 0) throw std::runtime_error(name + ": a state arrived late");
  report.add(name + ", one way", "cycles", samples);
}

}  // namespace

void measure_handover(Report& report) {
  measure<Payload::kNothing>(report, "st.release.gpu seen by ld.acquire.gpu");
  measure<Payload::kState>(report, "state of 64 KB, written, released, acquired, read");
}

}  // namespace flash_kda::micro
