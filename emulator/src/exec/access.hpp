// Addresses of a warp instruction turned into host pointers, with every check on the way.
#pragma once

#include "check/observer.hpp"
#include "exec/error.hpp"
#include "exec/warp.hpp"

namespace emulator {

inline check::WarpEvent event_of(const Warp& w, const Inst& i, u32 mask) {
  return {w.kernel->site_base + w.kernel->index_of(i), w.id, mask};
}
inline check::CtaObserver* observer_of(const Warp& w) { return w.cta->observer.get(); }

struct LanePointers {
  alignas(64) u64 address[kWarpSize];  // as in PTX
  u8* pointer[kWarpSize];
};

// Reads the address register (4 or 8 bytes wide) and adds the immediate offset.
inline void load_addresses(Warp& w, u32 reg, u32 width, s64 offset, u64* out) {
  if (width == 8) {
    const u64* a = w.reg<u64>(reg);
    for (u32 l = 0; l < kWarpSize; ++l) out[l] = a[l] + static_cast<u64>(offset);
  } else {
    const u32* a = w.reg<u32>(reg);
    const u32 o = static_cast<u32>(offset);
    for (u32 l = 0; l < kWarpSize; ++l) out[l] = a[l] + o;
  }
}

// Fills lanes.pointer for the lanes of `mask`; faults on a bad address. Tells the observer.
void resolve(Warp& w, const Inst& i, Space space, u32 mask, u32 bytes,
             const check::WarpAccess& access, LanePointers& lanes);

// One shared address (with rank bits) to a pointer; `owner` receives the CTA that owns it.
u8* shared_pointer(Warp& w, const Inst& i, u32 address, u32 bytes, u32 alignment, Cta** owner);
u8* global_pointer(Warp& w, const Inst& i, u64 address, u64 bytes, u32 alignment);
// Shared addresses as 32 bits from either a shared-space or a generic register.
Cta* shared_owner(Warp& w, const Inst& i, u32 address);

}  // namespace emulator
