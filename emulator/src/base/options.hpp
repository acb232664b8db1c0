// Settings of a run. Read once from EMULATOR_* environment variables; a program may change them
// through options() before its first launch.
#pragma once

#include <string>

#include "base/types.hpp"

namespace emulator {

enum class AccumulatePolicy { kInOrder, kPairwise, kExact };
enum class ApproxPolicy { kNearest, kInjectError };

struct Options {
  u64 seed = 0;                 // EMULATOR_SEED: 0 keeps the fixed schedule, others permute it
  u32 quantum = 8192;           // EMULATOR_QUANTUM: warp instructions per turn
  u32 async_delay = 0;          // EMULATOR_ASYNC_DELAY: most rounds that a copy is late
  u32 threads = 0;              // EMULATOR_THREADS: host threads, 0 = one per core
  bool check = false;           // EMULATOR_CHECK: races, fences, uninitialised data
  bool count = false;           // EMULATOR_COUNTERS is set: count by instruction
  bool summary = false;         // EMULATOR_SUMMARY: totals at exit, on stderr
  u64 spin_limit = 20'000'000;  // EMULATOR_SPIN_LIMIT: warp instructions without an effect
  AccumulatePolicy accumulate = AccumulatePolicy::kInOrder;  // EMULATOR_ACCUMULATE
  ApproxPolicy approx = ApproxPolicy::kNearest;              // EMULATOR_APPROX
  std::string device = "H100";                               // EMULATOR_DEVICE
  std::string report_file;                                   // EMULATOR_REPORT
};

Options& options();

}  // namespace emulator
