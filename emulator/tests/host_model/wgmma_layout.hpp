// Shared-memory layouts that wgmma matrix descriptors describe, as the PTX manual draws them.
#pragma once

#include <cstdint>

#include "tensor_map.hpp"

namespace host_model {

// An operand of `extent` (M or N) times one instruction's K, which is 32 bytes of a K-major row.
struct WgmmaOperand {
  int extent;
  int k;
  int element_bytes;
  bool k_major;
  int swizzle_bytes;     // 0, 32, 64 or 128
  uint32_t leading;      // leading dimension byte offset
  uint32_t stride;       // stride dimension byte offset
  uint32_t slice_bytes;  // K-major with swizzle: where in the swizzled row the instruction's K lies

  int unit() const { return 16 / element_bytes; }  // elements in 16 bytes

  // Offset from the operand's start, before swizzling, of element (mn, k).
  uint32_t linear_offset(int mn, int k_index) const {
    const uint32_t row_bytes = swizzle_bytes;
    if (k_major && swizzle_bytes == 0) {
      return static_cast<uint32_t>(mn % 8 * 16 + k_index % unit() * element_bytes) +
             static_cast<uint32_t>(mn / 8) * stride +
             static_cast<uint32_t>(k_index / unit()) * leading;
    }
    if (k_major) {
      return static_cast<uint32_t>(mn % 8) * row_bytes + static_cast<uint32_t>(mn / 8) * stride +
             static_cast<uint32_t>(k_index * element_bytes) + slice_bytes;
    }
    if (swizzle_bytes == 0) {
      return static_cast<uint32_t>(k_index % 8 * 16 + mn % unit() * element_bytes) +
             static_cast<uint32_t>(mn / unit()) * stride +
             static_cast<uint32_t>(k_index / 8) * leading;
    }
    const int span = swizzle_bytes / element_bytes;
    return static_cast<uint32_t>(mn % span * element_bytes) +
           static_cast<uint32_t>(k_index % 8) * row_bytes +
           static_cast<uint32_t>(mn / span) * leading + static_cast<uint32_t>(k_index / 8) * stride;
  }
  uint32_t offset(int mn, int k_index) const {
    return swizzle(linear_offset(mn, k_index), swizzle_bytes);
  }

  uint64_t descriptor(uint32_t start) const {
    const uint64_t mode = swizzle_bytes == 128  ? 1
                          : swizzle_bytes == 64 ? 2
                          : swizzle_bytes == 32 ? 3
                                                : 0;
    const auto field = [](uint32_t bytes) { return uint64_t{bytes >> 4 & 0x3fff}; };
    return field(start + slice_bytes) | field(leading) << 16 | field(stride) << 32 | mode << 62;
  }
};

// The layout with the smallest offsets, each stretched by `gap` bytes.
inline WgmmaOperand make_wgmma_operand(int extent, int k, int element_bytes, bool k_major,
                                       int swizzle_bytes, uint32_t gap, uint32_t slice) {
  WgmmaOperand operand{extent, k, element_bytes, k_major, swizzle_bytes, 0, 0, 0};
  const auto groups = [](int count, int size) {
    return static_cast<uint32_t>((count + size - 1) / size);
  };
  if (k_major && swizzle_bytes == 0) {
    operand.leading = 128 + gap;
    operand.stride = operand.leading * groups(k, operand.unit());
  } else if (k_major) {
    operand.leading = 16;  // ignored by the hardware
    operand.stride = static_cast<uint32_t>(8 * swizzle_bytes) + gap;
    operand.slice_bytes = slice * 32 % static_cast<uint32_t>(swizzle_bytes);
  } else if (swizzle_bytes == 0) {
    operand.stride = 128 + gap;
    operand.leading = operand.stride * groups(extent, operand.unit());
  } else {
    operand.stride = static_cast<uint32_t>(8 * swizzle_bytes) + gap;
    operand.leading = operand.stride * groups(k, 8);
  }
  return operand;
}

}  // namespace host_model
