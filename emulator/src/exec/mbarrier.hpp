// The mbarrier object: a real 64-bit word in shared memory, as opaque as on hardware.
//   bits 0..19 expected arrivals, 20..39 pending, 40..61 transaction bytes (signed), 62 zero when
//   initialised, 63 phase
#pragma once

#include "exec/warp.hpp"

namespace emulator {

struct Mbarrier {
  u32 expected = 0;
  u32 pending = 0;
  s32 tx = 0;
  bool valid = false;
  bool phase = false;
  static Mbarrier unpack(u64 word);
  u64 pack() const;
};

// `address` is a shared address with rank bits.
u8* mbarrier_at(Warp& w, const Inst& i, u32 address, Cta** owner);
Mbarrier mbarrier_load(Warp& w, const Inst& i, u32 address, Cta** owner);

struct MbarrierChange {
  u32 arrivals = 0;
  s32 expect_tx = 0;
  s32 complete_tx = 0;
  bool drop = false;  // lowers the expected count of later phases
};
// Applies the change and completes the phase if nothing is missing. Returns the word before.
u64 mbarrier_update(Warp& w, const Inst& i, u32 address, const MbarrierChange& change);

}  // namespace emulator
