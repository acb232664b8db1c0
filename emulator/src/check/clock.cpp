#include "check/clock.hpp"

namespace emulator::check {

ClockBlock::LaneClocks& ClockBlock::exception(u32 actor) {
  for (LaneClocks& e : exceptions_)
    if (e.actor == actor) return e;
  LaneClocks& e = exceptions_.emplace_back();
  e.actor = actor;
  e.clock.fill(common_[actor]);
  return e;
}

void ClockBlock::settle(LaneClocks& e) {
  const u32 least = *std::min_element(e.clock.begin(), e.clock.end());
  common_[e.actor] = std::max(common_[e.actor], least);
  for (u32& c : e.clock) c = std::max(c, common_[e.actor]);
}

void ClockBlock::drop_settled() {
  std::erase_if(exceptions_, [this](const LaneClocks& e) {
    return std::all_of(e.clock.begin(), e.clock.end(),
                       [&](u32 c) { return c == common_[e.actor]; });
  });
}

void ClockBlock::join(const ClockBlock& other) {
  u32* to = common_.data();
  const u32* from = other.common_.data();
  const size_t n = common_.size();
  for (size_t i = 0; i < n; ++i) to[i] = std::max(to[i], from[i]);
  if (exceptions_.empty() && other.exceptions_.empty()) return;
  for (const LaneClocks& e : other.exceptions_) {
    LaneClocks& mine = exception(e.actor);
    for (u32 l = 0; l < kLanes; ++l) mine.clock[l] = std::max(mine.clock[l], e.clock[l]);
  }
  for (LaneClocks& e : exceptions_) settle(e);
  drop_settled();
}

void ClockBlock::raise(u32 actor, u32 lanes, u32 clock) {
  if (clock <= common_[actor]) return;
  if (lanes == kAllLanes) {
    common_[actor] = clock;
    if (exceptions_.empty()) return;
    for (LaneClocks& e : exceptions_)
      if (e.actor == actor) settle(e);
  } else {
    LaneClocks& e = exception(actor);
    for (u32 l = 0; l < kLanes; ++l)
      if (lanes >> l & 1) e.clock[l] = std::max(e.clock[l], clock);
    settle(e);
  }
  drop_settled();
}

void join_foreign(std::vector<ForeignClocks>& to, const std::vector<ForeignClocks>& from) {
  for (const ForeignClocks& f : from) {
    auto at =
        std::lower_bound(to.begin(), to.end(), f.cluster,
                         [](const ForeignClocks& a, u32 cluster) { return a.cluster < cluster; });
    if (at == to.end() || at->cluster != f.cluster) {
      to.insert(at, f);
    } else if (at->block != f.block) {
      auto joined = std::make_shared<ClockBlock>(*at->block);
      joined->join(*f.block);
      at->block = std::move(joined);
    }
  }
}

void PublishedClock::join(const PublishedClock& other) {
  join_foreign(clusters, other.clusters);
  settled = std::max(settled, other.settled);
}

const ClockBlock* VectorClock::foreign(u32 cluster) const {
  auto at =
      std::lower_bound(foreign_.begin(), foreign_.end(), cluster,
                       [](const ForeignClocks& a, u32 cluster) { return a.cluster < cluster; });
  return at != foreign_.end() && at->cluster == cluster ? at->block.get() : nullptr;
}

void VectorClock::join(const VectorClock& other) {
  own.join(other.own);
  settle(other.settled_);
  if (!other.foreign_.empty()) join_foreign(foreign_, other.foreign_);
}

void VectorClock::join(const PublishedClock& other) {
  settle(other.settled);
  std::vector<ForeignClocks> rest;
  for (const ForeignClocks& f : other.clusters) {
    if (f.cluster == cluster_)
      own.join(*f.block);
    else
      rest.push_back(f);
  }
  join_foreign(foreign_, rest);
}

PublishedClock VectorClock::publish() const {
  PublishedClock out;
  out.settled = settled_;
  out.clusters.push_back({cluster_, std::make_shared<ClockBlock>(own)});
  join_foreign(out.clusters, foreign_);
  return out;
}

}  // namespace emulator::check
