#include "check/shadow.hpp"

#include <mutex>

namespace emulator::check {

void ShadowTable::reset(u32 bytes) {
  cells_.assign((bytes + 3) / 4, Cell());
  crowds_.resize(1);
  free_.clear();
}

Crowd& ShadowTable::crowd(Cell& cell) {
  if (cell.crowd == 0) {
    if (free_.empty()) {
      cell.crowd = static_cast<u32>(crowds_.size());
      crowds_.emplace_back();
    } else {
      cell.crowd = free_.back();
      free_.pop_back();
    }
  }
  return crowds_[cell.crowd];
}

void ShadowTable::release_if_empty(Cell& cell) {
  if (cell.crowd == 0) return;
  const Crowd& crowd = crowds_[cell.crowd];
  if (!crowd.writes.empty() || !crowd.reads.empty()) return;
  free_.push_back(cell.crowd);
  cell.crowd = 0;
}

void GlobalPage::define(u32 offset, u32 bytes, bool value) {
  if (bytes == kPageBytes) {
    defined_.fill(value ? ~u64{0} : 0);
    return;
  }
  for (u32 i = offset; i < offset + bytes;) {
    const u32 in_word = std::min(64 - i % 64, offset + bytes - i);
    const u64 ones = in_word == 64 ? ~u64{0} : (u64{1} << in_word) - 1;
    const u64 mask = ones << i % 64;
    if (value)
      defined_[i / 64] |= mask;
    else
      defined_[i / 64] &= ~mask;
    i += in_word;
  }
}

Allocation::Allocation(u64 base, u64 bytes, bool defined)
    : base(base),
      bytes(bytes),
      page_default((bytes + kPageBytes - 1) / kPageBytes, defined),
      pages(page_default.size()) {}

Allocation::~Allocation() {
  for (auto& page : pages) delete page.load();
}

GlobalPage& Allocation::page(u64 address) {
  const size_t i = (address - base) / kPageBytes;
  GlobalPage* page = pages[i].load(std::memory_order_acquire);
  if (page) return *page;
  auto fresh = std::make_unique<GlobalPage>(page_default[i] != 0);
  if (pages[i].compare_exchange_strong(page, fresh.get())) return *fresh.release();
  return *page;
}

void GlobalShadow::allocated(u64 base, u64 bytes, bool defined) {
  std::unique_lock lock(mutex_);
  allocations_[base] = std::make_shared<Allocation>(base, bytes, defined);
  ++generation_;
}

void GlobalShadow::freed(u64 base) {
  std::unique_lock lock(mutex_);
  allocations_.erase(base);
  ++generation_;
}

std::shared_ptr<Allocation> GlobalShadow::find(u64 address) const {
  std::shared_lock lock(mutex_);
  auto it = allocations_.upper_bound(address);
  if (it == allocations_.begin()) return nullptr;
  --it;
  return it->second->contains(address) ? it->second : nullptr;
}

void GlobalShadow::define(u64 address, u64 bytes, bool value) {
  while (bytes) {
    const std::shared_ptr<Allocation> a = find(address);
    if (!a) return;
    u64 rest = std::min(bytes, a->base + a->bytes - address);
    bytes -= rest;
    while (rest) {
      const u32 offset = Allocation::offset_in_page(address, a->base);
      const u32 n = static_cast<u32>(std::min<u64>(rest, kPageBytes - offset));
      const size_t i = (address - a->base) / kPageBytes;
      if (n == kPageBytes && !a->pages[i].load()) {
        a->page_default[i] = value;
      } else {
        GlobalPage& page = a->page(address);
        page.lock.lock();
        page.define(offset, n, value);
        page.lock.unlock();
      }
      address += n;
      rest -= n;
    }
  }
}

void GlobalShadow::copy_defined(u64 to, u64 from, u64 bytes) {
  std::vector<u8> defined(bytes, 0);
  for_pages(from, bytes, [&](GlobalPage& page, u32 offset, u32 n, u64 address) {
    for (u32 i = 0; i < n; ++i) defined[address - from + i] = page.defined(offset + i, 1);
  });
  for_pages(to, bytes, [&](GlobalPage& page, u32 offset, u32 n, u64 address) {
    for (u32 i = 0; i < n; ++i) page.define(offset + i, 1, defined[address - to + i] != 0);
  });
}

void GlobalShadow::forget_accesses() {
  std::unique_lock lock(mutex_);
  for (auto& [base, a] : allocations_)
    for (auto& page : a->pages)
      if (GlobalPage* p = page.load()) p->forget_accesses();
}

}  // namespace emulator::check
