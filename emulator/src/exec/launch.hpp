// One kernel launch, from arguments to the last exit.
#pragma once

#include <string>

#include "exec/device.hpp"
#include "exec/error.hpp"
#include "exec/warp.hpp"

namespace emulator {

struct LaunchConfig {
  u32 grid[3] = {1, 1, 1};
  u32 block[3] = {1, 1, 1};
  u32 cluster[3] = {1, 1, 1};
  bool explicit_cluster = false;
  bool cooperative = false;
  bool programmatic = false;  // may overlap its predecessor in the stream
  u32 dynamic_shared = 0;
};

struct LaunchResult {
  bool ok = true;
  FaultKind kind = FaultKind::kInternal;
  std::string message;
};

struct Totals {
  u64 launches = 0;
  u64 ctas = 0;
  u64 warp_insts = 0;
  u64 thread_insts = 0;
  double seconds = 0, cpu_seconds = 0;
};

LaunchResult launch(const Kernel& kernel, const LaunchConfig& config, const u8* params);
Totals totals();

// CTAs of this shape that one multiprocessor holds.
u32 resident_ctas_per_sm(const Kernel& kernel, const DeviceProperties& device, u32 threads,
                         u32 dynamic_shared);

}  // namespace emulator
