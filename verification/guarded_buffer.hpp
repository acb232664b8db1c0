// Memory that knows which of its bytes may change: NaN everywhere at first, guard bands on both
// sides, and a snapshot to compare with after the call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace flash_kda::verification {

class GuardedBuffer {
 public:
  // data() lies `misalignment` bytes past a multiple of 64.
  GuardedBuffer(std::string name, std::size_t bytes, std::size_t misalignment);

  std::byte* data() const { return begin_; }
  std::size_t bytes() const { return bytes_; }
  const std::string& name() const { return name_; }

  // Call once, when the inputs are in place.
  void take_snapshot();
  // These bytes belong to a result. They must lie inside the buffer.
  void allow_change(const void* address, std::size_t count);
  void allow_all() { allow_change(begin_, bytes_); }
  bool contains(const void* address) const;

  // "out: 3 bytes changed outside the results, first at byte -4"; empty when there are none.
  std::string stray_writes() const;

 private:
  std::string name_;
  std::size_t bytes_;
  std::vector<std::byte> storage_, snapshot_;
  std::vector<bool> may_change_;
  std::byte* begin_ = nullptr;  // inside storage_
};

}  // namespace flash_kda::verification
