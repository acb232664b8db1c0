// wgmma: operands in shared memory, registers that are in flight.
#include "check/cta_checker.hpp"

namespace emulator::check {

void CtaChecker::wgmma_fence(const WarpEvent& event) { ++state_.warps[event.warp].wgmma_fences; }

void CtaChecker::wgmma_issue(const WarpEvent& event, const WgmmaRegisters& registers) {
  WarpState& warp = state_.warps[event.warp];
  const u32 group = warp.wgmma_committed + 1;
  const u32 lane = static_cast<u32>(__builtin_ctz(event.mask | 1u << 31));
  if (warp.wgmma_fences == 0)
    report_plain(Rule::kWgmmaFence, event, lane, "wgmma issued", {},
                 "no wgmma.fence before the first wgmma");
  const auto state_of = [&](u32 r) -> RegisterState& {
    if (warp.registers.size() <= r) warp.registers.resize(r + 1);
    return warp.registers[r];
  };
  // The compiler may sink moves into accumulators below the fence of the source, so a fence
  // anywhere since the last wgmma is enough.
  const bool fence_since_last = warp.wgmma_fences != warp.wgmma_fences_at_issue;
  const auto check_fence = [&](RegisterState& s) {
    if (s.touched == warp.wgmma_fences + 1 && !fence_since_last && warp.wgmma_fences != 0)
      report_plain(Rule::kWgmmaFence, event, lane, "wgmma issued", {},
                   "one of its registers was accessed after the last wgmma.fence", s.access,
                   "register accessed");
    s.touched = 0;
  };
  for (const u32 r : registers.a) {
    RegisterState& s = state_of(r);
    check_fence(s);
    s.in_flight = group;
    s.wgmma = event.site;
  }
  for (const u32 r : registers.accumulators) {
    RegisterState& s = state_of(r);
    check_fence(s);
    s.in_flight = group;
    s.wgmma = event.site;
  }
  warp.wgmma_issued = group;
  warp.wgmma_fences_at_issue = warp.wgmma_fences;
  warp.wgmma_site = event.site;
}

// The four warps read as one: every write must be ordered before, and fenced for, each of them.
void CtaChecker::wgmma_operands(const WarpEvent& event, std::span<const SharedSegment> a,
                                std::span<const SharedSegment> b) {
  const u32 first_warp = event.warp / 4 * 4;
  const u32 end_warp = std::min(first_warp + 4, layout_.warps);
  const WarpState& issuer = state_.warps[event.warp];
  std::array<AccessContext, 4> contexts;
  std::array<View, 4> fenced;
  least_ordered_.assign(cluster_->span, ~0u);
  least_fenced_.assign(cluster_->span, ~0u);
  for (u32 w = first_warp; w < end_warp; ++w) {
    WarpState& warp = state_.warps[w];
    const LaneGroup& group = group_of(warp, static_cast<u32>(__builtin_ctz(warp.live | 1u << 31)));
    WarpEvent per_warp = event;
    per_warp.warp = w;
    contexts[w - first_warp] = context(per_warp, group, Strength::kAsync);
    fenced[w - first_warp] = view_of(warp, group.knowledge.fenced);
    const u32* ordered = group.knowledge.ordered.own.common();
    const u32* proxy = group.knowledge.fenced.own.common();
    for (u32 i = 0; i < cluster_->span; ++i) {
      least_ordered_[i] = std::min(least_ordered_[i], ordered[i]);
      least_fenced_[i] = std::min(least_fenced_[i], proxy[i]);
    }
  }
  ShadowTable& table = state_.shadow;
  // Groups complete in order: to know the later is to know the earlier.
  ReadRow& row = table.rows.open(layout_.wgmma(event.warp));
  const u32 clock = issuer.wgmma_committed + 1;
  const u32 place = 0xfu << ReadRow::kSiteBits | event.site;
  const CellPlace at{CellPlace::Space::kShared, 0, cta_};
  const auto check_slowly = [&](u32 cell) {
    for (u32 w = 0; w < end_warp - first_warp; ++w) {
      check_writes(table, cell, 0xf, contexts[w], kNoLane, PastAccess::Kind::kRead, at);
      check_fenced(table, cell, 0xf, contexts[w], kNoLane, fenced[w], at);
    }
  };
  const bool report_undefined = launch_.checker.options.report_uninitialised;
  WriteStamp good;  // the last write that passed: most tiles were written as one
  const auto read = [&](u32 cell) {
    Cell& c = table[cell];
    const WriteStamp& w = c.write;
    const bool same = w.actor == good.actor && w.clock == good.clock && w.strength == good.strength;
    if (c.crowd || (w.actor && !same)) {
      const u32 i = w.actor - cluster_->first_actor;
      const bool async = w.strength == static_cast<u32>(Strength::kAsync);
      if (i >= cluster_->span || c.crowd || w.clock > least_ordered_[i] ||
          (!async && w.clock > least_fenced_[i]))
        check_slowly(cell);
      else
        good = w;
    }
    if (c.defined != 0xf && report_undefined) {
      report_at(Rule::kUninitialisedShared, contexts[0], 0, nullptr, "read by wgmma", u64{cell} * 4,
                at);
      c.defined = 0xf;
    }
    row.set(cell, clock, 1, place);
  };
  for (const auto& segments : {a, b})
    for (const SharedSegment& s : segments)
      for (u32 cell = s.offset / 4; cell < (s.offset + s.bytes + 3) / 4; ++cell)
        if (cell < table.size()) read(cell);
}

void CtaChecker::wgmma_commit(const WarpEvent& event) {
  ++state_.warps[event.warp].wgmma_committed;
}

void CtaChecker::wgmma_wait(const WarpEvent& event, uint32_t pending_groups) {
  WarpState& warp = state_.warps[event.warp];
  if (warp.wgmma_issued > warp.wgmma_committed) warp.wgmma_waited_while_open = warp.wgmma_issued;
  if (warp.wgmma_committed - state_.shadow.rows.base() <= pending_groups) return;
  warp.wgmma_known = std::max(warp.wgmma_known, warp.wgmma_committed - pending_groups);
  for (LaneGroup& group : warp.groups)
    group.knowledge.ordered.own.raise(actor_base() + layout_.wgmma(event.warp), kAllLanes,
                                      warp.wgmma_known);
}

void CtaChecker::register_access(const WarpEvent& event, std::span<const uint32_t> registers) {
  WarpState& warp = state_.warps[event.warp];
  for (const u32 r : registers) {
    if (warp.registers.size() <= r) warp.registers.resize(r + 1);
    RegisterState& s = warp.registers[r];
    s.touched = warp.wgmma_fences + 1;
    s.access = event.site;
    if (s.in_flight <= warp.wgmma_known) continue;
    const bool uncommitted =
        s.in_flight > warp.wgmma_committed && warp.wgmma_waited_while_open == s.in_flight;
    report_plain(uncommitted ? Rule::kWgmmaCommit : Rule::kWgmmaWait, event,
                 static_cast<u32>(__builtin_ctz(event.mask | 1u << 31)), "register accessed", {},
                 {}, s.wgmma, "wgmma");
    s.in_flight = 0;
  }
}

}  // namespace emulator::check
