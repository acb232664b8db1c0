// Generic accesses to shared memory. Plain ones by warps of the CTA that owns the bytes are nearly
// all of them, so they have a short way: what a word remembers is compared with the one write that
// was last found to be ordered, and reads go to the rows of their warps.
#include "check/cell_access.hpp"

namespace emulator::check {
namespace {

// Of a write, to recognise the next word of a tile that was written as one.
u64 key_of(const WriteStamp& w) { return u64{w.clock} << 32 | w.actor; }

bool known_to_all_lanes(const WriteStamp& w, const View& view) {
  const u32 i = w.actor - view.first;
  return w.actor == 0 || (i < view.span && w.clock <= view.common[i]);
}

// What the lanes of `view` know of row `index`, or a clock before this CTA began.
u32 known_of(const ReadRows& rows, u32 index, const View& view) {
  return std::max(rows.base(), view.common[rows.actor(index) - view.first]);
}

}  // namespace

ReadStamp CtaChecker::row_stamp(const ReadRows& rows, u32 index, u32 cell) const {
  ReadStamp stamp;
  const ReadRow& row = rows[index];
  if (row.clock[cell] <= rows.base()) return stamp;
  stamp.actor = rows.actor(index);
  stamp.clock = row.clock[cell];
  stamp.lanes = row.lanes[cell];
  stamp.site = row.site(cell);
  stamp.bytes = row.bytes(cell) & 0xf;
  const bool is_warp = layout_.kind(index) == ActorKind::kWarp;
  stamp.strength = static_cast<u32>(is_warp ? Strength::kWeak : Strength::kAsync);
  return stamp;
}

// Whether all reads that rows hold of these words are known to all lanes; may say no for nothing.
bool CtaChecker::rows_clear(const ReadRows& rows, u32 first_cell, u32 last_cell,
                            const View& view) const {
  const u32 first = first_cell / ReadRow::kBlock, last = last_cell / ReadRow::kBlock;
  for (const u32 i : rows.active()) {
    const u32 known = known_of(rows, i, view);
    for (u32 block = first; block <= last; ++block)
      if (rows[i].newest[block] > known) return false;
  }
  return true;
}

bool CtaChecker::row_readers_ordered(const ReadRows& rows, u32 cell, const View& view,
                                     u32 lane) const {
  for (const u32 i : rows.active()) {
    const ReadRow& row = rows[i];
    if (row.clock[cell] <= known_of(rows, i, view)) continue;
    if (rows.actor(i) != view.self || lane >= kLanes || row.lanes[cell] & ~(1u << lane))
      return false;
  }
  return true;
}

void CtaChecker::report_undefined(Cell& c, u32 cell, u32 bytes, const AccessContext& x, u32 lane,
                                  const CellPlace& at) {
  if (!launch_.checker.options.report_uninitialised) return;
  report_at(Rule::kUninitialisedShared, x, lane, nullptr, "read", u64{cell} * 4, at);
  c.defined |= bytes;  // said once
}

// An entry has room for one clock. What it cannot hold, such as two lanes that read different
// halves of a word, goes to the cell.
void CtaChecker::record_row(ShadowTable& table, ReadRow& row, u32 cell, u32 bytes, u32 known,
                            const AccessContext& x, u32 lane, const CellPlace& at) {
  const u32 clock = x.view.warp->clock, bit = 1u << lane;
  const u32 place = bytes << ReadRow::kSiteBits | x.site;
  const u32 old_bytes = row.bytes(cell);
  if (row.clock[cell] == clock) {
    if (old_bytes == bytes) {
      row.lanes[cell] |= bit;
      return;
    }
    if (row.lanes[cell] == bit) {
      row.place[cell] |= bytes << ReadRow::kSiteBits;
      return;
    }
    ReadStamp stamp;
    stamp.actor = x.view.self;
    stamp.clock = clock;
    stamp.lanes = bit;
    stamp.site = x.site;
    stamp.bytes = bytes & 0xf;
    return record_read(table, cell, stamp, x, lane, at);
  }
  if (row.clock[cell] > table.rows.base() &&
      (old_bytes & ~bytes || (row.clock[cell] > known && row.lanes[cell] & ~bit)))
    record_read(table, cell, row_stamp(table.rows, x.warp, cell), x, lane, at);
  row.set(cell, clock, bit, place);
}

void CtaChecker::load_shared(ShadowTable& table, const AccessContext& x, u32 lanes, u32 bytes,
                             const u32* offsets, const CellPlace& at) {
  const View& view = x.view;
  ReadRow& row = table.rows.open(x.warp);
  const u32 known = known_of(table.rows, x.warp, view);
  const u32 clock = view.warp->clock, limit = table.size() * 4;
  u64 good = 0;
  for_lanes(lanes, [&](u32 lane) {
    if (offsets[lane] + u64{bytes} > limit) return;
    for_cells(offsets[lane], bytes, [&](u32 cell, u32 cell_bytes) {
      Cell& c = table[cell];
      if ((c.defined & cell_bytes) != cell_bytes) [[unlikely]]
        report_undefined(c, cell, cell_bytes, x, lane, at);
      if (key_of(c.write) != good || c.crowd) {
        if (c.crowd || !known_to_all_lanes(c.write, view))
          check_writes(table, cell, cell_bytes, x, lane, PastAccess::Kind::kRead, at);
        else
          good = key_of(c.write);
      }
      const u32 place = cell_bytes << ReadRow::kSiteBits | x.site;
      if (cell_bytes == 0xf && row.clock[cell] <= known)
        row.set(cell, clock, 1u << lane, place);
      else if (row.clock[cell] == clock && row.place[cell] == place)
        row.lanes[cell] |= 1u << lane;
      else
        record_row(table, row, cell, cell_bytes, known, x, lane, at);
    });
  });
}

void CtaChecker::store_shared(ShadowTable& table, const AccessContext& x, u32 lanes, u32 bytes,
                              const u32* offsets, const CellPlace& at) {
  const View& view = x.view;
  const u32 limit = table.size() * 4;
  u32 low = ~0u, high = 0;
  for_lanes(lanes, [&](u32 lane) {
    low = std::min(low, offsets[lane]);
    high = std::max(high, offsets[lane] + bytes - 1);
  });
  if (high >= limit) return;
  const bool unread = rows_clear(table.rows, low / 4, high / 4, view);
  WriteStamp stamp;
  stamp.actor = view.self;
  stamp.clock = view.warp->clock;
  stamp.site = x.site;
  u64 good = 0;
  for_lanes(lanes, [&](u32 lane) {
    stamp.lane = lane;
    for_cells(offsets[lane], bytes, [&](u32 cell, u32 cell_bytes) {
      Cell& c = table[cell];
      const bool same = key_of(c.write) == good || known_to_all_lanes(c.write, view) ||
                        (c.write.actor == view.self && c.write.lane == lane);
      const bool plain = cell_bytes == 0xf && !c.crowd && same && c.read.lanes == 0;
      if (plain && (unread || row_readers_ordered(table.rows, cell, view, lane))) {
        good = known_to_all_lanes(c.write, view) ? key_of(c.write) : good;
        c.write = stamp;
        c.write_bytes = 0xf;
        c.defined = 0xf;
      } else {
        access_cell(table, cell, cell_bytes, AccessKind::kStore, x, lane, at);
      }
    });
  });
}

void CtaChecker::access_cell(ShadowTable& table, u32 cell, u32 bytes, AccessKind kind,
                             const AccessContext& x, u32 lane, const CellPlace& at) {
  Cell& c = table[cell];
  if (kind != AccessKind::kStore && (c.defined & bytes) != bytes)
    report_undefined(c, cell, bytes, x, lane, at);
  if (kind == AccessKind::kLoad) return read_cell(table, cell, bytes, x, lane, at);
  write_cell(table, cell, bytes, x, lane, at);
  c.defined |= bytes;
}

void CtaChecker::shared_access(const WarpEvent& event, const WarpAccess& access, uint32_t owner_cta,
                               const uint32_t* offsets) {
  WarpState& warp = state_.warps[event.warp];
  const bool own = owner_cta == cta_;
  CtaState& owner = *cluster_->ctas[own ? rank_ : rank_of(owner_cta)];
  ShadowTable& table = owner.shadow;
  warp.touched = true;
  const CellPlace at{CellPlace::Space::kShared, 0, owner_cta};
  const bool plain = own && access.order == Order::kWeak && access.kind != AccessKind::kAtomic;
  with_groups(warp, event.mask, [&](LaneGroup& group, u32 lanes) {
    const AccessContext x = context(event, group, strength_of(access));
    if (plain && access.kind == AccessKind::kLoad)
      return load_shared(table, x, lanes, access.bytes, offsets, at);
    if (plain) return store_shared(table, x, lanes, access.bytes, offsets, at);
    for_lanes(lanes, [&](u32 lane) {
      if (offsets[lane] + u64{access.bytes} > table.size() * 4) return;
      for_cells(offsets[lane], access.bytes, [&](u32 cell, u32 bytes) {
        access_cell(table, cell, bytes, access.kind, x, lane, at);
      });
    });
  });
  if (access.order != Order::kWeak || access.kind == AccessKind::kAtomic)
    sync_shared(event, access, owner, offsets);
}

}  // namespace emulator::check
