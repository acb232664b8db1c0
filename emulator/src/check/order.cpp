// Knowledge of warps: groups of lanes, barriers, fences, release and acquire through memory.
#include "check/cta_checker.hpp"

namespace emulator::check {
namespace {

// Two fences before one barrier: whoever passes it may publish what both covered. If their scopes
// differ, the wider one counts: rather miss a race than invent one.
std::shared_ptr<const ReleaseFence> both(const std::shared_ptr<const ReleaseFence>& a,
                                         const std::shared_ptr<const ReleaseFence>& b) {
  if (!a || a == b) return b;
  if (!b) return a;
  if (a->scope != b->scope) return a->scope > b->scope ? a : b;
  auto joined = std::make_shared<ReleaseFence>(*a);
  joined->knowledge.join(b->knowledge);
  return joined;
}

bool acquires(Order o) { return o == Order::kAcquire || o == Order::kAcqRel; }
bool releases(Order o) { return o == Order::kRelease || o == Order::kAcqRel; }

}  // namespace

CtaChecker::CtaChecker(LaunchChecker& launch, std::shared_ptr<ClusterState> cluster, u32 rank,
                       u32 cta)
    : launch_(launch),
      cluster_(std::move(cluster)),
      rank_(rank),
      cta_(cta),
      record_(launch.record),
      layout_(launch.record.layout),
      state_(*cluster_->ctas[rank]) {
  const u32 threads = record_.block.x * record_.block.y * record_.block.z;
  state_.warps.resize(layout_.warps);
  for (u32 w = 0; w < layout_.warps; ++w) {
    WarpState& warp = state_.warps[w];
    warp.actor = actor_base() + w;
    const u32 lanes = std::min(kLanes, threads - w * kLanes);
    warp.live = lanes == kLanes ? kAllLanes : (1u << lanes) - 1;
    warp.phantom = ~warp.live;
    const u32 base = state_.shadow.rows.base();
    warp.clock = base + 1;
    warp.wgmma_issued = warp.wgmma_committed = warp.wgmma_known = base;
    LaneGroup& group = warp.groups.emplace_back();
    group.mask = kAllLanes;
    group.knowledge.ordered = VectorClock(cluster_->index, cluster_->span, launch.settled);
    group.knowledge.fenced = group.knowledge.ordered;
  }
}

u32 CtaChecker::rank_of(u32 cta) const {
  u32 index, rank;
  record_.locate(cta, index, rank);
  return rank;
}

template <class F>
void CtaChecker::with_isolated(WarpState& warp, u32 mask, F&& f) {
  const size_t count = warp.groups.size();
  for (size_t i = 0; i < count; ++i) {
    const u32 inside = warp.groups[i].mask & mask;
    if (!inside) continue;
    if (warp.groups[i].mask & warp.live & ~mask) {
      LaneGroup part = warp.groups[i];
      part.mask = inside;
      warp.groups[i].mask &= ~mask;
      f(part);
      warp.groups.push_back(std::move(part));
    } else {
      f(warp.groups[i]);
    }
  }
}

LaneGroup& CtaChecker::group_of(WarpState& warp, u32 lane) {
  for (LaneGroup& group : warp.groups)
    if (group.mask >> lane & 1) return group;
  return warp.groups.front();
}

// What the lanes in `mask` know of themselves without being told.
void CtaChecker::raise_own(const WarpState& warp, u32 mask, ClockBlock& block) const {
  const u32 lanes = mask == warp.live ? mask | warp.phantom : mask;
  block.raise(warp.actor, lanes, warp.published_clock());
  const u32 w = warp.actor - actor_base();
  const auto raise_lanes = [&](u32 actor, const std::array<u32, kLanes>& known) {
    const u32 first = known[static_cast<u32>(__builtin_ctz(mask))];
    bool uniform = true;
    for_lanes(mask, [&](u32 l) { uniform &= known[l] == first; });
    if (uniform) {
      block.raise(actor_base() + actor, lanes, first);
    } else {
      for_lanes(mask, [&](u32 l) { block.raise(actor_base() + actor, 1u << l, known[l]); });
    }
  };
  if (warp.uses_cp_async) raise_lanes(layout_.cp_async(w), warp.cp_async.known);
  if (warp.uses_bulk) {
    raise_lanes(layout_.bulk_read(w), warp.bulk.known);
    raise_lanes(layout_.bulk_write(w), warp.bulk_complete);
  }
}

Knowledge CtaChecker::release(WarpState& warp, u32 mask) {
  Knowledge out;
  bool first = true;
  with_groups(warp, mask, [&](LaneGroup& group, u32) {
    if (first)
      out = group.knowledge;
    else
      out.join(group.knowledge);
    first = false;
  });
  raise_own(warp, mask, out.ordered.own);
  return out;
}

void CtaChecker::acquire(WarpState& warp, u32 mask, const Knowledge& knowledge) {
  with_isolated(warp, mask, [&](LaneGroup& group) { group.knowledge.join(knowledge); });
}

std::shared_ptr<const ReleaseFence> CtaChecker::fences_of(WarpState& warp, u32 mask) {
  std::shared_ptr<const ReleaseFence> out;
  with_groups(warp, mask, [&](LaneGroup& group, u32) { out = both(out, group.release_fence); });
  return out;
}

void CtaChecker::warp_sync(const WarpEvent& event) {
  WarpState& warp = state_.warps[event.warp];
  const u32 mask = event.mask & warp.live;
  if (!mask) return;
  if (warp.groups.size() == 1) {
    LaneGroup& group = warp.groups.front();
    if (mask == warp.live) {
      raise_own(warp, mask, group.knowledge.ordered.own);
      warp.advance();
      return;
    }
  }
  Knowledge known = release(warp, mask);
  const std::shared_ptr<const ReleaseFence> fence = fences_of(warp, mask);
  LaneGroup merged;
  bool first = true;
  u32 lanes = 0;
  with_isolated(warp, mask, [&](LaneGroup& group) {
    lanes |= group.mask;
    if (first) merged = group;
    if (!first)
      for (const ReleasePtr& r : group.pending_acquire) merged.add_pending_acquire(r);
    if (!first && group.pending_phases) merged.add_pending_phases(*group.pending_phases);
    if (!first && !merged.out_of_scope) merged.out_of_scope = group.out_of_scope;
    first = false;
    group.mask = 0;
  });
  std::erase_if(warp.groups, [](const LaneGroup& g) { return g.mask == 0; });
  merged.mask = lanes;
  merged.knowledge = std::move(known);
  merged.release_fence = fence;
  warp.groups.push_back(std::move(merged));
  warp.advance();
}

void CtaChecker::warp_collective(const WarpEvent& event) {
  if (launch_.checker.options.warp_order == CheckerOptions::WarpOrder::kCollectives)
    warp_sync(event);
}

void CtaChecker::barrier_arrive(const WarpEvent& event, uint32_t id, BarrierRole role) {
  WarpState& warp = state_.warps[event.warp];
  NamedBarrierState& barrier = state_.barriers[id % state_.barriers.size()];
  const u32 mask = event.mask & warp.live;
  if (!mask) return;
  Knowledge known = release(warp, mask);
  if (barrier.arrived)
    barrier.arrived->join(known);
  else
    barrier.arrived = std::make_unique<Knowledge>(std::move(known));
  barrier.release_fence = both(barrier.release_fence, fences_of(warp, mask));
  warp.advance();
  if (role == BarrierRole::kSync) barrier.waiting.emplace_back(event.warp, mask);
}

void CtaChecker::barrier_complete(uint32_t id) {
  NamedBarrierState& barrier = state_.barriers[id % state_.barriers.size()];
  if (!barrier.arrived) return;
  for (const auto& [w, mask] : barrier.waiting) {
    WarpState& warp = state_.warps[w];
    with_isolated(warp, mask, [&](LaneGroup& group) {
      group.knowledge = *barrier.arrived;  // it holds all that the group had
      group.release_fence = both(group.release_fence, barrier.release_fence);
    });
    if (warp.groups.size() > 1) {
      u32 lanes = 0;
      LaneGroup merged;
      for (LaneGroup& group : warp.groups)
        if (group.mask & mask) {
          lanes |= group.mask;
          merged = std::move(group);
          group.mask = 0;
        }
      std::erase_if(warp.groups, [](const LaneGroup& g) { return g.mask == 0; });
      merged.mask = lanes;
      warp.groups.push_back(std::move(merged));
    }
  }
  barrier = NamedBarrierState();
}

void CtaChecker::cluster_arrive(const WarpEvent& event, Order order) {
  WarpState& warp = state_.warps[event.warp];
  ClusterState& c = *cluster_;
  const u32 mask = event.mask & warp.live;
  if (!mask) return;
  const auto join_initialised = [&](const std::shared_ptr<const VectorClock>& v) {
    if (!v || v == c.arrived_initialised) return;
    auto joined = std::make_shared<VectorClock>(*v);
    if (c.arrived_initialised) joined->join(*c.arrived_initialised);
    c.arrived_initialised = std::move(joined);
  };
  with_groups(warp, mask,
              [&](LaneGroup& group, u32) { join_initialised(group.knowledge.initialised); });
  c.arrived_fence = both(c.arrived_fence, fences_of(warp, mask));
  if (order == Order::kRelaxed) return;
  Knowledge known = release(warp, mask);
  if (c.arrived)
    c.arrived->join(known);
  else
    c.arrived = std::make_unique<Knowledge>(std::move(known));
  warp.advance();
}

void CtaChecker::cluster_complete() {
  ClusterState& c = *cluster_;
  c.completed = std::move(c.arrived);
  c.completed_initialised = std::move(c.arrived_initialised);
  c.completed_fence = std::move(c.arrived_fence);
  c.arrived.reset();
  c.arrived_initialised.reset();
  c.arrived_fence.reset();
}

void CtaChecker::cluster_wait(const WarpEvent& event, Order order) {
  WarpState& warp = state_.warps[event.warp];
  const ClusterState& c = *cluster_;
  with_isolated(warp, event.mask & warp.live, [&](LaneGroup& group) {
    if (c.completed && order != Order::kRelaxed) group.knowledge.join(*c.completed);
    group.knowledge.join_initialised(c.completed_initialised);
    group.release_fence = both(group.release_fence, c.completed_fence);
  });
}

void CtaChecker::fence(const WarpEvent& event, const Fence& fence) {
  WarpState& warp = state_.warps[event.warp];
  const u32 mask = event.mask & warp.live;
  if (!mask) return;
  switch (fence.kind) {
    case FenceKind::kThread:
      thread_fence(warp, mask, fence);
      break;
    case FenceKind::kProxyAsync:
      proxy_fence(warp, mask);
      break;
    case FenceKind::kMbarrierInit:
      init_fence(warp, mask);
      break;
    case FenceKind::kTensormapRelease:
    case FenceKind::kProxyAlias:
      break;
    case FenceKind::kTensormapAcquire: {
      std::lock_guard lock(launch_.tensormap_mutex);
      for_lanes(mask, [&](u32 lane) {
        TensormapState& map = launch_.tensormaps[fence.addresses[lane] / 128];
        if (map.acquires.size() < 4096)
          map.acquires.push_back({global_actor(warp), warp.clock, lane});
      });
      warp.touched = true;
      break;
    }
  }
}

void CtaChecker::proxy_fence(WarpState& warp, u32 mask) {
  with_isolated(warp, mask, [&](LaneGroup& group) {
    Knowledge& k = group.knowledge;
    k.fenced.join(k.ordered);
    raise_own(warp, mask & group.mask, k.fenced.own);
  });
  init_fence(warp, mask);
}

void CtaChecker::init_fence(WarpState& warp, u32 mask) {
  with_isolated(warp, mask, [&](LaneGroup& group) {
    auto initialised = std::make_shared<VectorClock>(group.knowledge.ordered);
    raise_own(warp, mask & group.mask, initialised->own);
    if (group.knowledge.initialised) initialised->join(*group.knowledge.initialised);
    group.knowledge.initialised = std::move(initialised);
  });
  warp.advance();
}

void CtaChecker::await_fence(WarpState& warp, u32 mask, const Knowledge& knowledge) {
  with_isolated(warp, mask, [&](LaneGroup& group) { group.add_pending_phases(knowledge); });
}

void CtaChecker::thread_fence(WarpState& warp, u32 mask, const Fence& fence) {
  with_isolated(warp, mask, [&](LaneGroup& group) {
    if (acquires(fence.order)) {
      if (group.pending_phases) group.knowledge.join(*group.pending_phases);
      group.pending_phases.reset();
      for (const ReleasePtr& r : group.pending_acquire) acquire_release(group, *r, fence.scope);
      group.pending_acquire.clear();
    }
    if (releases(fence.order)) {
      Knowledge known = group.knowledge;
      raise_own(warp, mask & group.mask & warp.live, known.ordered.own);
      auto release_fence = std::make_shared<ReleaseFence>();
      release_fence->knowledge = {known.ordered.publish(), known.fenced.publish()};
      release_fence->scope = fence.scope;
      group.release_fence = std::move(release_fence);
    }
  });
  warp.advance();
}

bool CtaChecker::same_scope(const Release& release, Scope scope) const {
  const Scope least = std::min(release.scope, scope);
  if (least >= Scope::kGpu || release.cta == cta_) return true;
  if (release.cta == kManyCtas || least < Scope::kCluster) return false;
  u32 index, rank;
  record_.locate(release.cta, index, rank);
  return index == cluster_->index;
}

void CtaChecker::acquire_release(LaneGroup& group, const Release& release, Scope scope) {
  if (same_scope(release, scope)) {
    group.knowledge.ordered.join(release.knowledge.ordered);
    group.knowledge.fenced.join(release.knowledge.fenced);
    return;
  }
  auto wide = group.out_of_scope ? std::make_shared<PublishedClock>(*group.out_of_scope)
                                 : std::make_shared<PublishedClock>();
  wide->join(release.knowledge.ordered);
  group.out_of_scope = std::move(wide);
}

void CtaChecker::sync_acquire(WarpState& warp, u32 lane, const SyncLocation& at,
                              const WarpAccess& access) {
  if (at.releases.empty()) return;
  with_isolated(warp, 1u << lane, [&](LaneGroup& group) {
    for (const ReleasePtr& r : at.releases) {
      if (acquires(access.order)) {
        acquire_release(group, *r, access.scope);
        continue;
      }
      // Relaxed: remembered with the scope of this read until a fence acquires.
      if (group.has_pending_acquire(r)) continue;
      if (same_scope(*r, access.scope)) {
        group.add_pending_acquire(r);
      } else {
        acquire_release(group, *r, access.scope);
      }
    }
  });
}

void CtaChecker::sync_release(WarpState& warp, u32 lane, SyncLocation& at, const WarpAccess& access,
                              std::shared_ptr<const PublishedKnowledge>& published) {
  Release fresh;
  bool any = false;
  const LaneGroup& group = group_of(warp, lane);
  if (releases(access.order)) {
    if (!published) {
      const Knowledge known = release(warp, 1u << lane);
      published = std::make_shared<PublishedKnowledge>(
          PublishedKnowledge{known.ordered.publish(), known.fenced.publish()});
    }
    fresh.knowledge = *published;
    fresh.scope = access.scope;
    any = true;
  } else if (group.release_fence) {
    fresh.knowledge = group.release_fence->knowledge;
    fresh.scope = std::min(access.scope, group.release_fence->scope);
    any = true;
  }
  fresh.cta = cta_;
  if (access.kind == AccessKind::kStore) at.releases.clear();
  if (!any) return;
  for (ReleasePtr& r : at.releases) {
    if (r->scope != fresh.scope || (fresh.scope < Scope::kGpu && r->cta != fresh.cta)) continue;
    fresh.knowledge.join(r->knowledge);
    if (r->cta != fresh.cta) fresh.cta = kManyCtas;
    r = std::make_shared<Release>(std::move(fresh));
    return;
  }
  if (at.releases.size() >= 8) at.releases.erase(at.releases.begin());
  at.releases.push_back(std::make_shared<Release>(std::move(fresh)));
}

void CtaChecker::sync_shared(const WarpEvent& event, const WarpAccess& access, CtaState& owner,
                             const uint32_t* offsets) {
  WarpState& warp = state_.warps[event.warp];
  for_lanes(event.mask & warp.live, [&](u32 lane) {
    std::shared_ptr<const PublishedKnowledge> published;
    const u32 key = offsets[lane] / 4;
    auto it = owner.sync.find(key);
    const bool publishes = access.kind != AccessKind::kLoad &&
                           (releases(access.order) || group_of(warp, lane).release_fence);
    if (it == owner.sync.end()) {
      if (!publishes) return;
      it = owner.sync.emplace(key, SyncLocation()).first;
    }
    if (access.kind != AccessKind::kStore) sync_acquire(warp, lane, it->second, access);
    if (access.kind != AccessKind::kLoad) sync_release(warp, lane, it->second, access, published);
  });
  if (releases(access.order)) warp.advance();
}

void CtaChecker::sync_global(const WarpEvent& event, const WarpAccess& access,
                             const u64* addresses) {
  WarpState& warp = state_.warps[event.warp];
  for_lanes(event.mask & warp.live, [&](u32 lane) {
    const bool publishes = access.kind != AccessKind::kLoad &&
                           (releases(access.order) || group_of(warp, lane).release_fence);
    if (!publishes && launch_.sync.empty()) return;
    if (publishes) launch_.sync.mark_used();
    std::shared_ptr<const PublishedKnowledge> published;
    launch_.sync.with(addresses[lane], [&](auto& locations, u64 key) {
      auto it = locations.find(key);
      if (it == locations.end()) {
        if (!publishes) return;
        it = locations.emplace(key, SyncLocation()).first;
      }
      if (access.kind != AccessKind::kStore) sync_acquire(warp, lane, it->second, access);
      if (access.kind != AccessKind::kLoad) sync_release(warp, lane, it->second, access, published);
    });
  });
  if (releases(access.order)) warp.advance();
}

void CtaChecker::global_value(const WarpEvent& event, const WarpAccess& access,
                              const uint64_t* addresses) {
  if (launch_.sync.empty()) return;
  WarpState& warp = state_.warps[event.warp];
  for_lanes(event.mask & warp.live, [&](u32 lane) {
    launch_.sync.with(addresses[lane], [&](auto& locations, u64 key) {
      const auto it = locations.find(key);
      if (it != locations.end()) sync_acquire(warp, lane, it->second, access);
    });
  });
}

void CtaChecker::griddep_wait(const WarpEvent& event) {
  WarpState& warp = state_.warps[event.warp];
  with_isolated(warp, event.mask & warp.live, [&](LaneGroup& group) {
    group.knowledge.ordered.settle(record_.first_actor);
    group.knowledge.fenced.settle(record_.first_actor);
  });
}

void CtaChecker::griddep_launch(const WarpEvent&) {}

}  // namespace emulator::check
