// Fixed-width names and the few constants that every part of the emulator shares.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace emulator {

using u8 = uint8_t;
using u16 = uint16_t;
using u32 = uint32_t;
using u64 = uint64_t;
using s8 = int8_t;
using s16 = int16_t;
using s32 = int32_t;
using s64 = int64_t;

inline constexpr u32 kWarpSize = 32;
inline constexpr u32 kAllLanes = ~0u;
inline constexpr u32 kNone = ~0u;

// Generic addresses carry their space in the top byte; everything else is global memory.
inline constexpr u64 kSharedTag = 0x0100'0000'0000'0000ull;
inline constexpr u64 kLocalTag = 0x0200'0000'0000'0000ull;
inline constexpr u64 kTagMask = 0xff00'0000'0000'0000ull;

// A shared address is (rank of the CTA in its cluster) << 24 | offset, as on Hopper.
inline constexpr u32 kSharedRankShift = 24;
// Hopper reserves the first KiB of shared memory, so offset 0 is never a valid address.
inline constexpr u32 kSharedReserved = 1024;

enum class Space : u8 { kGeneric, kGlobal, kShared, kConstant, kLocal };

template <class T>
inline T load_as(const void* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

template <class T>
inline void store_as(void* p, T v) {
  std::memcpy(p, &v, sizeof v);
}

inline u32 lowest_lane(u32 mask) { return static_cast<u32>(std::countr_zero(mask)); }

template <class F>
inline void for_lanes(u32 mask, F&& f) {
  for (; mask; mask &= mask - 1) f(lowest_lane(mask));
}

inline u64 align_up(u64 value, u64 alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

// xorshift64*: small, seedable, the same everywhere.
struct Random {
  u64 state = 0x9E3779B97F4A7C15ull;
  explicit Random(u64 seed = 0) : state((seed + 1) * 0x9E3779B97F4A7C15ull | 1) {}
  u64 next() {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545F4914F6CDD1Dull;
  }
  u64 below(u64 n) { return n ? (next() >> 11) % n : 0; }
};

}  // namespace emulator
