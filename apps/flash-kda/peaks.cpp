#include "apps/flash-kda/peaks.hpp"

#ifdef FLASH_KDA_HAVE_PEAKS
#include "benchmarks/cpu/peaks.hpp"
#endif

namespace flash_kda::cli {

std::optional<MachinePeaks> measure_machine_peaks([[maybe_unused]] int threads) {
#ifdef FLASH_KDA_HAVE_PEAKS
  const benchmarks::Peaks peaks = benchmarks::measure_peaks(threads);
  return MachinePeaks{peaks.fma_gflops, peaks.bf16_gflops, peaks.copy_gbs};
#else
  return std::nullopt;
#endif
}

}  // namespace flash_kda::cli
