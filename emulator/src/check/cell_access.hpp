// One generic access to one word of shadow memory.
#pragma once

#include "check/cta_checker.hpp"

namespace emulator::check {

inline Strength strength_of(const WarpAccess& access) {
  if (access.order == Order::kWeak)
    return access.kind == AccessKind::kAtomic ? Strength::kGpu : Strength::kWeak;
  return static_cast<Strength>(static_cast<u32>(Strength::kCta) + static_cast<u32>(access.scope));
}

inline void CtaChecker::read_cell(ShadowTable& table, u32 cell, u32 bytes,
                                  const AccessContext& context, u32 lane, const CellPlace& at) {
  Cell& c = table[cell];
  const View& v = context.view;
  const bool write_ordered =
      c.write.actor == 0 || v.ordered(c.write.actor, c.write.clock, c.write.lane, lane);
  if (!write_ordered || c.crowd)
    check_writes(table, cell, bytes, context, lane, PastAccess::Kind::kRead, at);
  const u32 clock = v.warp->clock;
  if (c.read.actor == v.self && c.read.clock == clock && c.read.bytes == bytes &&
      c.read.strength == static_cast<u32>(context.strength)) {
    c.read.lanes |= 1u << lane;
    c.read.site = context.site;
    return;
  }
  ReadStamp stamp;
  stamp.actor = v.self;
  stamp.clock = clock;
  stamp.lanes = 1u << lane;
  stamp.site = context.site;
  stamp.bytes = bytes & 0xf;
  stamp.strength = static_cast<u32>(context.strength);
  record_read(table, cell, stamp, context, lane, at);
}

inline void CtaChecker::write_cell(ShadowTable& table, u32 cell, u32 bytes,
                                   const AccessContext& context, u32 lane, const CellPlace& at) {
  Cell& c = table[cell];
  const View& v = context.view;
  if (c.crowd || (c.write.actor && !v.ordered(c.write.actor, c.write.clock, c.write.lane, lane)))
    check_writes(table, cell, bytes, context, lane, PastAccess::Kind::kWrite, at);
  if (c.crowd || (c.read.lanes && !v.ordered_lanes(c.read.actor, c.read.clock, c.read.lanes, lane)))
    check_reads(table, cell, bytes, context, lane, at);
  else if (!table.rows.empty() && !row_readers_ordered(table.rows, cell, v, lane))
    check_reads(table, cell, bytes, context, lane, at);
  WriteStamp stamp;
  stamp.actor = v.self;
  stamp.clock = v.warp->clock;
  stamp.site = context.site;
  stamp.lane = lane & 31;
  stamp.strength = static_cast<u32>(context.strength) & 7;
  if (bytes == 0xf && !c.crowd && stamp.strength == 0) {
    c.write = stamp;
    c.write_bytes = 0xf;
    c.read.lanes = 0;
    c.read.bytes = 0;
    return;
  }
  record_write(table, cell, bytes, stamp, context, lane);
}

}  // namespace emulator::check
