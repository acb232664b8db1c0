// cp.async, bulk and tensor copies: what they read and write, and when that is known to be done.
#include "check/cta_checker.hpp"

namespace emulator::check {

void CtaChecker::AsyncContext::act_as(const AsyncActor& actor) {
  read.actor = write.actor = actor.actor;
  read.clock = write.clock = actor.clock;
  read.lanes = 1u << actor.lane;
  write.lane = actor.lane & 31;
  read.strength = static_cast<u32>(actor.strength);
  write.strength = static_cast<u32>(actor.strength) & 7;
}

CtaChecker::AsyncContext CtaChecker::async_context(const WarpEvent& event, u32 lane,
                                                   Strength strength) {
  WarpState& warp = state_.warps[event.warp];
  const LaneGroup& group = group_of(warp, lane);
  AsyncContext out;
  out.access = context(event, group, strength);
  out.lane = lane;
  // The generic proxy (cp.async) needs no proxy fence.
  out.fenced =
      strength == Strength::kWeak ? out.access.view : view_of(warp, group.knowledge.fenced);
  out.read.site = out.write.site = event.site;
  return out;
}

void CtaChecker::async_read(ShadowTable& table, u32 cell, u32 bytes, const AsyncContext& x,
                            const CellPlace& at) {
  Cell& c = table[cell];
  const WriteStamp& w = c.write;
  if (c.crowd || (w.actor && !x.access.view.ordered(w.actor, w.clock, w.lane, x.lane)))
    check_writes(table, cell, bytes, x.access, x.lane, PastAccess::Kind::kRead, at);
  if (w.actor && w.strength != static_cast<u32>(Strength::kAsync))
    check_fenced(table, cell, bytes, x.access, x.lane, x.fenced, at);
  ReadStamp stamp = x.read;
  stamp.bytes = bytes & 0xf;
  if (bytes == 0xf &&
      (c.read.lanes == 0 || (c.read.actor == stamp.actor && c.read.strength == stamp.strength &&
                             stamp.strength == static_cast<u32>(Strength::kAsync)))) {
    c.read = stamp;
    return;
  }
  record_read(table, cell, stamp, x.access, x.lane, at);
}

void CtaChecker::async_write(ShadowTable& table, u32 cell, u32 bytes, const AsyncContext& x,
                             const CellPlace& at) {
  Cell& c = table[cell];
  const View& view = x.access.view;
  const WriteStamp& w = c.write;
  const bool write_ordered = !w.actor || view.ordered(w.actor, w.clock, w.lane, x.lane);
  if (c.crowd || !write_ordered)
    check_writes(table, cell, bytes, x.access, x.lane, PastAccess::Kind::kWrite, at);
  if (w.actor && w.strength != static_cast<u32>(Strength::kAsync))
    check_fenced(table, cell, bytes, x.access, x.lane, x.fenced, at);
  if (c.crowd ||
      (c.read.lanes && !view.ordered_lanes(c.read.actor, c.read.clock, c.read.lanes, x.lane)) ||
      (!x.rows_clear && !row_readers_ordered(table.rows, cell, view, x.lane)))
    check_reads(table, cell, bytes, x.access, x.lane, at);
  if (bytes == 0xf && !c.crowd && write_ordered) {
    c.write = x.write;
    c.write_bytes = 0xf;
    c.read.lanes = 0;
    c.read.bytes = 0;
    return;
  }
  record_write(table, cell, bytes, x.write, x.access, x.lane);
}

// Rows that a swizzle has cut into pieces are one run again in global memory.
// Returns whether all bytes were defined.
bool CtaChecker::async_read_global(std::span<const CopySegment> segments, const AsyncContext& x) {
  bool defined = true;
  for (size_t i = 0; i < segments.size();) {
    const u64 begin = segments[i].global;
    u64 end = begin + segments[i].bytes;
    size_t next = i + 1;
    while (begin && next < segments.size() && segments[next].global == end)
      end += segments[next++].bytes;
    i = next;
    if (!begin) continue;
    with_pages(begin, end - begin, [&](GlobalPage& page, u32 offset, u32 n, u64 address) {
      const CellPlace at{CellPlace::Space::kGlobal, address - offset, 0};
      ShadowTable& table = page.table();
      for_cells(offset, n, [&](u32 cell, u32 bytes) { async_read(table, cell, bytes, x, at); });
      defined = defined && page.defined(offset, n);
    });
  }
  return defined;
}

void CtaChecker::async_write_global(const CopySegment& segment, const AsyncContext& x) {
  const bool reduces = x.write.strength != static_cast<u32>(Strength::kAsync);
  bool defined = true;
  for_cells(segment.shared_offset, segment.bytes, [&](u32 cell, u32 bytes) {
    defined &= cell < state_.shadow.size() && (state_.shadow[cell].defined & bytes) == bytes;
  });
  with_pages(segment.global, segment.bytes, [&](GlobalPage& page, u32 offset, u32 n, u64 address) {
    const CellPlace at{CellPlace::Space::kGlobal, address - offset, 0};
    ShadowTable& table = page.table();
    for_cells(offset, n, [&](u32 cell, u32 bytes) { async_write(table, cell, bytes, x, at); });
    if (reduces || (defined && page.defined(offset, n))) return;
    const u32 from = segment.shared_offset + static_cast<u32>(address - segment.global);
    for (u32 i = 0; i < n; ++i) {
      const u32 s = from + i;
      page.define(offset + i, 1, state_.shadow[s / 4].defined >> s % 4 & 1);
    }
  });
}

// Copies carry "undefined" along instead of reporting it: takes the mark "defined" from the
// destination bytes whose source is not.
void CtaChecker::undefine_shared(ShadowTable& table, std::span<const CopySegment> segments) {
  for (const CopySegment& segment : segments) {
    if (!segment.global) continue;
    with_pages(
        segment.global, segment.bytes, [&](GlobalPage& page, u32 offset, u32 n, u64 address) {
          if (page.defined(offset, n)) return;
          for (u32 i = 0; i < n; ++i) {
            if (page.defined(offset + i, 1)) continue;
            const u32 s = segment.shared_offset + static_cast<u32>(address - segment.global) + i;
            table[s / 4].defined &= ~(1u << s % 4);
          }
        });
  }
}

void CtaChecker::cp_async(const WarpEvent& event, uint32_t bytes, const uint32_t* offsets,
                          const uint64_t* addresses, const uint32_t* source_bytes) {
  WarpState& warp = state_.warps[event.warp];
  warp.uses_cp_async = true;
  const u32 actor_id = cluster_->first_actor + actor_base() + layout_.cp_async(event.warp);
  const CellPlace at{CellPlace::Space::kShared, 0, cta_};
  for_lanes(event.mask, [&](u32 lane) {
    const u32 serial = warp.cp_async.committed[lane] + 1;
    warp.cp_async.issued[lane] = serial;
    warp.cp_async.site[lane] = event.site;
    AsyncContext x = async_context(event, lane, Strength::kWeak);
    x.act_as({actor_id, serial, lane, Strength::kWeak});
    if (u64{offsets[lane]} + bytes > u64{state_.shadow.size()} * 4) return;
    const u32 read = source_bytes ? std::min(source_bytes[lane], bytes) : bytes;
    const CopySegment source{offsets[lane], read, addresses[lane]};
    const bool defined = read == 0 || async_read_global({&source, 1}, x);
    for_cells(offsets[lane], bytes, [&](u32 cell, u32 cell_bytes) {
      async_write(state_.shadow, cell, cell_bytes, x, at);
      state_.shadow[cell].defined |= cell_bytes;
    });
    if (!defined) undefine_shared(state_.shadow, {&source, 1});
  });
}

void CtaChecker::cp_async_commit(const WarpEvent& event) {
  WarpState& warp = state_.warps[event.warp];
  for_lanes(event.mask, [&](u32 l) { ++warp.cp_async.committed[l]; });
}

void CtaChecker::cp_async_wait(const WarpEvent& event, uint32_t pending_groups) {
  WarpState& warp = state_.warps[event.warp];
  for_lanes(event.mask, [&](u32 l) {
    const u32 committed = warp.cp_async.committed[l];
    if (committed > pending_groups)
      warp.cp_async.known[l] = std::max(warp.cp_async.known[l], committed - pending_groups);
  });
}

void CtaChecker::cp_async_wait_all(const WarpEvent& event) {
  cp_async_commit(event);
  cp_async_wait(event, 0);
}

void CtaChecker::cp_async_mbarrier_arrive(const WarpEvent& event, const uint32_t* offsets) {
  WarpState& warp = state_.warps[event.warp];
  const u32 actor = actor_base() + layout_.cp_async(event.warp);
  for_lanes(event.mask & warp.live, [&](u32 lane) {
    MbarrierState& m = mbarrier(state_, offsets[lane]);
    const LaneGroup& group = group_of(warp, lane);
    use_mbarrier(m, offsets[lane], context(event, group, Strength::kWeak), lane,
                 MbarrierUse::kThread);
    if (!m.arrived) m.arrived = std::make_unique<Knowledge>(release(warp, 1u << lane));
    // Closes the group, so that later copies of this thread are not covered.
    const u32 serial = ++warp.cp_async.committed[lane];
    m.arrived->ordered.own.raise(actor, 1u << lane, serial);
    warp.cp_async_signalled[lane] = serial;
  });
}

AsyncId CtaChecker::bulk_begin(const WarpEvent& event, const BulkCopy& copy) {
  static std::atomic<AsyncId> next{1};
  const AsyncId id = next++;
  if (copy.kind == BulkKind::kLoad || copy.kind == BulkKind::kSharedToShared)
    begin_load(event, copy, id);
  else
    begin_store(event, copy);
  return id;
}

void CtaChecker::begin_load(const WarpEvent& event, const BulkCopy& copy, AsyncId id) {
  AsyncContext x = async_context(event, copy.lane, Strength::kAsync);
  const u32 rank = rank_of(copy.mbarrier_cta);
  MbarrierState& m = mbarrier(*cluster_->ctas[rank], copy.mbarrier_offset);
  use_mbarrier(m, copy.mbarrier_offset, x.access, copy.lane, MbarrierUse::kAsync);
  const u32 serial = ++m.copies_issued;
  m.copy_site = event.site;
  x.act_as({cluster_->first_actor + rank * layout_.per_cta + layout_.mbarrier(m.index), serial, 0,
            Strength::kAsync});
  if (copy.tensormap) check_tensormap(copy, x);

  const bool defined = copy.kind != BulkKind::kLoad || async_read_global(copy.segments, x);
  ShadowTable& table = cluster_->ctas[rank_of(copy.shared_cta)]->shadow;
  const CellPlace at{CellPlace::Space::kShared, 0, copy.shared_cta};
  u64 bytes = 0;
  u32 low = ~0u, high = 0;
  for (const CopySegment& segment : copy.segments) {
    low = std::min(low, segment.shared_offset);
    high = std::max(high, segment.shared_offset + segment.bytes - 1);
  }
  x.rows_clear =
      high / 4 < table.size() && rows_clear(table.rows, low / 4, high / 4, x.access.view);
  for (const CopySegment& segment : copy.segments) {
    bytes += segment.bytes;
    if (u64{segment.shared_offset} + segment.bytes > u64{table.size()} * 4) continue;
    for_cells(segment.shared_offset, segment.bytes, [&](u32 cell, u32 cell_bytes) {
      async_write(table, cell, cell_bytes, x, at);
      table[cell].defined |= cell_bytes;
    });
    if (segment.bytes % 4 == 0 && segment.bytes)
      table.rows.forget(segment.shared_offset / 4, (segment.shared_offset + segment.bytes) / 4);
  }
  if (!defined) undefine_shared(table, copy.segments);
  for (const SharedSegment& source : copy.source) {
    const CellPlace here{CellPlace::Space::kShared, 0, cta_};
    for_cells(source.offset, source.bytes, [&](u32 cell, u32 cell_bytes) {
      if (cell < state_.shadow.size()) async_read(state_.shadow, cell, cell_bytes, x, here);
    });
  }
  m.in_flight_bytes += bytes;
  cluster_->copies[id] = {rank, copy.mbarrier_offset, serial, bytes, event.site};
}

void CtaChecker::begin_store(const WarpEvent& event, const BulkCopy& copy) {
  WarpState& warp = state_.warps[event.warp];
  warp.uses_bulk = true;
  const u32 serial = warp.bulk.committed[copy.lane] + 1;
  warp.bulk.issued[copy.lane] = serial;
  warp.bulk.site[copy.lane] = event.site;
  const u32 base = cluster_->first_actor + actor_base();
  const Strength strength = copy.kind == BulkKind::kReduce ? Strength::kGpu : Strength::kAsync;
  AsyncContext reader = async_context(event, copy.lane, Strength::kAsync);
  AsyncContext writer = async_context(event, copy.lane, Strength::kAsync);
  writer.access.strength = strength;
  reader.act_as({base + layout_.bulk_read(event.warp), serial, copy.lane, Strength::kAsync});
  writer.act_as({base + layout_.bulk_write(event.warp), serial, copy.lane, strength});
  if (copy.tensormap) check_tensormap(copy, reader);
  const CellPlace at{CellPlace::Space::kShared, 0, cta_};
  for (const CopySegment& segment : copy.segments) {
    for_cells(segment.shared_offset, segment.bytes, [&](u32 cell, u32 bytes) {
      if (cell < state_.shadow.size()) async_read(state_.shadow, cell, bytes, reader, at);
    });
    if (segment.global) async_write_global(segment, writer);
  }
}

// A tensor map in global memory that this launch has changed: the change must be known here, and a
// fence.proxy.tensormap acquire must lie between.
void CtaChecker::check_tensormap(const BulkCopy& copy, const AsyncContext& x) {
  const View& view = x.access.view;
  with_pages(copy.tensormap, 128, [&](GlobalPage& page, u32 offset, u32 n, u64 address) {
    const CellPlace at{CellPlace::Space::kGlobal, address - offset, 0};
    for_cells(offset, n, [&](u32 cell, u32) {
      const WriteStamp w = page.table()[cell].write;
      if (w.actor == 0 || w.actor < view.clock->settled()) return;
      const PastAccess past{
          PastAccess::Kind::kWrite,         w.actor, w.clock, 1u << w.lane, w.site,
          static_cast<Strength>(w.strength)};
      if (!view.ordered(w.actor, w.clock, w.lane, copy.lane)) {
        conflict(x.access, copy.lane, past, PastAccess::Kind::kRead, u64{cell} * 4, at);
        return;
      }
      std::lock_guard lock(launch_.tensormap_mutex);
      bool fenced = false;
      for (const auto& a : launch_.tensormaps[copy.tensormap / 128].acquires)
        fenced |= view.ordered(a.actor, a.clock, a.lane, copy.lane) &&
                  (a.actor != w.actor || a.clock >= w.clock);
      if (!fenced)
        report_at(Rule::kTensormapFence, x.access, copy.lane, &past, "tensor map used",
                  u64{cell} * 4, at);
    });
  });
}

void CtaChecker::bulk_end(AsyncId id) {
  auto it = cluster_->copies.find(id);
  if (it == cluster_->copies.end()) return;
  const InFlightCopy& copy = it->second;
  MbarrierState& m = mbarrier(*cluster_->ctas[copy.rank], copy.offset);
  if (!m.arrived) {
    m.arrived = std::make_unique<Knowledge>();
    m.arrived->ordered = VectorClock(cluster_->index, cluster_->span, launch_.settled);
    m.arrived->fenced = m.arrived->ordered;
  }
  m.arrived->ordered.own.raise(copy.rank * layout_.per_cta + layout_.mbarrier(m.index), kAllLanes,
                               copy.serial);
  ++m.copies_landed;
  m.in_flight_bytes -= std::min(m.in_flight_bytes, copy.bytes);
  m.expected_bytes -= static_cast<int64_t>(copy.bytes);
  cluster_->copies.erase(it);
}

void CtaChecker::bulk_commit(const WarpEvent& event) {
  WarpState& warp = state_.warps[event.warp];
  for_lanes(event.mask, [&](u32 l) { ++warp.bulk.committed[l]; });
}

void CtaChecker::bulk_wait(const WarpEvent& event, uint32_t pending_groups, BulkWait wait) {
  WarpState& warp = state_.warps[event.warp];
  for_lanes(event.mask, [&](u32 l) {
    const u32 committed = warp.bulk.committed[l];
    if (committed <= pending_groups) return;
    const u32 known = committed - pending_groups;
    warp.bulk.known[l] = std::max(warp.bulk.known[l], known);
    if (wait == BulkWait::kComplete) warp.bulk_complete[l] = std::max(warp.bulk_complete[l], known);
  });
}

void CtaChecker::exit(const WarpEvent& event) {
  WarpState& warp = state_.warps[event.warp];
  for_lanes(event.mask & warp.live, [&](u32 l) {
    if (warp.bulk.issued[l] > warp.bulk.known[l])
      report_plain(Rule::kExitInFlight, event, l, "exit", {},
                   "a bulk store may still read shared memory: wait for its group first",
                   warp.bulk.site[l], "bulk store");
    if (warp.cp_async.issued[l] > std::max(warp.cp_async.known[l], warp.cp_async_signalled[l]))
      report_plain(Rule::kExitInFlight, event, l, "exit", {},
                   "a cp.async may still write shared memory: wait for its group first",
                   warp.cp_async.site[l], "cp.async");
  });
  if (warp.wgmma_issued > warp.wgmma_known && event.mask & warp.live)
    report_plain(Rule::kExitInFlight, event, static_cast<u32>(__builtin_ctz(event.mask)), "exit",
                 {}, "a wgmma has not been waited for", warp.wgmma_site, "wgmma");
  warp.live &= ~event.mask;
}

void CtaChecker::end() {
  for (const auto& [offset, m] : state_.mbarriers) {
    if (m.copies_issued <= m.copies_known) continue;
    WarpEvent event;
    event.site = m.copy_site;
    report_plain(Rule::kExitInFlight, event, 0, "bulk load",
                 "mbarrier at shared memory +" + std::to_string(offset),
                 "the CTA exits without having waited for this copy into its shared memory");
  }
  if (!stuck_) report_open_bytes(state_);
  launch_.cta_ended(*cluster_);
}

}  // namespace emulator::check
