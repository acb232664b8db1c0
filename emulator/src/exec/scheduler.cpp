#include "exec/scheduler.hpp"

#include <algorithm>
#include <string>

#include "exec/access.hpp"
#include "exec/async.hpp"
#include "exec/barrier.hpp"
#include "exec/counters.hpp"
#include "exec/wgmma.hpp"

namespace emulator {
namespace {

void merge_groups(Warp& w) {
  auto& g = w.groups;
  for (size_t i = 0; i < g.size(); ++i)
    for (size_t j = i + 1; j < g.size();)
      if (g[i].pc == g[j].pc && g[i].token == g[j].token) {
        g[i].mask |= g[j].mask;
        g[i].stalled = false;
        g.erase(g.begin() + static_cast<long>(j));
      } else {
        ++j;
      }
}

// Lowest program counter first: groups that ran ahead wait for the others at the next join.
Group* next_group(Warp& w) {
  Group* best = nullptr;
  for (Group& g : w.groups)
    if (!g.stalled && (!best || g.pc < best->pc)) best = &g;
  return best;
}

void exit_lanes(Warp& w, const Inst& i, u32 mask) {
  Cta& cta = *w.cta;
  if (cta.observer) cta.observer->exit(event_of(w, i, mask));
  cta.exited += static_cast<u32>(std::popcount(mask));
  w.live &= ~mask;
  if (!w.live) cta.free_registers += w.registers;
  note_activity(w);
  barriers_after_exit(cta);
}

// A member mask names lanes that have to come together here; the mask may differ between lanes.
bool members_present(Warp& w, const Inst& i, u32 mask) {
  if (i.c == kNone) return (w.live & ~mask) == 0;
  const u32* members = w.reg<u32>(i.c);
  u32 rest = mask;
  while (rest) {
    const u32 lane = lowest_lane(rest), m = members[lane];
    if (!(m >> lane & 1))
      fault(w, i, FaultKind::kHardwareRule, "lane %u is not in its own member mask %08x", lane, m);
    if (m & w.live & ~mask) return false;
    rest &= ~m;
  }
  return true;
}

void run_masked(Warp& w, const Inst& i, u32 mask) {
  if (auto* o = observer_of(w)) [[unlikely]]
    if (!(i.flags & kOrdersMemory)) o->warp_collective(event_of(w, i, mask));
  if (i.c == kNone) return i.run(w, i, mask);
  const u32* members = w.reg<u32>(i.c);
  for (u32 rest = mask; rest;) {
    const u32 part = members[lowest_lane(rest)] & rest;
    i.run(w, i, part);
    rest &= ~part;
  }
}

u32 branch_index(Warp& w, const Inst& i, u32 lane) {
  const u32 k = w.reg<u32>(i.a)[lane];
  if (k >= i.op_count)
    fault(w, i, FaultKind::kIllegalInstruction, "lane %u: brx.idx %u of %u targets", lane, k,
          i.op_count);
  return i.ops[k];
}

// The state of one pass over instructions of one group.
struct Pass {
  Group* group;
  u32 pc;
  u32 mask;
  bool stop = false;
  bool yielded = false;
};

void stall(Pass& p) {
  p.group->stalled = true;
  p.stop = true;
}

void branch(Warp& w, const Inst& i, Pass& p, u32 taken) {
  if (taken == p.mask) {
    p.pc = i.target;
  } else if (!taken) {
    ++p.pc;
  } else {
    p.group->mask = p.mask & ~taken;
    p.group->pc = p.pc + 1;
    Group other;
    other.mask = taken;
    other.pc = i.target;
    w.groups.push_back(other);
    p.group = nullptr;
    p.stop = true;
  }
}

void branch_indexed(Warp& w, const Inst& i, Pass& p, u32 taken) {
  const u32 stay = p.mask & ~taken;
  std::vector<Group> targets;
  for_lanes(taken, [&](u32 l) {
    const u32 target = branch_index(w, i, l);
    auto it = std::find_if(targets.begin(), targets.end(),
                           [&](const Group& g) { return g.pc == target; });
    if (it == targets.end()) {
      Group g;
      g.pc = target;
      targets.push_back(g);
      it = targets.end() - 1;
    }
    it->mask |= 1u << l;
  });
  if (!stay && targets.size() == 1) {
    p.pc = targets[0].pc;
    return;
  }
  const Group* old = p.group;
  w.groups.erase(w.groups.begin() + (old - w.groups.data()));
  if (stay) {
    Group g;
    g.mask = stay;
    g.pc = p.pc + 1;
    targets.push_back(g);
  }
  w.groups.insert(w.groups.end(), targets.begin(), targets.end());
  p.group = nullptr;
  p.stop = true;
}

void exit_group(Warp& w, const Inst& i, Pass& p, u32 leaving) {
  const u32 rest = p.mask & ~leaving;
  if (!leaving) {
    ++p.pc;
    return;
  }
  if (rest) {
    p.group->mask = rest;
    p.group->pc = p.pc + 1;
  } else {
    w.groups.erase(w.groups.begin() + (p.group - w.groups.data()));
  }
  p.group = nullptr;
  p.stop = true;
  exit_lanes(w, i, leaving);
}

void partly_guarded(Warp& w, const Inst& i, u32 mask) {
  if (auto* o = observer_of(w))
    o->violation(event_of(w, i, mask), check::Rule::kDivergence,
                 "guard of an .aligned instruction differs");
  fault(w, i, FaultKind::kHardwareRule,
        "the guard of an .aligned instruction differs between lanes");
}

void announce_registers(Warp& w, const Inst& i, u32 mask) {
  if (auto* o = observer_of(w))
    o->register_access(event_of(w, i, mask), w.kernel->watched_registers[w.kernel->index_of(i)]);
}

enum class Counting : bool { kOff, kOn };

// Executes instructions of one group until it has to stop. Returns the number executed.
template <Counting kCounting>
u32 run_pass(Warp& w, Pass& p, u32 budget) {
  const Inst* code = w.kernel->code.data();
  const bool single = w.groups.size() == 1;
  u32 executed = 0;
  u64 lanes = 0;
  do {
    const Inst& i = code[p.pc];
    u32 m = p.mask;
    if (i.guard != kNone) {
      const u32 g = w.predicate(i.guard);
      m &= i.guard_negated ? ~g : g;
    }
    [[maybe_unused]] const u32 before = executed;
    ++executed;
    lanes += static_cast<u32>(std::popcount(m));
    if (i.observed && m) [[unlikely]]
      announce_registers(w, i, m);
    switch (i.flow) {
      case Flow::kNormal:
        if (m) i.run(w, i, m);
        ++p.pc;
        break;
      case Flow::kBranch:
        branch(w, i, p, m);
        break;
      case Flow::kBranchIndexed:
        branch_indexed(w, i, p, m);
        break;
      case Flow::kExit:
        exit_group(w, i, p, m);
        break;
      case Flow::kConverged:
        if (!m) {
          ++p.pc;
        } else if (p.mask != w.live) {
          --executed;
          stall(p);
        } else {
          if (m != p.mask) partly_guarded(w, i, m);
          if (auto* o = observer_of(w)) [[unlikely]]
            o->warp_collective(event_of(w, i, m));
          i.run(w, i, m);
          ++p.pc;
        }
        break;
      case Flow::kMasked:
        if (!m) {
          ++p.pc;
        } else if (!members_present(w, i, m)) {
          --executed;
          stall(p);
        } else {
          run_masked(w, i, m);
          ++p.pc;
        }
        break;
      case Flow::kWait: {
        if (!m) {
          ++p.pc;
          break;
        }
        if (i.aligned && p.mask != w.live) {
          --executed;
          stall(p);
          break;
        }
        const Step s = i.wait(w, i, *p.group, m);
        if (s == Step::kDone) {
          ++p.pc;
        } else {
          --executed;
          stall(p);
          p.yielded = s == Step::kYield;
        }
        break;
      }
    }
    if constexpr (kCounting == Counting::kOn) {
      if (executed == before) continue;  // it has to wait
      InstCount& count = *counts_of(w, i);
      ++count.warps;
      count.who |= u64{1} << (w.id_in_cluster() % 64);
      count.threads += static_cast<u32>(std::popcount(m));
    }
  } while (!p.stop && single && executed < budget);
  w.warp_insts += executed;
  w.thread_insts += lanes;
  return executed;
}

struct Turn {
  u32 executed = 0;
  bool yielded = false;
};

Turn run_turn(Warp& w, u32 quantum) {
  Turn turn;
  for (Group& g : w.groups) g.stalled = false;
  while (turn.executed < quantum && !w.groups.empty()) {
    if (w.groups.size() > 1) merge_groups(w);
    Group* g = next_group(w);
    if (!g) break;
    Pass p{g, g->pc, g->mask};
    const u32 budget = quantum - turn.executed;
    turn.executed += w.cta->cluster->counts ? run_pass<Counting::kOn>(w, p, budget)
                                            : run_pass<Counting::kOff>(w, p, budget);
    if (p.group) p.group->pc = p.pc;
    turn.yielded |= p.yielded;
  }
  return turn;
}

void run_async(Cluster& c) {
  for (auto& cta : c.ctas)
    if (!cta->pending.empty()) pump(*cta);
}

bool waits_in_try(const Cluster& c) {
  for (const auto& cta : c.ctas)
    for (const Warp& w : cta->warps)
      for (const Group& g : w.groups)
        if (g.token == kInTryWait) return true;
  return false;
}

}  // namespace

RoundResult run_round(Cluster& c) {
  static thread_local std::vector<Warp*> order;
  order.clear();
  bool live = false;
  for (auto& cta : c.ctas)
    for (Warp& w : cta->warps)
      if (!w.groups.empty()) order.push_back(&w);
  live = !order.empty();
  if (!live) return RoundResult::kDone;
  const bool seeded = options().seed != 0;
  if (seeded)
    for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[c.random.below(i)]);
  ++c.round;
  c.activity = false;
  u64 executed = 0;
  bool yielded = false;
  for (Warp* w : order) {
    if (w->groups.empty()) continue;
    const u32 quantum =
        seeded ? 1 + static_cast<u32>(c.random.below(options().quantum)) : options().quantum;
    const Turn t = run_turn(*w, quantum);
    executed += t.executed;
    yielded |= t.yielded;
    if (seeded && w->wgmma && !w->wgmma->ops.empty()) wgmma_maybe_progress(*w);
    run_async(c);
  }
  c.tries_time_out = false;
  if (c.activity) {
    c.idle_insts = 0;
    c.give_ups = 0;
    return RoundResult::kActive;
  }
  c.idle_insts += executed;
  if (executed || yielded) return RoundResult::kSpinning;
  if (force_one(c)) return RoundResult::kActive;
  // Only then do blocked try_waits time out: a thread may have other work, and that may be what the
  // others wait for. Loops of try_wait come back here; a program that polls more often than this
  // without any effect is taken for one of them.
  constexpr u32 kMostGiveUps = 64;
  if (c.give_ups < kMostGiveUps && waits_in_try(c)) {
    ++c.give_ups;
    c.tries_time_out = true;
    return RoundResult::kSpinning;
  }
  c.idle_insts = 0;  // it does not spin, it waits
  return RoundResult::kBlocked;
}

std::string positions(const Cluster& c) {
  std::string out;
  for (const auto& cta : c.ctas) {
    if (cta->done()) continue;
    out += format_text("  CTA (%u,%u,%u)\n", cta->id[0], cta->id[1], cta->id[2]);
    for (const Warp& w : cta->warps)
      for (const Group& g : w.groups)
        out += format_text("    warp %u lanes %08x at %s\n", w.id, g.mask,
                           w.kernel->describe(w.kernel->code[g.pc]).c_str());
  }
  return out;
}

}  // namespace emulator
