// The measured ceilings of this machine, where the build has the code that measures them.
#pragma once

#include <optional>

namespace flash_kda::cli {

struct MachinePeaks {
  double fma_gflops = 0;   // fp32 fused multiply-adds
  double bf16_gflops = 0;  // bf16 dot products
  double copy_gbs = 0;     // bytes read plus bytes written by memcpy
};

// Takes about a second. Absent: built with FLASH_KDA_BUILD_BENCHMARKS=OFF.
std::optional<MachinePeaks> measure_machine_peaks(int threads);

}  // namespace flash_kda::cli
