// Straight-line loops of growing length: from which size on instructions come late.
#include "device.cuh"

namespace flash_kda::micro {
namespace {

constexpr int kInstructionBytes = 16;

// kKilobytes of multiply-adds, a chain of four, so that one warp a scheduler issues every cycle but
// one.
template <int kKilobytes>
__global__ void loop(int repeats, Stamp* stamps) {
  constexpr int kInstructions = kKilobytes * 1024 / kInstructionBytes;
  float x[4] = {1, 1, 1, 1};
  __syncthreads();
#pragma unroll 1
  for (int warm = 0; warm < 2; ++warm) {  // the first time reads the code
    const Stopwatch watch(stamps);
#pragma unroll 1
    for (int r = 0; r < repeats; ++r) {
#pragma unroll
      for (int i = 0; i < kInstructions / 4; ++i) {
        asm volatile(
            "fma.rn.f32 %0, %0, %0, %0;\n"
            "fma.rn.f32 %1, %1, %1, %1;\n"
            "fma.rn.f32 %2, %2, %2, %2;\n"
            "fma.rn.f32 %3, %3, %3, %3;\n"
            : "+f"(x[0]), "+f"(x[1]), "+f"(x[2]), "+f"(x[3]));
      }
    }
    watch.finish(sum_of(x));
  }
}

template <int kKilobytes>
void measure(Report& report) {
  const int repeats = report.effort() == Effort::kFull ? 16 : 1;
  for (const int warps : {4, 16}) {
    const auto samples = measure_cycles(report, warps, [&](Stamp* stamps) {
      loop<kKilobytes><<<1, 32 * warps>>>(repeats, stamps);
    });
    constexpr double kInstructions = kKilobytes * 1024.0 / kInstructionBytes;
    report.add("loop of " + std::to_string(kKilobytes) + " KB, " + std::to_string(warps) + " warps",
               "instructions/cycle",
               each(samples, [&](double c) { return warps * kInstructions * repeats / c; }));
  }
}

}  // namespace

void measure_code_size(Report& report) {
  measure<8>(report);
  measure<16>(report);
  measure<24>(report);
  measure<28>(report);
  measure<32>(report);
  measure<40>(report);
  measure<48>(report);
  measure<64>(report);
  measure<96>(report);
  measure<128>(report);
  measure<160>(report);
}

}  // namespace flash_kda::micro
