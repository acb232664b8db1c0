#include "verification/guarded_buffer.hpp"

#include <cassert>
#include <cstdint>

#include "fmt/format.h"

namespace flash_kda::verification {
namespace {

constexpr std::size_t kAlignment = 64;
// On each side; more than one vector or cache line of any target, so that a stray full-width store
// past the end still lands in it.
constexpr std::size_t kGuardBytes = 512;
// 0xff repeated is a NaN in fp32, bf16 and fp16.
constexpr std::byte kNaNByte{0xff};

}  // namespace

GuardedBuffer::GuardedBuffer(std::string name, std::size_t bytes, std::size_t misalignment)
    : name_(std::move(name)),
      bytes_(bytes),
      storage_(bytes + misalignment + 2 * kGuardBytes + kAlignment, kNaNByte),
      may_change_(storage_.size(), false) {
  const auto address = reinterpret_cast<std::uintptr_t>(storage_.data());
  const std::size_t to_aligned = (kAlignment - address % kAlignment) % kAlignment;
  begin_ = storage_.data() + to_aligned + kGuardBytes + misalignment;
}

void GuardedBuffer::take_snapshot() { snapshot_ = storage_; }

bool GuardedBuffer::contains(const void* address) const {
  const auto* byte = static_cast<const std::byte*>(address);
  return byte >= begin_ && byte < begin_ + bytes_;
}

void GuardedBuffer::allow_change(const void* address, std::size_t count) {
  const std::ptrdiff_t first = static_cast<const std::byte*>(address) - storage_.data();
  for (std::size_t i = 0; i < count; ++i) may_change_[static_cast<std::size_t>(first) + i] = true;
}

std::string GuardedBuffer::stray_writes() const {
  assert(snapshot_.size() == storage_.size());
  std::size_t count = 0;
  std::ptrdiff_t first = 0;
  for (std::size_t i = storage_.size(); i-- > 0;) {
    if (may_change_[i] || storage_[i] == snapshot_[i]) continue;
    ++count;
    first = static_cast<std::ptrdiff_t>(i) - (begin_ - storage_.data());
  }
  if (count == 0) return {};
  return fmt::format("{}: {} bytes changed outside the results, first at byte {} of {}", name_,
                     count, first, bytes_);
}

}  // namespace flash_kda::verification
