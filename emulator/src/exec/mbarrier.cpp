#include "exec/mbarrier.hpp"

#include "exec/access.hpp"

namespace emulator {
namespace {

constexpr u32 kCountMask = (1u << 20) - 1;
constexpr s32 kTxLimit = (1 << 20) - 1;  // of the PTX manual

[[noreturn, gnu::cold]] void broken(Warp& w, const Inst& i, check::Rule rule,
                                    const std::string& text) {
  if (auto* o = observer_of(w)) o->violation(event_of(w, i, w.live), rule, text);
  fault(w, i, FaultKind::kHardwareRule, "%s", text.c_str());
}

}  // namespace

Mbarrier Mbarrier::unpack(u64 v) {
  Mbarrier b;
  b.expected = static_cast<u32>(v) & kCountMask;
  b.pending = static_cast<u32>(v >> 20) & kCountMask;
  b.tx = static_cast<s32>(v >> 40 & 0x3fffff) << 10 >> 10;
  b.valid = !(v >> 62 & 1);
  b.phase = v >> 63;
  return b;
}

u64 Mbarrier::pack() const {
  return u64{expected} | u64{pending} << 20 | (static_cast<u64>(tx) & 0x3fffff) << 40 |
         u64{!valid} << 62 | u64{phase} << 63;
}

u8* mbarrier_at(Warp& w, const Inst& i, u32 address, Cta** owner) {
  return shared_pointer(w, i, address, 8, 8, owner);
}

Mbarrier mbarrier_load(Warp& w, const Inst& i, u32 address, Cta** owner) {
  const Mbarrier b = Mbarrier::unpack(load_as<u64>(mbarrier_at(w, i, address, owner)));
  if (!b.valid)
    broken(w, i, check::Rule::kMbarrierInit,
           format_text("mbarrier at shared address 0x%x is not initialised", address));
  return b;
}

u64 mbarrier_update(Warp& w, const Inst& i, u32 address, const MbarrierChange& change) {
  Cta* owner;
  Mbarrier b = mbarrier_load(w, i, address, &owner);
  const u64 before = b.pack();
  b.tx += change.expect_tx - change.complete_tx;
  if (b.tx > kTxLimit || b.tx < -kTxLimit)
    broken(w, i, check::Rule::kMbarrierBytes,
           format_text("mbarrier at 0x%x: %d pending bytes exceed the limit", address, b.tx));
  if (change.arrivals > b.pending)
    broken(w, i, check::Rule::kMbarrierPhase,
           format_text("mbarrier at 0x%x: %u arrivals, but only %u of %u are pending", address,
                       change.arrivals, b.pending, b.expected));
  b.pending -= change.arrivals;
  if (change.drop) b.expected -= change.arrivals;
  const bool complete = b.pending == 0 && b.tx == 0;
  if (complete) {
    b.phase = !b.phase;
    b.pending = b.expected;
  }
  store_as(owner->shared + (address & ((1u << kSharedRankShift) - 1)), b.pack());
  if (complete)
    if (auto* o = observer_of(w))
      o->mbarrier_phase(owner->linear_id, address & ((1u << kSharedRankShift) - 1));
  note_activity(w);
  return before;
}

}  // namespace emulator
