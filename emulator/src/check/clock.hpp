// Vector clocks over the actors of a cluster.
//
// An actor is a warp, or something asynchronous that completes as one: the cp.async, bulk-read and
// bulk-write groups of a warp, the wgmma groups of a warpgroup, the copies of an mbarrier. Every
// actor has a number of its own in the process; those of a cluster are consecutive, so a cluster's
// clocks are a plain array that joins with vector max. Lanes of one actor nearly always have one
// clock; the exceptions (an elected lane that ran ahead) are kept in a short list of 32 clocks
// each.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

namespace emulator::check {

using u8 = uint8_t;
using u32 = uint32_t;
using u64 = uint64_t;

inline constexpr u32 kLanes = 32;
inline constexpr u32 kAllLanes = ~0u;

class ClockBlock {
 public:
  explicit ClockBlock(u32 actors = 0) : common_(actors, 0) {}

  u32 size() const { return static_cast<u32>(common_.size()); }
  const u32* common() const { return common_.data(); }
  bool has_exceptions() const { return !exceptions_.empty(); }

  bool covers(u32 actor, u32 lane, u32 clock) const {
    if (clock <= common_[actor]) return true;
    const LaneClocks* e = find(actor);
    return e && clock <= e->clock[lane];
  }

  void join(const ClockBlock& other);
  void raise(u32 actor, u32 lanes, u32 clock);

 private:
  struct LaneClocks {
    u32 actor;
    std::array<u32, kLanes> clock;
  };
  const LaneClocks* find(u32 actor) const {
    for (const LaneClocks& e : exceptions_)
      if (e.actor == actor) return &e;
    return nullptr;
  }
  LaneClocks& exception(u32 actor);
  void settle(LaneClocks& e);  // lifts the common clock to the least of the lanes
  void drop_settled();

  std::vector<u32> common_;
  std::vector<LaneClocks> exceptions_;
};

// What is known of clusters other than one's own: immutable blocks, shared between all who know the
// same.
struct ForeignClocks {
  u32 cluster;
  std::shared_ptr<const ClockBlock> block;
};

// A clock on its way through memory: every cluster is foreign.
struct PublishedClock {
  std::vector<ForeignClocks> clusters;  // ascending
  u32 settled = 0;

  void join(const PublishedClock& other);
};

class VectorClock {
 public:
  VectorClock() = default;
  VectorClock(u32 cluster, u32 actors, u32 settled)
      : own(actors), cluster_(cluster), settled_(settled) {}

  ClockBlock own;

  u32 cluster() const { return cluster_; }
  u32 settled() const { return settled_; }
  void settle(u32 actor_limit) { settled_ = std::max(settled_, actor_limit); }
  const ClockBlock* foreign(u32 cluster) const;

  void join(const VectorClock& other);  // of the same cluster
  void join(const PublishedClock& other);
  PublishedClock publish() const;

 private:
  u32 cluster_ = 0;
  u32 settled_ = 0;  // actors below this number belong to launches that have finished
  std::vector<ForeignClocks> foreign_;
};

void join_foreign(std::vector<ForeignClocks>& to, const std::vector<ForeignClocks>& from);

}  // namespace emulator::check
