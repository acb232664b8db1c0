// Shadow memory: for every 4 bytes the last write, the reads since, and (shared memory) which bytes
// are defined.
//
// A cell of 32 bytes holds one write and one read; that is enough for nearly all words at nearly
// all times. Words with more to remember (several concurrent readers, bytes written by different
// threads) point to a Crowd.
#pragma once

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <shared_mutex>
#include <vector>

#include "check/clock.hpp"
#include "check/observer.hpp"
#include "check/read_rows.hpp"

namespace emulator::check {

enum class Strength : u8 { kWeak, kCta, kCluster, kGpu, kSys, kAsync };

struct WriteStamp {
  u32 actor = 0;  // 0: nobody
  u32 clock = 0;
  u32 site : 24 = kNoSite;
  u32 lane : 5 = 0;
  u32 strength : 3 = 0;
};

struct ReadStamp {
  u32 actor = 0;
  u32 clock = 0;
  u32 lanes = 0;  // 0: nobody
  u32 site : 24 = kNoSite;
  u32 bytes : 4 = 0;  // which of the four
  u32 strength : 4 = 0;
};

struct Cell {
  WriteStamp write;
  ReadStamp read;
  u32 defined : 4 = 0;
  u32 write_bytes : 4 = 0;
  u32 crowd : 24 = 0;  // 0: none
};
static_assert(sizeof(Cell) == 32);

struct ByteWrite {
  WriteStamp stamp;
  u32 bytes = 0;
};

struct Crowd {
  std::vector<ByteWrite>
      writes;  // older than Cell::write, not overwritten by it or not ordered before it
  std::vector<ReadStamp> reads;
};

class ShadowTable {
 public:
  explicit ShadowTable(u32 bytes) : cells_((bytes + 3) / 4), crowds_(1) {}

  // As new, for another CTA: fresh pages from the system would cost more than the accesses of a
  // short CTA.
  void reset(u32 bytes);
  u32 size() const { return static_cast<u32>(cells_.size()); }
  Cell& operator[](u32 i) { return cells_[i]; }
  Crowd& crowd(Cell& cell);
  void release_if_empty(Cell& cell);

  ReadRows rows;  // shared memory only; readers that have no row are in the cells

 private:
  std::vector<Cell> cells_;
  std::vector<Crowd> crowds_;
  std::vector<u32> free_;
};

inline constexpr u32 kPageBytes = 4096;

class SpinLock {
 public:
  void lock() {
    while (flag_.test_and_set(std::memory_order_acquire)) {
    }
  }
  void unlock() { flag_.clear(std::memory_order_release); }

 private:
  std::atomic_flag flag_;
};

// One page of global memory. Lock it before anything else.
class GlobalPage {
 public:
  explicit GlobalPage(bool defined) { defined_.fill(defined ? ~u64{0} : 0); }

  SpinLock lock;
  ShadowTable& table() {
    if (!table_) table_ = std::make_unique<ShadowTable>(kPageBytes);
    return *table_;
  }
  void forget_accesses() { table_.reset(); }
  bool defined(u32 offset, u32 bytes) const {
    if (offset % 64 + bytes <= 64) {
      const u64 ones = bytes == 64 ? ~u64{0} : (u64{1} << bytes) - 1;
      return (~defined_[offset / 64] >> offset % 64 & ones) == 0;
    }
    for (u32 i = offset; i < offset + bytes; ++i)
      if (!(defined_[i / 64] >> i % 64 & 1)) return false;
    return true;
  }
  void define(u32 offset, u32 bytes, bool value);

 private:
  std::unique_ptr<ShadowTable> table_;
  std::array<u64, kPageBytes / 64> defined_;
};

struct Allocation {
  u64 base = 0, bytes = 0;
  std::vector<u8> page_default;  // 1: defined, for pages not made yet
  std::vector<std::atomic<GlobalPage*>> pages;

  Allocation(u64 base, u64 bytes, bool defined);
  ~Allocation();
  bool contains(u64 address) const { return address - base < bytes; }
  GlobalPage& page(u64 address);
  static u32 offset_in_page(u64 address, u64 base) { return (address - base) % kPageBytes; }
};

class GlobalShadow {
 public:
  void allocated(u64 base, u64 bytes, bool defined);
  void freed(u64 base);
  std::shared_ptr<Allocation> find(u64 address) const;
  u32 generation() const { return generation_.load(std::memory_order_acquire); }
  // Calls f(page, offset in page, bytes, address) with the page locked, for every part of the range
  // that lies in an allocation.
  template <class F>
  void for_pages(u64 address, u64 bytes, F&& f);
  void define(u64 address, u64 bytes, bool value);
  void copy_defined(u64 to, u64 from, u64 bytes);
  void forget_accesses();

 private:
  mutable std::shared_mutex mutex_;
  std::map<u64, std::shared_ptr<Allocation>> allocations_;
  std::atomic<u32> generation_{1};
};

template <class F>
void GlobalShadow::for_pages(u64 address, u64 bytes, F&& f) {
  while (bytes) {
    const std::shared_ptr<Allocation> a = find(address);
    if (!a) return;
    u64 rest = std::min(bytes, a->base + a->bytes - address);
    bytes -= rest;
    while (rest) {
      const u32 offset = Allocation::offset_in_page(address, a->base);
      const u32 n = static_cast<u32>(std::min<u64>(rest, kPageBytes - offset));
      GlobalPage& page = a->page(address);
      page.lock.lock();
      f(page, offset, n, address);
      page.lock.unlock();
      address += n;
      rest -= n;
    }
  }
}

}  // namespace emulator::check
