// Device memory: one reserved range of addresses, guard bands around every allocation, and no reuse
// of freed addresses, so that a stray or stale access is always seen.
#pragma once

#include <string>

#include "base/types.hpp"

namespace emulator {

enum class MemoryKind : u8 { kDevice, kHost, kManaged, kModule, kParams };

struct AllocationInfo {
  u64 begin = 0;
  u64 end = 0;
  MemoryKind kind = MemoryKind::kDevice;
  bool freed = false;
};

class DeviceMemory {
 public:
  static DeviceMemory& instance();

  // Memory filled with 0xff: NaN in every floating point format. 0 when the range is used up.
  u64 allocate(u64 bytes, MemoryKind kind);
  bool release(u64 address);
  // The allocation that holds `address`, freed ones included.
  bool find(u64 address, AllocationInfo& out) const;
  // True if all bytes lie in one live allocation. Takes no lock.
  bool contains(u64 address, u64 bytes) const {
    if (address - base_ >= kReserved) return false;
    const AllocationInfo& a = entries_[table_[(address - base_) / kGranule]];
    return address >= a.begin && address + bytes <= a.end && !a.freed;
  }
  // Why not, for people.
  std::string explain(u64 address, u64 bytes) const;
  bool in_range(u64 address) const { return address - base_ < kReserved; }
  u64 allocated_bytes() const { return live_bytes_; }

 private:
  DeviceMemory();

  static constexpr u64 kReserved = 1ull << 40;
  static constexpr u64 kMaxAllocations = 1 << 22;
  static constexpr u64 kGranule = 512;  // cudaMalloc aligns to 512 bytes as well
  static constexpr u64 kGuard = 512;
  u64 base_ = 0;
  u64 top_ = 0;
  u64 live_bytes_ = 0;
  u32* table_ = nullptr;  // allocation number of each granule, 0 = none
  AllocationInfo* entries_ = nullptr;
  u32 entry_count_ = 1;  // number 0 is nothing
};

}  // namespace emulator
