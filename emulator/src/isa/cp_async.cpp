// cp.async of single threads, its groups, and its arrival at an mbarrier.
#include "exec/access.hpp"
#include "exec/async.hpp"
#include "exec/counters.hpp"
#include "exec/mbarrier.hpp"
#include "isa/handlers.hpp"
#include "isa/lanes.hpp"
#include "isa/memory_order.hpp"

namespace emulator::isa {
namespace {

constexpr u32 kShared64 = 1 << 5, kGlobal64 = 1 << 6, kHasSourceSize = 1 << 7, kNoInc = 1 << 8,
              kIgnoreSource = 1 << 9;

struct ThreadCopy final : AsyncOp {
  u32 bytes = 16;
  u8* to[kWarpSize];
  const u8* from[kWarpSize];
  u32 source_bytes[kWarpSize];
  void finish(Cta&) override {
    for_lanes(mask, [&](u32 l) {
      std::memcpy(to[l], from[l], source_bytes[l]);
      std::memset(to[l] + source_bytes[l], 0, bytes - source_bytes[l]);
    });
  }
};

struct CopyArrive final : AsyncOp {
  u32 address[kWarpSize];
  bool no_increment = false;
  void finish(Cta& cta) override {
    Warp& w = cta.warps[warp];
    for_lanes(mask, [&](u32 l) {
      MbarrierChange change;
      change.arrivals = 1;
      mbarrier_update(w, *inst, address[l], change);
    });
  }
};

void copy_lanes(Warp& w, const Inst& i, u32 mask) {
  auto op = std::make_unique<ThreadCopy>();
  op->kind = AsyncOp::Kind::kCopy;
  op->mask = mask;
  op->bytes = i.target;
  u64 shared[kWarpSize], global[kWarpSize];
  load_addresses(w, i.a, i.flags & kShared64 ? 8 : 4, static_cast<s32>(i.imm), shared);
  load_addresses(w, i.b, 8, i.imm >> 32, global);
  u32 offsets[kWarpSize] = {};
  for_lanes(mask, [&](u32 l) {
    const u32 address = static_cast<u32>(shared[l]);
    op->to[l] = shared_pointer(w, i, address, op->bytes, op->bytes, nullptr);
    offsets[l] = address & ((1u << kSharedRankShift) - 1);
    u32 n = op->bytes;
    if (i.flags & kHasSourceSize) n = std::min(n, w.reg<u32>(i.e)[l]);
    if ((i.flags & kIgnoreSource) && (w.predicate(i.e) >> l & 1)) n = 0;
    op->source_bytes[l] = n;
    op->from[l] = n ? global_pointer(w, i, global[l], n, 1) : nullptr;
    if (global[l] & (op->bytes - 1))
      fault(w, i, FaultKind::kMisalignedAddress,
            "lane %u: cp.async source 0x%llx is not aligned to %u", l,
            static_cast<unsigned long long>(global[l]), op->bytes);
  });
  if (InstCount* count = counts_of(w, i)) {
    count_shared(*count, mask, op->bytes, offsets);
    count_global(*count, mask, op->bytes, global);
    count->copy_bytes += u64{op->bytes} * static_cast<u32>(std::popcount(mask));
  }
  if (auto* o = observer_of(w))
    o->cp_async(event_of(w, i, mask), op->bytes, offsets, global, op->source_bytes);
  const u32 group = w.copy_groups[lowest_lane(mask)];
  op->group = group;
  enqueue(w, i, std::move(op));
}

void commit_lanes(Warp& w, const Inst& i, u32 mask) {
  for_lanes(mask, [&](u32 l) { ++w.copy_groups[l]; });
  if (auto* o = observer_of(w)) o->cp_async_commit(event_of(w, i, mask));
}

bool group_pending(Warp& w, u32 mask, u32 newest_allowed) {
  for (const auto& op : w.cta->pending) {
    if (op->kind != AsyncOp::Kind::kCopy || op->warp != w.id || !(op->mask & mask)) continue;
    const u32 committed = w.copy_groups[lowest_lane(op->mask & mask)];
    if (op->group + newest_allowed < committed) return true;
  }
  return false;
}

Step wait_group(Warp& w, const Inst& i, Group&, u32 mask) {
  if (group_pending(w, mask, static_cast<u32>(i.imm))) return Step::kStall;
  if (auto* o = observer_of(w)) o->cp_async_wait(event_of(w, i, mask), static_cast<u32>(i.imm));
  return Step::kDone;
}

Step wait_all(Warp& w, const Inst& i, Group&, u32 mask) {
  for (const auto& op : w.cta->pending)
    if (op->kind == AsyncOp::Kind::kCopy && op->warp == w.id && (op->mask & mask))
      return Step::kStall;
  if (auto* o = observer_of(w)) o->cp_async_wait_all(event_of(w, i, mask));
  return Step::kDone;
}

void arrive_lanes(Warp& w, const Inst& i, u32 mask) {
  auto op = std::make_unique<CopyArrive>();
  op->kind = AsyncOp::Kind::kCopyArrive;
  op->mask = mask;
  u64 shared[kWarpSize];
  load_addresses(w, i.a, i.flags & kShared64 ? 8 : 4, i.imm, shared);
  u32 offsets[kWarpSize] = {};
  for_lanes(mask, [&](u32 l) {
    op->address[l] = static_cast<u32>(shared[l]);
    offsets[l] = op->address[l] & ((1u << kSharedRankShift) - 1);
    Cta* owner;
    Mbarrier b = mbarrier_load(w, i, op->address[l], &owner);
    if (i.flags & kNoInc) return;
    // Without .noinc the pending count grows by one, so that the later arrival leaves it unchanged.
    ++b.pending;
    store_as(owner->shared + offsets[l], b.pack());
  });
  if (auto* o = observer_of(w)) o->cp_async_mbarrier_arrive(event_of(w, i, mask), offsets);
  enqueue(w, i, std::move(op));
}

void decode_copy(Decode& d) {
  const std::string_view level = d.mods.take_one_of({"ca", "cg"});
  if (level.empty()) reject("needs .ca or .cg");
  const bool from = d.mods.take("global");
  const bool to = d.mods.take("shared") || d.mods.take("shared::cta");
  if (!from || !to) reject("unknown state spaces");
  const bool policy = d.mods.has("L2::cache_hint");
  take_cache_hints(d.mods);
  const u32 bytes = static_cast<u32>(d.immediate(2));
  if (bytes != 16 && (level == "cg" || (bytes != 4 && bytes != 8)))
    reject("copy size must be 4, 8 or 16 (.ca) or 16 (.cg)");
  if (d.address(d.op(0), d.inst.a) == 8) d.inst.flags |= kShared64;
  const s64 shared_offset = d.inst.imm;
  if (d.address(d.op(1), d.inst.b) != 8) reject("global address must have 64 bits");
  d.inst.imm = d.inst.imm << 32 | (shared_offset & 0xffffffff);
  const size_t optional = d.ops.size() - 3 - (policy ? 1 : 0);
  if (optional > 0) {
    const ptx::Operand& o = d.op(3);
    const bool predicate = d.builder.is_register(o) && d.builder.register_size(o) == 0;
    d.inst.e = predicate ? d.use_predicate(3) : d.use(3, 4);
    d.inst.flags |= predicate ? kIgnoreSource : kHasSourceSize;
  }
  d.inst.target = bytes;
  d.inst.run = &copy_lanes;
}

void decode_arrive(Decode& d) {
  if (d.mods.take("noinc")) d.inst.flags |= kNoInc;
  if (d.mods.take_last() != "b64") reject("unknown type");
  take_space(d.mods);
  if (d.address(d.op(0), d.inst.a) == 8) d.inst.flags |= kShared64;
  d.inst.run = &arrive_lanes;
}

void decode_cp(Decode& d) {
  if (d.mods.has("bulk")) return decode_bulk(d);
  if (!d.mods.take("async")) reject("unknown form");
  if (d.mods.take("mbarrier")) {
    if (!d.mods.take("arrive")) reject("unknown form");
    return decode_arrive(d);
  }
  if (d.mods.take("commit_group")) {
    d.inst.run = &commit_lanes;
  } else if (d.mods.take("wait_group")) {
    d.inst.imm = d.immediate(0);
    d.inst.flow = Flow::kWait;
    d.inst.wait = &wait_group;
  } else if (d.mods.take("wait_all")) {
    d.inst.flow = Flow::kWait;
    d.inst.wait = &wait_all;
  } else {
    decode_copy(d);
  }
}

}  // namespace

void add_async_copies(Registry& r) {
  r.family("cp", &decode_cp);
  r.family("cp.reduce", &decode_bulk);
}

}  // namespace emulator::isa
