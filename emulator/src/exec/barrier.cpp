#include "exec/barrier.hpp"

#include "check/observer.hpp"
#include "exec/access.hpp"
#include "exec/error.hpp"

namespace emulator {

void settle_barrier(Cta& cta, u32 id, Warp* w, const Inst* i) {
  NamedBarrier& bar = cta.barriers[id];
  const u32 expected = bar.has_count ? bar.expected : cta.threads - cta.exited;
  if (!bar.arrived || bar.arrived < expected) return;
  if (bar.arrived > expected && w) {
    const std::string text =
        format_text("barrier %u: %u threads arrived, %u expected", id, bar.arrived, expected);
    if (auto* o = observer_of(*w))
      o->violation(event_of(*w, *i, w->live), check::Rule::kBarrier, text);
    fault(*w, *i, FaultKind::kHardwareRule, "%s", text.c_str());
  }
  if (cta.observer) cta.observer->barrier_complete(id);
  bar.result_and = bar.reduce_and;
  bar.result_or = bar.reduce_or;
  bar.result_count = bar.reduce_count;
  bar.reduce_and = 1;
  bar.reduce_or = bar.reduce_count = 0;
  bar.arrived = 0;
  ++bar.generation;
  cta.cluster->activity = true;
}

void settle_cluster_barrier(Cluster& c) {
  if (!c.barrier_arrived || c.barrier_arrived < c.live_threads()) return;
  if (auto& o = c.ctas[0]->observer) o->cluster_complete();
  c.barrier_arrived = 0;
  ++c.barrier_generation;
  c.activity = true;
}

void barriers_after_exit(Cta& cta) {
  for (u32 b = 0; b < kNamedBarriers; ++b)
    if (cta.barriers[b].arrived && !cta.barriers[b].has_count)
      settle_barrier(cta, b, nullptr, nullptr);
  settle_cluster_barrier(*cta.cluster);
}

u32 Cluster::live_threads() const {
  u32 n = 0;
  for (const auto& c : ctas) n += c->threads - c->exited;
  return n;
}

}  // namespace emulator
