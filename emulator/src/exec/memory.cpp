#include "exec/memory.hpp"

#include <sys/mman.h>

#include <mutex>

#include "exec/error.hpp"

namespace emulator {
namespace {

constexpr int kMapFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

std::mutex& writer() {
  static auto* m = new std::mutex;
  return *m;
}

void* map_table(u64 bytes) {
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, kMapFlags, -1, 0);
  return p == MAP_FAILED ? nullptr : p;
}

}  // namespace

DeviceMemory& DeviceMemory::instance() {
  static DeviceMemory* m = new DeviceMemory;
  return *m;
}

DeviceMemory::DeviceMemory() {
  void* range = mmap(nullptr, kReserved, PROT_NONE, kMapFlags, -1, 0);
  table_ = static_cast<u32*>(map_table(kReserved / kGranule * sizeof(u32)));
  entries_ = static_cast<AllocationInfo*>(map_table(kMaxAllocations * sizeof(AllocationInfo)));
  if (range == MAP_FAILED || !table_ || !entries_) return;  // every allocation will then fail
  base_ = reinterpret_cast<u64>(range);
  top_ = align_up(base_, 1 << 20) + (1 << 20);
}

u64 DeviceMemory::allocate(u64 bytes, MemoryKind kind) {
  std::lock_guard lock(writer());
  // The guard begins right behind the last byte and fills the rest of the pages.
  const u64 span = align_up(bytes + kGuard, 4096);
  if (!base_ || entry_count_ == kMaxAllocations || bytes > kReserved / 2 ||
      top_ + span + 4096 > base_ + kReserved)
    return 0;
  const u64 at = top_;
  if (mprotect(reinterpret_cast<void*>(at), span, PROT_READ | PROT_WRITE) != 0) return 0;
  top_ += span + 4096;
  std::memset(reinterpret_cast<void*>(at), 0xff, span);
  entries_[entry_count_] = {at, at + bytes, kind, false};
  for (u64 g = (at - base_) / kGranule; g < (at + span - base_) / kGranule; ++g)
    table_[g] = entry_count_;
  ++entry_count_;
  live_bytes_ += bytes;
  return at;
}

bool DeviceMemory::release(u64 address) {
  std::lock_guard lock(writer());
  AllocationInfo info;
  if (!find(address, info) || info.begin != address || info.freed) return false;
  entries_[table_[(address - base_) / kGranule]].freed = true;
  live_bytes_ -= info.end - info.begin;
  // Give the pages back; the addresses stay taken.
  mmap(reinterpret_cast<void*>(info.begin), align_up(info.end - info.begin + kGuard, 4096),
       PROT_NONE, kMapFlags | MAP_FIXED, -1, 0);
  return true;
}

bool DeviceMemory::find(u64 address, AllocationInfo& out) const {
  if (!base_ || !in_range(address)) return false;
  const u32 number = table_[(address - base_) / kGranule];
  if (!number) return false;
  out = entries_[number];
  return true;
}

std::string DeviceMemory::explain(u64 address, u64 bytes) const {
  AllocationInfo a;
  if (!find(address, a))
    return format_text("address 0x%llx belongs to no allocation%s",
                       static_cast<unsigned long long>(address),
                       in_range(address) || address < 4096 ? "" : " (host memory?)");
  const char* what = a.freed            ? "use after free: "
                     : address >= a.end ? "behind the end: "
                                        : "across the end: ";
  return format_text("%s%llu bytes at offset %llu of an allocation of %llu bytes", what,
                     static_cast<unsigned long long>(bytes),
                     static_cast<unsigned long long>(address - a.begin),
                     static_cast<unsigned long long>(a.end - a.begin));
}

}  // namespace emulator
