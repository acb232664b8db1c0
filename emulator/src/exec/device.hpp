// The GPUs that can be emulated: their limits, not their speed.
#pragma once

#include <string_view>

#include "base/types.hpp"

namespace emulator {

struct DeviceProperties {
  const char* key;
  const char* name;
  u32 major, minor;
  u32 sms;
  u64 memory_bytes;
  u32 shared_per_sm, shared_per_block, shared_per_block_optin, shared_reserved;
  u32 threads_per_sm, blocks_per_sm, registers_per_sm;
  u32 max_cluster;  // portable size; twice that on request
  u64 l2_bytes;
  u32 clock_khz, memory_clock_khz, bus_bits;
};

// By EMULATOR_DEVICE; unknown names fall back to the H100.
const DeviceProperties& device();
const DeviceProperties* find_device(std::string_view key);

}  // namespace emulator
