// What this emulator keeps inside the opaque 128 bytes of a CUtensorMap.
#pragma once

#include "base/types.hpp"

namespace emulator {

enum class TensorElement : u8 {
  kU8,
  kU16,
  kU32,
  kS32,
  kU64,
  kS64,
  kF16,
  kF32,
  kF64,
  kBf16,
  kF32Ftz,
  kTf32,
  kTf32Ftz
};

struct TensorMap {
  static constexpr u32 kMagic = 0x70e3a91b;
  u64 base;
  u32 magic;
  u8 rank;
  u8 element_bytes;
  u8 swizzle;  // 0 none, 1 = 32 B, 2 = 64 B, 3 = 128 B
  u8 nan_fill;
  u32 dim[5];
  u16 box[5];
  u8 traversal[5];  // element strides
  TensorElement element;
  u64 stride[4];  // bytes, of dimensions 1..4
};
static_assert(sizeof(TensorMap) <= 120);

inline u32 swizzle_offset(u32 address, u32 mode) {
  switch (mode) {
    case 1:
      return address ^ (address >> 3 & 0x10);
    case 2:
      return address ^ (address >> 3 & 0x30);
    case 3:
      return address ^ (address >> 3 & 0x70);
    default:
      return address;
  }
}

}  // namespace emulator
