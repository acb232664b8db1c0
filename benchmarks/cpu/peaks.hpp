// What this machine can do at most, measured: the ceilings that kernel speeds are compared with.
#pragma once

namespace flash_kda::benchmarks {

struct Peaks {
  double fma_gflops = 0.0;   // fp32 fused multiply-add, registers only, widest vectors
  double bf16_gflops = 0.0;  // bf16 dot products, registers only; fma_gflops where there are none
  double copy_gbs = 0.0;     // memcpy far larger than the caches, bytes read plus bytes written
  double read_gbs = 0.0;     // reading as much
};

// Sums over `threads` threads that work at once, best of several short rounds. Takes about a second
// and 64 MiB of memory a thread.
Peaks measure_peaks(int threads);

// The arithmetic ceilings of this thread alone, one short round (about 10 ms) in CPU time: to be
// taken between other measurements on a machine that is shared or whose speed drifts.
Peaks sample_arithmetic_peaks();

// CPU time of the calling thread: what a core would have taken without neighbours.
double thread_cpu_seconds();

}  // namespace flash_kda::benchmarks
