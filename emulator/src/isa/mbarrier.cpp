// mbarrier instructions.
#include "exec/mbarrier.hpp"

#include "exec/access.hpp"
#include "isa/handlers.hpp"
#include "isa/lanes.hpp"
#include "isa/memory_order.hpp"

namespace emulator::isa {
namespace {

// inst.flags beyond order and scope
constexpr u32 kAddress64 = 1 << 5, kDrop = 1 << 6, kParity = 1 << 7, kBlocking = 1 << 8,
              kExpectTx = 1 << 9, kCompleteTx = 1 << 10, kArrives = 1 << 11;
constexpr u32 kOffsetMask = (1u << kSharedRankShift) - 1;

u32 address_of(Warp& w, const Inst& i, u32 lane) {
  return i.flags & kAddress64 ? static_cast<u32>(w.reg<u64>(i.a)[lane] + static_cast<u64>(i.imm))
                              : w.reg<u32>(i.a)[lane] + static_cast<u32>(i.imm);
}

void init_lanes(Warp& w, const Inst& i, u32 mask) {
  u32 offsets[kWarpSize] = {};
  for_lanes(mask, [&](u32 l) {
    const u32 address = address_of(w, i, l), count = w.reg<u32>(i.b)[l];
    if (count == 0 || count > (1u << 20) - 1)
      fault(w, i, FaultKind::kHardwareRule, "mbarrier count %u is not in 1..2^20-1", count);
    u8* p = mbarrier_at(w, i, address, nullptr);
    offsets[l] = address & kOffsetMask;
    store_as(p, Mbarrier{count, count, 0, true, false}.pack());
  });
  note_activity(w);
  if (auto* o = observer_of(w)) o->mbarrier_init(event_of(w, i, mask), offsets, w.reg<u32>(i.b));
}

void inval_lanes(Warp& w, const Inst& i, u32 mask) {
  u32 offsets[kWarpSize] = {};
  for_lanes(mask, [&](u32 l) {
    offsets[l] = address_of(w, i, l) & kOffsetMask;
    store_as(mbarrier_at(w, i, address_of(w, i, l), nullptr), ~u64{0});
  });
  if (auto* o = observer_of(w)) o->mbarrier_inval(event_of(w, i, mask), offsets);
}

// arrive, arrive_drop, expect_tx, complete_tx and their combinations. b: count, c: bytes.
void change_lanes(Warp& w, const Inst& i, u32 mask) {
  for_lanes(mask, [&](u32 l) {
    MbarrierChange change;
    if (i.flags & kArrives) change.arrivals = i.b == kNone ? 1 : w.reg<u32>(i.b)[l];
    const u32 bytes = i.c == kNone ? 0 : w.reg<u32>(i.c)[l];
    if (i.flags & kExpectTx) change.expect_tx = static_cast<s32>(bytes);
    if (i.flags & kCompleteTx) change.complete_tx = static_cast<s32>(bytes);
    change.drop = i.flags & kDrop;
    const u32 address = address_of(w, i, l);
    if (auto* o = observer_of(w)) {
      u32 offsets[kWarpSize] = {};
      s32 tx[kWarpSize] = {};
      offsets[l] = address & kOffsetMask;
      tx[l] = change.expect_tx - change.complete_tx;
      o->mbarrier_arrive(event_of(w, i, 1u << l), shared_owner(w, i, address)->linear_id, offsets,
                         change.arrivals, i.c == kNone ? nullptr : tx, order_of(i.flags),
                         scope_of(i.flags));
    }
    const u64 before = mbarrier_update(w, i, address, change);
    if (i.d != kNone) w.reg<u64>(i.d)[l] = before;
  });
}

Step wait_lanes(Warp& w, const Inst& i, Group& g, u32 mask) {
  u32 ready = 0;
  u32 offsets[kWarpSize] = {};
  for_lanes(mask, [&](u32 l) {
    const u32 address = address_of(w, i, l);
    if (address >> kSharedRankShift != w.cta->rank)
      fault(w, i, FaultKind::kHardwareRule, "lane %u waits on an mbarrier of another CTA", l);
    const Mbarrier b = mbarrier_load(w, i, address, nullptr);
    offsets[l] = address & kOffsetMask;
    const bool phase = i.flags & kParity ? (w.reg<u32>(i.b)[l] & 1) != 0
                                         : Mbarrier::unpack(w.reg<u64>(i.b)[l]).phase;
    ready |= u32{b.phase != phase} << l;
  });
  // try_wait may give up at any time; a permuted schedule makes use of that now and then.
  const bool blocks = (i.flags & kBlocking) && ready == 0 &&
                      !(options().seed && w.cta->cluster->random.below(64) == 0) &&
                      !(w.cta->cluster->tries_time_out && g.token == kInTryWait);
  if (blocks) {
    // Told once: a deadlock may want to know what this warp waits for.
    if (auto* o = observer_of(w); o && g.token == 0)
      o->mbarrier_wait(event_of(w, i, mask), offsets, 0, order_of(i.flags), scope_of(i.flags));
    g.token = kInTryWait;
    return Step::kStall;
  }
  g.token = 0;
  set_predicate(w, i.d, mask, ready);
  if (auto* o = observer_of(w))
    o->mbarrier_wait(event_of(w, i, mask), offsets, ready, order_of(i.flags), scope_of(i.flags));
  return Step::kDone;
}

void pending_count_lanes(Warp& w, const Inst& i, u32 mask) {
  const u64* a = w.reg<u64>(i.a);
  store_lanes(w.reg<u32>(i.d), mask, [=](u32 l) { return static_cast<u32>(a[l] >> 20) & 0xfffff; });
}

void take_address(Decode& d, size_t at) {
  take_space(d.mods);
  if (d.address(d.op(at), d.inst.a) == 8) d.inst.flags |= kAddress64;
}

void decode_wait(Decode& d) {
  const bool blocking = d.mods.take("try_wait");
  if (!blocking) d.mods.take("test_wait");
  d.inst.flags = pack_order(take_order(d.mods, check::Order::kAcquire),
                            take_scope(d.mods, check::Scope::kCta));
  if (blocking) d.inst.flags |= kBlocking;
  const bool parity = d.mods.take("parity");
  if (parity) d.inst.flags |= kParity;
  take_address(d, 1);
  d.inst.b = d.use(2, parity ? 4 : 8);
  d.inst.d = d.def_predicate(0);
  d.inst.flow = Flow::kWait;
  d.inst.wait = &wait_lanes;
}

void decode_change(Decode& d) {
  u32 flags = 0;
  if (d.mods.take("arrive_drop")) flags |= kArrives | kDrop;
  if (d.mods.take("arrive")) flags |= kArrives;
  if (d.mods.take("expect_tx")) flags |= kExpectTx;
  if (d.mods.take("complete_tx")) flags |= kCompleteTx;
  const bool no_complete = d.mods.take("noComplete");
  const check::Order order =
      take_order(d.mods, flags & kArrives ? check::Order::kRelease : check::Order::kRelaxed);
  d.inst.flags = flags | pack_order(order, take_scope(d.mods, check::Scope::kCta));
  size_t at = 0;
  if (d.op(0).kind != ptx::Operand::Kind::kAddress) {
    if (d.op(0).kind != ptx::Operand::Kind::kSink) d.inst.d = d.def(0, 8);
    at = 1;
  }
  take_address(d, at);
  if (flags & (kExpectTx | kCompleteTx)) {
    d.inst.c = d.use(at + 1, 4);
  } else if (d.ops.size() > at + 1) {
    d.inst.b = d.use(at + 1, 4);
  } else if (no_complete) {
    reject(".noComplete needs a count");
  }
  d.inst.run = &change_lanes;
}

void decode_mbarrier(Decode& d) {
  if (d.mods.take_last() != "b64") reject("unknown type");
  if (d.mods.take("init")) {
    take_address(d, 0);
    d.inst.b = d.use(1, 4);
    d.inst.run = &init_lanes;
  } else if (d.mods.take("inval")) {
    take_address(d, 0);
    d.inst.run = &inval_lanes;
  } else if (d.mods.take("pending_count")) {
    d.inst.a = d.use(1, 8);
    d.inst.d = d.def(0, 4);
    d.inst.run = &pending_count_lanes;
  } else if (d.mods.has("try_wait") || d.mods.has("test_wait")) {
    decode_wait(d);
  } else {
    decode_change(d);
    if (!(d.inst.flags & (kArrives | kExpectTx | kCompleteTx))) reject("unknown form");
  }
}

}  // namespace

void add_mbarrier(Registry& r) { r.family("mbarrier", &decode_mbarrier); }

}  // namespace emulator::isa
