// cp.async, bulk and tensor copies: what they read and write, and when that is known to be done.
#include "check/cta_checker.hpp"

namespace emulator::check {

void CtaChecker::async_read(ShadowTable& table, u32 cell, u32 bytes, const AccessContext& context,
                            u32 lane, const AsyncActor& actor, const View& fenced,
                            const CellPlace& at) {
  check_writes(table, cell, bytes, context, lane, PastAccess::Kind::kRead, at);
  check_fenced(table, cell, bytes, context, lane, fenced, at);
  ReadStamp stamp;
  stamp.actor = actor.actor;
  stamp.clock = actor.clock;
  stamp.lanes = 1u << actor.lane;
  stamp.site = context.site;
  stamp.bytes = bytes & 0xf;
  stamp.strength = static_cast<u32>(actor.strength);
  record_read(table, cell, stamp, context, lane);
}

void CtaChecker::async_write(ShadowTable& table, u32 cell, u32 bytes, const AccessContext& context,
                             u32 lane, const AsyncActor& actor, const View& fenced,
                             const CellPlace& at) {
  check_writes(table, cell, bytes, context, lane, PastAccess::Kind::kWrite, at);
  check_fenced(table, cell, bytes, context, lane, fenced, at);
  check_reads(table, cell, bytes, context, lane, at);
  WriteStamp stamp;
  stamp.actor = actor.actor;
  stamp.clock = actor.clock;
  stamp.site = context.site;
  stamp.lane = actor.lane & 31;
  stamp.strength = static_cast<u32>(actor.strength) & 7;
  record_write(table, cell, bytes, stamp, context, lane);
}

void CtaChecker::async_write_shared(CtaState& owner, u32 owner_cta, const CopySegment& segment,
                                    const AccessContext& context, u32 lane, const AsyncActor& actor,
                                    const View* fenced) {
  ShadowTable& table = owner.shadow;
  if (u64{segment.shared_offset} + segment.bytes > u64{table.size()} * 4) return;
  const CellPlace at{CellPlace::Space::kShared, 0, owner_cta};
  for_cells(segment.shared_offset, segment.bytes, [&](u32 cell, u32 bytes) {
    async_write(table, cell, bytes, context, lane, actor, fenced ? *fenced : context.view, at);
    table[cell].defined |= bytes;
  });
}

// Reads the global side of a segment. Copies carry "undefined" along instead of reporting it: bytes
// of the segment that are not defined are told to the caller, up to the first 64.
void CtaChecker::async_read_global(const CopySegment& segment, const AccessContext& context,
                                   u32 lane, const AsyncActor& actor, const View* fenced,
                                   u64& defined) {
  defined = ~u64{0};
  if (segment.global == 0) return;
  launch_.checker.global.for_pages(
      segment.global, segment.bytes, [&](GlobalPage& page, u32 offset, u32 n, u64 address) {
        const CellPlace at{CellPlace::Space::kGlobal, address - offset, 0};
        ShadowTable& table = page.table();
        for_cells(offset, n, [&](u32 cell, u32 bytes) {
          async_read(table, cell, bytes, context, lane, actor, fenced ? *fenced : context.view, at);
        });
        if (page.defined(offset, n)) return;
        for (u32 i = 0; i < n; ++i) {
          const u64 at_byte = address + i - segment.global;
          if (at_byte < 64 && !page.defined(offset + i, 1)) defined &= ~(u64{1} << at_byte);
        }
      });
}

namespace {

void undefine(ShadowTable& table, u32 offset, u32 bytes, u64 defined) {
  if (defined == ~u64{0}) return;
  for (u32 i = 0; i < std::min(bytes, 64u); ++i)
    if (!(defined >> i & 1)) table[(offset + i) / 4].defined &= ~(1u << (offset + i) % 4);
}

}  // namespace

void CtaChecker::cp_async(const WarpEvent& event, uint32_t bytes, const uint32_t* offsets,
                          const uint64_t* addresses, const uint32_t* source_bytes) {
  WarpState& warp = state_.warps[event.warp];
  warp.uses_cp_async = true;
  const u32 actor_id = cluster_->first_actor + actor_base() + layout_.cp_async(event.warp);
  with_groups(warp, event.mask, [&](LaneGroup& group, u32 lanes) {
    const AccessContext x = context(event, group, Strength::kWeak);
    for_lanes(lanes, [&](u32 lane) {
      const u32 serial = warp.cp_async.committed[lane] + 1;
      warp.cp_async.issued[lane] = serial;
      warp.cp_async.site[lane] = event.site;
      const AsyncActor actor{actor_id, serial, lane, Strength::kWeak};
      const u32 read = source_bytes ? std::min(source_bytes[lane], bytes) : bytes;
      u64 defined = ~u64{0};
      if (read)
        async_read_global({offsets[lane], read, addresses[lane]}, x, lane, actor, nullptr, defined);
      async_write_shared(state_, cta_, {offsets[lane], bytes, addresses[lane]}, x, lane, actor,
                         nullptr);
      undefine(state_.shadow, offsets[lane], read, defined);
    });
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
  WarpState& warp = state_.warps[event.warp];
  const LaneGroup& group = group_of(warp, copy.lane);
  const AccessContext x = context(event, group, Strength::kAsync);
  const View fenced = view_of(warp, group.knowledge.fenced);
  const u32 rank = rank_of(copy.mbarrier_cta);
  MbarrierState& m = mbarrier(*cluster_->ctas[rank], copy.mbarrier_offset);
  use_mbarrier(m, copy.mbarrier_offset, x, copy.lane, MbarrierUse::kAsync);
  const u32 serial = ++m.copies_issued;
  m.copy_site = event.site;
  const u32 actor_id = cluster_->first_actor + rank * layout_.per_cta + layout_.mbarrier(m.index);
  const AsyncActor actor{actor_id, serial, 0, Strength::kAsync};
  if (copy.tensormap) check_tensormap(event, copy, x);

  CtaState& to = *cluster_->ctas[rank_of(copy.shared_cta)];
  u64 bytes = 0;
  for (const CopySegment& segment : copy.segments) {
    u64 defined = ~u64{0};
    if (copy.kind == BulkKind::kLoad)
      async_read_global(segment, x, copy.lane, actor, &fenced, defined);
    async_write_shared(to, copy.shared_cta, segment, x, copy.lane, actor, &fenced);
    undefine(to.shadow, segment.shared_offset, segment.bytes, defined);
    bytes += segment.bytes;
  }
  for (const SharedSegment& source : copy.source) {
    const CellPlace at{CellPlace::Space::kShared, 0, cta_};
    for_cells(source.offset, source.bytes, [&](u32 cell, u32 cell_bytes) {
      if (cell < state_.shadow.size())
        async_read(state_.shadow, cell, cell_bytes, x, copy.lane, actor, fenced, at);
    });
  }
  m.in_flight_bytes += bytes;
  cluster_->copies[id] = {rank, copy.mbarrier_offset, serial, bytes, event.site};
}

void CtaChecker::begin_store(const WarpEvent& event, const BulkCopy& copy) {
  WarpState& warp = state_.warps[event.warp];
  warp.uses_bulk = true;
  const LaneGroup& group = group_of(warp, copy.lane);
  const bool reduces = copy.kind == BulkKind::kReduce;
  AccessContext x = context(event, group, Strength::kAsync);
  const View fenced = view_of(warp, group.knowledge.fenced);
  const u32 serial = warp.bulk.committed[copy.lane] + 1;
  warp.bulk.issued[copy.lane] = serial;
  warp.bulk.site[copy.lane] = event.site;
  const u32 base = cluster_->first_actor + actor_base();
  const AsyncActor reader{base + layout_.bulk_read(event.warp), serial, copy.lane,
                          Strength::kAsync};
  const AsyncActor writer{base + layout_.bulk_write(event.warp), serial, copy.lane,
                          reduces ? Strength::kGpu : Strength::kAsync};
  if (copy.tensormap) check_tensormap(event, copy, x);
  const CellPlace at{CellPlace::Space::kShared, 0, cta_};
  for (const CopySegment& segment : copy.segments) {
    bool defined = true;
    x.strength = Strength::kAsync;
    for_cells(segment.shared_offset, segment.bytes, [&](u32 cell, u32 bytes) {
      if (cell >= state_.shadow.size()) return;
      async_read(state_.shadow, cell, bytes, x, copy.lane, reader, fenced, at);
      defined &= (state_.shadow[cell].defined & bytes) == bytes;
    });
    if (segment.global == 0) continue;
    x.strength = writer.strength;
    launch_.checker.global.for_pages(
        segment.global, segment.bytes, [&](GlobalPage& page, u32 offset, u32 n, u64 address) {
          const CellPlace there{CellPlace::Space::kGlobal, address - offset, 0};
          ShadowTable& table = page.table();
          for_cells(offset, n, [&](u32 cell, u32 bytes) {
            async_write(table, cell, bytes, x, copy.lane, writer, fenced, there);
          });
          if (!reduces && page.defined(offset, n) != defined) {
            for (u32 i = 0; i < n; ++i) {
              const u32 s = segment.shared_offset + static_cast<u32>(address - segment.global) + i;
              page.define(offset + i, 1, state_.shadow[s / 4].defined >> s % 4 & 1);
            }
          }
        });
  }
}

// A tensor map in global memory that this launch has changed: the change must be known here, and a
// fence.proxy.tensormap acquire must lie between.
void CtaChecker::check_tensormap(const WarpEvent&, const BulkCopy& copy, const AccessContext& x) {
  launch_.checker.global.for_pages(
      copy.tensormap, 128, [&](GlobalPage& page, u32 offset, u32 n, u64 address) {
        const CellPlace at{CellPlace::Space::kGlobal, address - offset, 0};
        for_cells(offset, n, [&](u32 cell, u32) {
          const WriteStamp w = page.table()[cell].write;
          if (w.actor == 0 || w.actor < x.view.clock->settled()) return;
          const PastAccess past{
              PastAccess::Kind::kWrite,         w.actor, w.clock, 1u << w.lane, w.site,
              static_cast<Strength>(w.strength)};
          if (!x.view.ordered(w.actor, w.clock, w.lane, copy.lane)) {
            conflict(x, copy.lane, past, PastAccess::Kind::kRead, u64{cell} * 4, at);
            return;
          }
          std::lock_guard lock(launch_.tensormap_mutex);
          bool fenced = false;
          for (const auto& a : launch_.tensormaps[copy.tensormap / 128].acquires)
            fenced |= x.view.ordered(a.actor, a.clock, a.lane, copy.lane) &&
                      (a.actor != w.actor || a.clock >= w.clock);
          if (!fenced)
            report(Rule::kTensormapFence, x, copy.lane, &past, "tensor map used",
                   place_text(at, u64{cell} * 4));
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
