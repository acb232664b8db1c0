// Special functions, packed forms, conversions and plain arithmetic: latency and rate.
#include "device.cuh"

namespace flash_kda::micro {
namespace {

constexpr int kChains = 8;  // independent chains a thread: more than latency times rate needs
constexpr int kSteps = 16;  // unrolled, so that the loop's own instructions are a few per cent

#define INSTRUCTION(type, text)                                      \
  struct type {                                                      \
    static constexpr const char* kName = text;                       \
    static __device__ __forceinline__ void apply(std::uint32_t& x) { \
      asm volatile(text ";" : "+r"(x));                              \
    }                                                                \
  };
INSTRUCTION(Ex2, "ex2.approx.ftz.f32 %0, %0")
INSTRUCTION(Ex2Half, "ex2.approx.f16x2 %0, %0")
INSTRUCTION(Ex2Bf16, "ex2.approx.ftz.bf16x2 %0, %0")
INSTRUCTION(Tanh, "tanh.approx.f32 %0, %0")
INSTRUCTION(TanhHalf, "tanh.approx.f16x2 %0, %0")
INSTRUCTION(TanhBf16, "tanh.approx.bf16x2 %0, %0")
INSTRUCTION(Log2, "lg2.approx.ftz.f32 %0, %0")
INSTRUCTION(Rsqrt, "rsqrt.approx.ftz.f32 %0, %0")
INSTRUCTION(MultiplyAdd, "fma.rn.f32 %0, %0, %0, %0")
INSTRUCTION(MultiplyBf16, "mul.rn.bf16x2 %0, %0, %0")
INSTRUCTION(MultiplyAddBf16, "fma.rn.bf16x2 %0, %0, %0, %0")
INSTRUCTION(PackBf16, "cvt.rn.bf16x2.f32 %0, %0, %0")
INSTRUCTION(PackHalf, "cvt.rn.f16x2.f32 %0, %0, %0")
INSTRUCTION(MultiplyAddInteger, "mad.lo.u32 %0, %0, %0, %0")
INSTRUCTION(Shuffle, "shfl.sync.idx.b32 %0, %0, %0, 0x1f, 0xffffffff")
INSTRUCTION(TransposeTile, "movmatrix.sync.aligned.m8n8.trans.b16 %0, %0")
#undef INSTRUCTION

template <class Instruction, int kParallel>
__global__ void repeat(int repeats, Stamp* stamps) {
  std::uint32_t x[kParallel];
  // About 0.5 in fp32, 1.75 in fp16; different in each lane, or uniform registers do the work.
  for (int i = 0; i < kParallel; ++i) x[i] = 0x3f003f00u + threadIdx.x;
  __syncthreads();
  const Stopwatch watch(stamps);
#pragma unroll 1
  for (int r = 0; r < repeats; ++r) {
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
#pragma unroll
      for (int i = 0; i < kParallel; ++i) Instruction::apply(x[i]);
    }
  }
  std::uint32_t used = 0;
  for (std::uint32_t value : x) used ^= value;
  watch.finish(used);
}

template <class Instruction>
void measure(Report& report) {
  const std::string name(Instruction::kName, std::string(Instruction::kName).find(' '));
  const int repeats = report.repeats();
  const auto one = measure_cycles(
      report, 1, [&](Stamp* stamps) { repeat<Instruction, 1><<<1, 32>>>(repeats, stamps); });
  report.add(name + ", latency", "cycles",
             each(one, [&](double c) { return c / (kSteps * repeats); }));
  constexpr int kWarps = 16;
  const auto many = measure_cycles(report, kWarps, [&](Stamp* stamps) {
    repeat<Instruction, kChains><<<1, 32 * kWarps>>>(repeats, stamps);
  });
  report.add(name + ", rate", "lanes/cycle/SM",
             each(many, [&](double c) { return 32.0 * kWarps * kChains * kSteps * repeats / c; }));
}

template <class... Instructions>
void measure_all(Report& report) {
  (measure<Instructions>(report), ...);
}

}  // namespace

void measure_functions(Report& report) {
  measure_all<Ex2, Ex2Half, Ex2Bf16, Tanh, TanhHalf, TanhBf16, Log2, Rsqrt, MultiplyAdd,
              MultiplyBf16, MultiplyAddBf16, PackBf16, PackHalf, MultiplyAddInteger, Shuffle,
              TransposeTile>(report);
}

}  // namespace flash_kda::micro
