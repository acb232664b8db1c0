// bar and barrier (CTA, cluster, warp), fence and membar.
#include <atomic>

#include "exec/access.hpp"
#include "exec/barrier.hpp"
#include "isa/handlers.hpp"
#include "isa/lanes.hpp"
#include "isa/memory_order.hpp"

namespace emulator::isa {
namespace {

// inst.flags of bar
enum BarFlags : u32 {
  kArriveOnly = 1,
  kReduceAnd = 2,
  kReduceOr = 4,
  kReducePopc = 8,
  kNegated = 16
};

struct BarOperands {
  u32 id;
  u32 count;  // 0: all threads
};

BarOperands operands(Warp& w, const Inst& i, u32 mask) {
  const u32 lane = lowest_lane(mask);
  BarOperands o{w.reg<u32>(i.a)[lane], i.b == kNone ? 0 : w.reg<u32>(i.b)[lane]};
  if (o.id >= kNamedBarriers)
    fault(w, i, FaultKind::kHardwareRule, "barrier %u; there are %u", o.id, kNamedBarriers);
  if (o.count % kWarpSize || o.count > 1024)
    fault(w, i, FaultKind::kHardwareRule, "barrier count %u is not a multiple of %u up to 1024",
          o.count, kWarpSize);
  return o;
}

void arrive(Warp& w, const Inst& i, const BarOperands& o, u32 mask) {
  NamedBarrier& bar = w.cta->barriers[o.id];
  if (auto* obs = observer_of(w))
    obs->barrier_arrive(
        event_of(w, i, mask), o.id,
        i.flags & kArriveOnly ? check::BarrierRole::kArrive : check::BarrierRole::kSync);
  if (bar.arrived && o.count && bar.expected != o.count) {
    const std::string text = format_text("barrier %u: this warp counts %u threads, earlier ones %u",
                                         o.id, o.count, bar.expected);
    if (auto* obs = observer_of(w))
      obs->violation(event_of(w, i, mask), check::Rule::kBarrier, text);
    fault(w, i, FaultKind::kHardwareRule, "%s", text.c_str());
  }
  bar.has_count = o.count != 0;
  bar.expected = o.count;
  // With a count a warp counts as a whole, exited lanes included.
  bar.arrived += o.count ? kWarpSize : static_cast<u32>(std::popcount(mask));
  if (i.flags & (kReduceAnd | kReduceOr | kReducePopc)) {
    u32 p = w.predicate(i.c);
    if (i.flags & kNegated) p = ~p;
    bar.reduce_and &= (p & mask) == mask;
    bar.reduce_or |= (p & mask) != 0;
    bar.reduce_count += static_cast<u32>(std::popcount(p & mask));
  }
  note_activity(w);
  settle_barrier(*w.cta, o.id, &w, &i);
}

Step bar_sync(Warp& w, const Inst& i, Group& g, u32 mask) {
  const BarOperands o = operands(w, i, mask);
  NamedBarrier& bar = w.cta->barriers[o.id];
  if (g.token == 0) {
    g.token = bar.generation;
    arrive(w, i, o, mask);
  }
  if (bar.generation == g.token) return Step::kStall;
  g.token = 0;
  if (i.flags & (kReduceAnd | kReduceOr))
    set_predicate(w, i.d, mask,
                  (i.flags & kReduceAnd ? bar.result_and : bar.result_or) ? kAllLanes : 0);
  if (i.flags & kReducePopc)
    store_lanes(w.reg<u32>(i.d), mask, [&](u32) { return bar.result_count; });
  return Step::kDone;
}

Step bar_arrive(Warp& w, const Inst& i, Group&, u32 mask) {
  arrive(w, i, operands(w, i, mask), mask);
  return Step::kDone;
}

void warp_sync(Warp& w, const Inst& i, u32 mask) {
  if (auto* o = observer_of(w)) o->warp_sync(event_of(w, i, mask));
}

void take_barrier(Decode& d, size_t at) {
  d.inst.a = d.use(at, 4);
  if (d.ops.size() > at + 1) d.inst.b = d.use(at + 1, 4);
}

void decode_bar_reduce(Decode& d) {
  const std::string_view type = d.mods.take_last();
  const std::string_view op = d.mods.take_one_of({"popc", "and", "or"});
  d.inst.flags = op == "popc" ? kReducePopc : op == "and" ? kReduceAnd : kReduceOr;
  if ((op == "popc") != (type == "u32")) reject("unknown type");
  d.inst.d = op == "popc" ? d.def(0, 4) : d.def_predicate(0);
  d.inst.a = d.use(1, 4);
  const size_t last = d.ops.size() - 1;
  if (last > 2) d.inst.b = d.use(2, 4);
  d.inst.c = d.use_predicate(last);
  if (d.op(last).negated) d.inst.flags |= kNegated;
  d.inst.wait = &bar_sync;
}

enum ClusterFlags : u32 { kClusterRelaxed = 1 };

void cluster_arrive(Warp& w, const Inst& i, u32 mask) {
  Cluster& c = *w.cta->cluster;
  if (auto* o = observer_of(w))
    o->cluster_arrive(event_of(w, i, mask),
                      i.flags & kClusterRelaxed ? check::Order::kRelaxed : check::Order::kRelease);
  for_lanes(mask, [&](u32 l) {
    if (w.cluster_tokens[l] == c.barrier_generation)
      fault(w, i, FaultKind::kHardwareRule, "lane %u arrives twice at the cluster barrier", l);
    w.cluster_tokens[l] = c.barrier_generation;
  });
  c.barrier_arrived += static_cast<u32>(std::popcount(mask));
  note_activity(w);
  settle_cluster_barrier(c);
}

Step cluster_wait(Warp& w, const Inst& i, Group&, u32 mask) {
  Cluster& c = *w.cta->cluster;
  bool ready = true;
  for_lanes(mask, [&](u32 l) {
    if (w.cluster_tokens[l] == 0)
      fault(w, i, FaultKind::kHardwareRule, "lane %u waits at the cluster barrier without arriving",
            l);
    ready &= w.cluster_tokens[l] < c.barrier_generation;
  });
  if (!ready) return Step::kStall;
  if (auto* o = observer_of(w))
    o->cluster_wait(event_of(w, i, mask),
                    i.flags & kClusterRelaxed ? check::Order::kRelaxed : check::Order::kAcquire);
  return Step::kDone;
}

void decode_cluster_barrier(Decode& d) {
  d.inst.aligned = d.mods.take("aligned");
  if (d.mods.take("relaxed")) d.inst.flags = kClusterRelaxed;
  if (d.mods.take("arrive")) {
    d.mods.take("release");
    d.inst.flow = d.inst.aligned ? Flow::kConverged : Flow::kNormal;
    d.inst.run = &cluster_arrive;
  } else if (d.mods.take("wait")) {
    d.mods.take("acquire");
    d.inst.flow = Flow::kWait;
    d.inst.wait = &cluster_wait;
  } else {
    reject("needs .arrive or .wait");
  }
}

void decode_barrier(Decode& d) {
  if (d.mods.take("cluster")) return decode_cluster_barrier(d);
  if (d.mods.take("warp")) {
    if (!d.mods.take("sync")) reject("unknown form");
    d.inst.flow = Flow::kMasked;
    d.inst.flags = kOrdersMemory;
    d.inst.c = d.use(0, 4);
    d.inst.run = &warp_sync;
    return;
  }
  d.mods.take("cta");
  d.inst.flow = Flow::kWait;
  // bar.* is barrier.*.aligned.
  d.inst.aligned = d.mods.take("aligned") || d.mods.mnemonic == "bar";
  if (d.mods.take("red")) return decode_bar_reduce(d);
  take_barrier(d, 0);
  if (d.mods.take("sync")) {
    d.inst.wait = &bar_sync;
  } else if (d.mods.take("arrive")) {
    if (d.inst.b == kNone) reject("arrive needs a thread count");
    d.inst.flags = kArriveOnly;
    d.inst.wait = &bar_arrive;
  } else {
    reject("unknown form");
  }
}

// inst.imm: kind of fence; inst.flags: order and scope; inst.space: FenceSpace
void fence(Warp& w, const Inst& i, u32 mask) {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  auto* o = observer_of(w);
  if (!o) return;
  check::Fence f;
  f.kind = static_cast<check::FenceKind>(i.imm);
  f.order = order_of(i.flags);
  f.scope = scope_of(i.flags);
  f.space = static_cast<check::FenceSpace>(i.space);
  u64 addresses[kWarpSize];
  if (i.a != kNone) {
    std::memcpy(addresses, w.reg<u64>(i.a), sizeof addresses);
    f.addresses = addresses;
  }
  o->fence(event_of(w, i, mask), f);
}

void decode_proxy_fence(Decode& d) {
  check::FenceKind kind = check::FenceKind::kProxyAsync;
  check::Order order = check::Order::kAcqRel;
  if (d.mods.take("alias")) {
    kind = check::FenceKind::kProxyAlias;
  } else if (d.mods.take("async")) {
    const Space space = take_space(d.mods);
    d.inst.space = static_cast<u8>(space == Space::kShared   ? check::FenceSpace::kShared
                                   : space == Space::kGlobal ? check::FenceSpace::kGlobal
                                                             : check::FenceSpace::kAll);
  } else if (d.mods.take("async::generic")) {
    order = take_order(d.mods, order);
    d.mods.take_prefix("sync_restrict::");
    d.inst.space = static_cast<u8>(check::FenceSpace::kShared);
  } else if (d.mods.take("tensormap::generic")) {
    order = take_order(d.mods, order);
    kind = order == check::Order::kAcquire ? check::FenceKind::kTensormapAcquire
                                           : check::FenceKind::kTensormapRelease;
    if (order == check::Order::kAcquire) {
      if (d.address(d.op(0), d.inst.a) != 8) reject("needs a 64-bit address");
      if (d.inst.imm) reject("address offsets are not supported here");
      if (d.immediate(1) != 128) reject("the size must be 128");
    }
  } else {
    reject("unknown proxy");
  }
  d.inst.flags = pack_order(order, take_scope(d.mods, check::Scope::kCta));
  d.inst.imm = static_cast<s64>(kind);
  d.inst.run = &fence;
}

void decode_fence(Decode& d) {
  if (d.mods.take("proxy")) return decode_proxy_fence(d);
  check::FenceKind kind = check::FenceKind::kThread;
  if (d.mods.take("mbarrier_init")) kind = check::FenceKind::kMbarrierInit;
  check::Order order = take_order(d.mods, check::Order::kAcqRel);
  d.mods.take("sc");
  d.mods.take_prefix("sync_restrict::");
  d.inst.flags = pack_order(order, take_scope(d.mods, check::Scope::kGpu));
  d.inst.imm = static_cast<s64>(kind);
  d.inst.run = &fence;
}

void decode_membar(Decode& d) {
  if (d.mods.take("proxy")) return decode_proxy_fence(d);
  const std::string_view level = d.mods.take_one_of({"cta", "gl", "sys"});
  const check::Scope scope = level == "cta"  ? check::Scope::kCta
                             : level == "gl" ? check::Scope::kGpu
                                             : check::Scope::kSys;
  d.inst.flags = pack_order(check::Order::kAcqRel, scope);
  d.inst.imm = static_cast<s64>(check::FenceKind::kThread);
  d.inst.run = &fence;
}

}  // namespace

void add_barriers(Registry& r) {
  r.family("bar", &decode_barrier);
  r.family("barrier", &decode_barrier);
  r.family("fence", &decode_fence);
  r.family("membar", &decode_membar);
}

}  // namespace emulator::isa
