// Past accesses against those of now; accesses to global memory.
#include "check/cell_access.hpp"

namespace emulator::check {
bool View::ordered_slow(u32 actor, u32 clock_value, u32 lane, u32 my_lane) const {
  if (actor < clock->settled()) return true;
  const u32 i = actor - first;
  if (i < span) {
    if (lane == my_lane) {
      const u32 own = self - first;
      const u32 base = own / launch->layout.per_cta * launch->layout.per_cta;
      const u32 w = own - base;
      if (i == base + launch->layout.cp_async(w)) {
        if (clock_value <= warp->cp_async.known[lane]) return true;
      } else if (i == base + launch->layout.bulk_read(w)) {
        if (clock_value <= warp->bulk.known[lane]) return true;
      } else if (i == base + launch->layout.bulk_write(w)) {
        if (clock_value <= warp->bulk_complete[lane]) return true;
      }
    }
    return clock->own.covers(i, lane, clock_value);
  }
  if (actor < launch->first_actor) return false;
  const u32 far = actor - launch->first_actor;
  const ClockBlock* block = clock->foreign(far / span);
  return block && block->covers(far % span, lane, clock_value);
}

bool View::ordered_lanes(u32 actor, u32 clock_value, u32 lanes, u32 my_lane) const {
  const u32 i = actor - first;
  if (i < span && clock_value <= common[i]) return true;
  for (u32 m = lanes; m; m &= m - 1)
    if (!ordered(actor, clock_value, static_cast<u32>(__builtin_ctz(m)), my_lane)) return false;
  return true;
}

View CtaChecker::view_of(const WarpState& warp, const VectorClock& clock) const {
  View view;
  view.common = clock.own.common();
  view.first = cluster_->first_actor;
  view.span = cluster_->span;
  view.self = global_actor(warp);
  view.clock = &clock;
  view.warp = &warp;
  view.launch = &record_;
  return view;
}

AccessContext CtaChecker::context(const WarpEvent& event, const LaneGroup& group,
                                  Strength strength) const {
  return {view_of(state_.warps[event.warp], group.knowledge.ordered), &group, event.site,
          event.warp, strength};
}

void CtaChecker::check_writes(ShadowTable& table, u32 cell, u32 bytes, const AccessContext& context,
                              u32 lane, PastAccess::Kind now, const CellPlace& at) {
  const auto check = [&](const WriteStamp& w, u32 write_bytes) {
    if (w.actor == 0 || !(write_bytes & bytes)) return;
    if (context.view.ordered(w.actor, w.clock, w.lane, lane)) return;
    const PastAccess past{PastAccess::Kind::kWrite,         w.actor, w.clock, 1u << w.lane, w.site,
                          static_cast<Strength>(w.strength)};
    conflict(context, lane, past, now, u64{cell} * 4, at);
  };
  Cell& c = table[cell];
  check(c.write, c.write_bytes);
  if (c.crowd) {
    const Crowd& crowd = table.crowd(c);
    for (const ByteWrite& w : crowd.writes) check(w.stamp, w.bytes);
  }
}

void CtaChecker::check_reads(ShadowTable& table, u32 cell, u32 bytes, const AccessContext& context,
                             u32 lane, const CellPlace& at) {
  const auto check = [&](const ReadStamp& r) {
    if (r.lanes == 0 || !(r.bytes & bytes)) return;
    if (context.view.ordered_lanes(r.actor, r.clock, r.lanes, lane)) return;
    u32 lanes = r.lanes;
    if (lane < kLanes && r.actor == context.view.self) lanes &= ~(1u << lane);
    const PastAccess past{PastAccess::Kind::kRead, r.actor, r.clock,
                          lanes ? lanes : r.lanes, r.site,  static_cast<Strength>(r.strength)};
    conflict(context, lane, past, PastAccess::Kind::kWrite, u64{cell} * 4, at);
  };
  for (const u32 i : table.rows.active()) check(row_stamp(table.rows, i, cell));
  Cell& c = table[cell];
  check(c.read);
  if (c.crowd) {
    const Crowd& crowd = table.crowd(c);
    for (const ReadStamp& r : crowd.reads) check(r);
  }
}

// Keeps every read that a later write may still have to be ordered after; in global memory the last
// few of them, for inputs are read by every CTA.
void CtaChecker::record_read(ShadowTable& table, u32 cell, const ReadStamp& stamp,
                             const AccessContext& context, u32 lane, const CellPlace& at) {
  Cell& c = table[cell];
  const bool in_order = stamp.strength == static_cast<u32>(Strength::kAsync);
  // True if `r` needs no entry beside the new read.
  const auto absorbed = [&](ReadStamp& r) {
    if (r.lanes == 0) {
      r = stamp;
      return true;
    }
    if (r.actor != stamp.actor || r.strength != stamp.strength) return false;
    if (r.clock == stamp.clock) {
      if (r.bytes == stamp.bytes)
        r.lanes |= stamp.lanes;
      else if (r.lanes == stamp.lanes)
        r.bytes |= stamp.bytes;
      else
        return false;
      r.site = stamp.site;
      return true;
    }
    if (r.bytes & ~stamp.bytes) return false;
    // Groups of one asynchronous actor complete in order: to know the later is to know the earlier.
    if (!in_order && !context.view.ordered_lanes(r.actor, r.clock, r.lanes, lane)) return false;
    r = stamp;
    return true;
  };
  if (absorbed(c.read)) return;
  const auto superseded = [&](const ReadStamp& r) {
    return !(r.bytes & ~stamp.bytes) && context.view.ordered_lanes(r.actor, r.clock, r.lanes, lane);
  };
  if (!c.crowd && superseded(c.read)) {
    c.read = stamp;
    return;
  }
  Crowd& crowd = table.crowd(c);
  for (ReadStamp& r : crowd.reads)
    if (absorbed(r)) return;
  if (at.space == CellPlace::Space::kGlobal && crowd.reads.size() >= 2) {
    crowd.reads[stamp.clock % 2] = c.read;
    c.read = stamp;
    return;
  }
  if (crowd.reads.empty()) crowd.reads.reserve(4);
  if (crowd.reads.size() % 8 == 7) std::erase_if(crowd.reads, superseded);
  crowd.reads.push_back(c.read);
  c.read = stamp;
}

void CtaChecker::record_write(ShadowTable& table, u32 cell, u32 bytes, WriteStamp stamp,
                              const AccessContext& context, u32 lane) {
  Cell& c = table[cell];
  const bool same = c.write.actor == stamp.actor && c.write.clock == stamp.clock &&
                    c.write.lane == stamp.lane && c.write.strength == stamp.strength;
  const bool concurrent_atomics =
      stamp.strength && c.write.actor && !same && c.write.strength == stamp.strength &&
      !context.view.ordered(c.write.actor, c.write.clock, c.write.lane, lane);
  if (same) {
    c.write.site = stamp.site;
    c.write_bytes |= bytes;
  } else {
    const u32 left = concurrent_atomics ? u32{c.write_bytes} : c.write_bytes & ~bytes;
    if (left && c.write.actor) {
      Crowd& crowd = table.crowd(c);
      std::erase_if(crowd.writes, [&](const ByteWrite& w) {
        return context.view.ordered(w.stamp.actor, w.stamp.clock, w.stamp.lane, lane) &&
               !(w.bytes & ~bytes);
      });
      if (crowd.writes.size() < 64) crowd.writes.push_back({c.write, left});
    }
    c.write = stamp;
    c.write_bytes = bytes & 0xf;
  }
  c.read.bytes &= ~bytes;
  if (!c.read.bytes) c.read.lanes = 0;
  if (c.crowd) {
    Crowd& crowd = table.crowd(c);
    for (ReadStamp& r : crowd.reads) r.bytes &= ~bytes;
    std::erase_if(crowd.reads, [](const ReadStamp& r) { return r.bytes == 0; });
    if (!concurrent_atomics) {
      for (ByteWrite& w : crowd.writes) w.bytes &= ~bytes;
      std::erase_if(crowd.writes, [](const ByteWrite& w) { return w.bytes == 0; });
    }
    table.release_if_empty(c);
  }
}

Allocation* CtaChecker::allocation_at(u64 address) {
  GlobalShadow& global = launch_.checker.global;
  if (generation_ != global.generation()) {
    generation_ = global.generation();
    for (auto& a : recent_) a.reset();
  }
  for (const auto& a : recent_)
    if (a && a->contains(address)) return a.get();
  std::shared_ptr<Allocation> a = global.find(address);
  if (!a) return nullptr;
  recent_[recent_next_++ % 4] = a;
  return a.get();
}

void CtaChecker::global_access(const WarpEvent& event, const WarpAccess& access,
                               const uint64_t* addresses) {
  WarpState& warp = state_.warps[event.warp];
  warp.touched = true;
  const bool report_undefined = launch_.checker.options.report_uninitialised;
  GlobalPage* page = nullptr;
  u64 page_base = 1;  // no page starts there
  CellPlace at{CellPlace::Space::kGlobal, 0, 0};
  Allocation* allocation = nullptr;
  with_groups(warp, event.mask, [&](LaneGroup& group, u32 lanes) {
    const AccessContext x = context(event, group, strength_of(access));
    for_lanes(lanes, [&](u32 lane) {
      const u64 address = addresses[lane];
      if (!page || address - page_base >= kPageBytes) {
        if (page) page->lock.unlock();
        page = nullptr;
        if (!allocation || !allocation->contains(address)) allocation = allocation_at(address);
        if (!allocation) return;
        page = &allocation->page(address);
        page_base = address - Allocation::offset_in_page(address, allocation->base);
        page->lock.lock();
        at.address = page_base;
      }
      const u32 offset = static_cast<u32>(address - page_base);
      if (offset + access.bytes > kPageBytes) return;
      ShadowTable& table = page->table();
      if (access.kind != AccessKind::kStore && report_undefined &&
          !page->defined(offset, access.bytes)) {
        report_at(Rule::kUninitialisedGlobal, x, lane, nullptr, "read", offset, at);
        page->define(offset, access.bytes, true);  // said once
      }
      for_cells(offset, access.bytes, [&](u32 cell, u32 bytes) {
        if (access.kind == AccessKind::kLoad)
          read_cell(table, cell, bytes, x, lane, at);
        else
          write_cell(table, cell, bytes, x, lane, at);
      });
      if (access.kind != AccessKind::kLoad && !page->defined(offset, access.bytes))
        page->define(offset, access.bytes, true);
    });
  });
  if (page) page->lock.unlock();
  if (access.order != Order::kWeak || access.kind == AccessKind::kAtomic)
    sync_global(event, access, addresses);
}

}  // namespace emulator::check
