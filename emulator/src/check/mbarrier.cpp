// mbarriers: initialisation, arrivals, phases, bytes.
#include "check/cta_checker.hpp"

namespace emulator::check {
namespace {

std::string mbarrier_text(u32 offset, u32 cta) {
  return "mbarrier at shared memory +" + std::to_string(offset) + " of CTA " + std::to_string(cta);
}

}  // namespace

MbarrierState& CtaChecker::mbarrier(CtaState& owner, u32 offset) {
  auto [it, fresh] = owner.mbarriers.try_emplace(offset);
  if (fresh) {
    it->second.index = static_cast<u32>(owner.mbarrier_offsets.size());
    owner.mbarrier_offsets.push_back(offset);
    it->second.observed.resize(layout_.warps * kLanes);
  }
  return it->second;
}

void CtaChecker::mbarrier_init(const WarpEvent& event, const uint32_t* offsets, const uint32_t*) {
  WarpState& warp = state_.warps[event.warp];
  for_lanes(event.mask, [&](u32 lane) {
    MbarrierState& m = mbarrier(state_, offsets[lane]);
    m.valid = true;
    m.init_actor = global_actor(warp);
    m.init_clock = warp.clock;
    m.init_lane = lane;
    m.init_site = event.site;
    m.expected_bytes = 0;
    for_cells(offsets[lane], 8, [&](u32 cell, u32 bytes) {
      if (cell < state_.shadow.size()) state_.shadow[cell].defined |= bytes;
    });
  });
  warp.touched = true;
}

void CtaChecker::mbarrier_inval(const WarpEvent& event, const uint32_t* offsets) {
  for_lanes(event.mask, [&](u32 lane) { mbarrier(state_, offsets[lane]).valid = false; });
}

// Reports a use before or unordered with the initialisation. Returns whether the mbarrier is valid.
bool CtaChecker::use_mbarrier(MbarrierState& m, u32 offset, const AccessContext& context, u32 lane,
                              MbarrierUse use) {
  if (!m.valid) {
    report(Rule::kMbarrierInit, context, lane, nullptr, "used", mbarrier_text(offset, cta_),
           "it is not initialised");
    return false;
  }
  const VectorClock* initialised = context.group->knowledge.initialised.get();
  const u32 index = m.init_actor - cluster_->first_actor;
  const bool fenced = initialised && initialised->own.covers(index, m.init_lane, m.init_clock);
  const bool ordered =
      fenced || context.view.ordered(m.init_actor, m.init_clock, m.init_lane, lane);
  const PastAccess past{PastAccess::Kind::kWrite, m.init_actor, m.init_clock,
                        1u << m.init_lane,        m.init_site,  Strength::kWeak};
  if (!ordered)
    report(Rule::kMbarrierInit, context, lane, &past, "used", mbarrier_text(offset, cta_),
           "the initialisation is not ordered before this use");
  else if (use == MbarrierUse::kAsync && !fenced)
    report(Rule::kMbarrierInitFence, context, lane, &past, "used by the async proxy",
           mbarrier_text(offset, cta_));
  return true;
}

void CtaChecker::mbarrier_arrive(const WarpEvent& event, uint32_t owner_cta,
                                 const uint32_t* offsets, uint32_t arrivals,
                                 const int32_t* tx_bytes, Order order, Scope) {
  WarpState& warp = state_.warps[event.warp];
  CtaState& owner = *cluster_->ctas[owner_cta == cta_ ? rank_ : rank_of(owner_cta)];
  const u32 mask = event.mask & warp.live;
  // Lanes that arrive at one mbarrier release as one.
  for (u32 rest = mask; rest;) {
    const u32 offset = offsets[__builtin_ctz(rest)];
    u32 lanes = 0;
    for_lanes(rest, [&](u32 l) { lanes |= offsets[l] == offset ? 1u << l : 0; });
    rest &= ~lanes;
    MbarrierState& m = mbarrier(owner, offset);
    with_groups(warp, lanes, [&](LaneGroup& group, u32 in_group) {
      use_mbarrier(m, offset, context(event, group, Strength::kWeak),
                   static_cast<u32>(__builtin_ctz(in_group)), MbarrierUse::kThread);
    });
    if (tx_bytes)
      for_lanes(lanes, [&](u32 l) {
        m.expected_bytes += tx_bytes[l];
        m.expect_site = event.site;
      });
    if (arrivals == 0) continue;
    Knowledge known;
    if (order != Order::kRelaxed) {
      known = release(warp, lanes);
    } else if (const auto fence = fences_of(warp, lanes)) {
      const VectorClock& own = warp.groups.front().knowledge.ordered;
      known.ordered = known.fenced = VectorClock(own.cluster(), own.own.size(), own.settled());
      known.ordered.join(fence->knowledge.ordered);
      known.fenced.join(fence->knowledge.fenced);
    } else {
      continue;
    }
    if (m.arrived)
      m.arrived->join(known);
    else
      m.arrived = std::make_unique<Knowledge>(std::move(known));
  }
  warp.advance();
}

void CtaChecker::mbarrier_phase(uint32_t owner_cta, uint32_t offset) {
  CtaState& owner = *cluster_->ctas[owner_cta == cta_ ? rank_ : rank_of(owner_cta)];
  MbarrierState& m = mbarrier(owner, offset);
  ++m.phases;
  if (m.in_flight_bytes) {
    WarpEvent event;
    event.site = m.copy_site;
    report_plain(Rule::kMbarrierBytes, event, 0, "copy", mbarrier_text(offset, owner_cta),
                 "the phase completes while " + std::to_string(m.in_flight_bytes) +
                     " bytes of copies are still in flight: fewer bytes expected than copied",
                 m.expect_site, "bytes expected");
  }
  m.expected_bytes = 0;
  if (m.arrived) m.completed = std::make_unique<Knowledge>(*m.arrived);
}

void CtaChecker::mbarrier_wait(const WarpEvent& event, const uint32_t* offsets, uint32_t succeeded,
                               Order order, Scope) {
  WarpState& warp = state_.warps[event.warp];
  warp.stuck.lanes = event.mask & ~succeeded;
  if (warp.stuck.lanes) {
    warp.stuck.offset = offsets[__builtin_ctz(warp.stuck.lanes)];
    warp.stuck.site = event.site;
  }
  for (u32 rest = succeeded & event.mask & warp.live; rest;) {
    const u32 offset = offsets[__builtin_ctz(rest)];
    u32 lanes = 0;
    for_lanes(rest, [&](u32 l) { lanes |= offsets[l] == offset ? 1u << l : 0; });
    rest &= ~lanes;
    MbarrierState& m = mbarrier(state_, offset);
    with_groups(warp, lanes, [&](LaneGroup& group, u32 in_group) {
      use_mbarrier(m, offset, context(event, group, Strength::kWeak),
                   static_cast<u32>(__builtin_ctz(in_group)), MbarrierUse::kThread);
    });
    for_lanes(lanes, [&](u32 l) {
      m.observed[event.warp * kLanes + l] = {m.copies_issued, m.phases};
    });
    if (!m.completed) continue;
    if (order == Order::kRelaxed) {
      await_fence(warp, lanes, *m.completed);
      continue;
    }
    const u32 actor = actor_base() + layout_.mbarrier(m.index);
    m.copies_known = std::max(m.copies_known, m.completed->ordered.own.common()[actor]);
    acquire(warp, lanes, *m.completed);
  }
}

// At a deadlock: threads that wait for the next phase of an mbarrier and have never seen the last
// one complete.
void CtaChecker::report_missed_phases() {
  for (u32 w = 0; w < layout_.warps; ++w) {
    const auto& stuck = state_.warps[w].stuck;
    if (!stuck.lanes) continue;
    const MbarrierState& m = mbarrier(state_, stuck.offset);
    const u32 lane = static_cast<u32>(__builtin_ctz(stuck.lanes));
    if (m.observed[w * kLanes + lane].phases >= m.phases) continue;
    WarpEvent event;
    event.site = stuck.site;
    event.warp = w;
    report_plain(Rule::kMbarrierPhase, event, lane, "waits", mbarrier_text(stuck.offset, cta_),
                 "the last phase has completed, but this thread waits for the one after it");
  }
}

// At a deadlock and at the end: mbarriers that wait for bytes which no copy in flight will bring.
void CtaChecker::report_open_bytes(CtaState& cta) {
  for (auto& [offset, m] : cta.mbarriers) {
    if (!m.valid || m.expected_bytes == 0 || m.in_flight_bytes) continue;
    WarpEvent event;
    event.site = m.expect_site != kNoSite ? m.expect_site : m.copy_site;
    const int64_t open = m.expected_bytes;
    report_plain(Rule::kMbarrierBytes, event, 0, "bytes expected", mbarrier_text(offset, cta_),
                 open > 0 ? std::to_string(open) + " bytes are expected that no copy delivers"
                          : std::to_string(-open) + " bytes were delivered that nobody expected",
                 m.copy_site, "copy");
  }
}

}  // namespace emulator::check
