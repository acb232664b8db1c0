// What the checker remembers of running code: clusters, CTAs, warps, groups of lanes,
// synchronisation objects.
#pragma once

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "check/clock.hpp"
#include "check/observer.hpp"
#include "check/report.hpp"
#include "check/shadow.hpp"

namespace emulator::check {

// mbarriers beyond this number per CTA share actors, which can hide a race but never invent one.
inline constexpr u32 kMbarrierActors = 64;

// Actors of one CTA, in this order.
enum class ActorKind : u8 { kWarp, kCpAsync, kBulkRead, kBulkWrite, kWgmma, kMbarrier };

struct ActorLayout {
  u32 warps = 0;
  u32 warpgroups = 0;
  u32 per_cta = 0;

  explicit ActorLayout(u32 threads = 32)
      : warps((threads + kLanes - 1) / kLanes),
        warpgroups((warps + 3) / 4),
        per_cta((4 * warps + warpgroups + kMbarrierActors + 7) / 8 * 8) {}
  u32 cp_async(u32 warp) const { return warps + warp; }
  u32 bulk_read(u32 warp) const { return 2 * warps + warp; }
  u32 bulk_write(u32 warp) const { return 3 * warps + warp; }
  u32 wgmma(u32 warp) const { return 4 * warps + warp / 4; }
  u32 mbarrier(u32 index) const { return 4 * warps + warpgroups + index % kMbarrierActors; }
  ActorKind kind(u32 local) const {
    if (local < warps) return ActorKind::kWarp;
    if (local < 2 * warps) return ActorKind::kCpAsync;
    if (local < 3 * warps) return ActorKind::kBulkRead;
    if (local < 4 * warps) return ActorKind::kBulkWrite;
    return local < 4 * warps + warpgroups ? ActorKind::kWgmma : ActorKind::kMbarrier;
  }
  u32 warp_of(u32 local) const {
    return local < 4 * warps ? local % warps : (local - 4 * warps) * 4;
  }
};

// What survives of a launch, to name the threads of its actors.
struct LaunchRecord {
  std::string kernel;
  Dim3 grid, block, cluster;
  ActorLayout layout;
  u32 first_actor = 0, end_actor = 0;

  u32 cluster_ctas() const { return cluster.x * cluster.y * cluster.z; }
  u32 ctas() const { return grid.x * grid.y * grid.z; }
  u32 span() const { return cluster_ctas() * layout.per_cta; }
  void locate(u32 cta, u32& cluster_index, u32& rank) const;
  Dim3 cta_of(u32 cluster_index, u32 rank) const;
  ThreadPlace thread(Dim3 cta, u32 warp, u32 lane) const;
};

// Happens-before knowledge. `ordered`: whose actions come before what happens next. `fenced`: which
// generic writes are visible to the async proxy. `initialised`: which mbarrier.init are visible to
// the async proxy and the cluster.
struct Knowledge {
  VectorClock ordered, fenced;
  std::shared_ptr<const VectorClock> initialised;

  void join(const Knowledge& other);
  void join_initialised(const std::shared_ptr<const VectorClock>& other);
};

struct PublishedKnowledge {
  PublishedClock ordered, fenced;
  void join(const PublishedKnowledge& other) {
    ordered.join(other.ordered);
    fenced.join(other.fenced);
  }
};

// A fence that releases at a later strong write.
struct ReleaseFence {
  PublishedKnowledge knowledge;
  Scope scope = Scope::kCta;
};

// What one location in memory carries from its last releases to whoever acquires.
struct Release {
  PublishedKnowledge knowledge;
  Scope scope = Scope::kCta;
  u32 cta = 0;  // linear index, kManyCtas after a merge
};
inline constexpr u32 kManyCtas = ~0u;
using ReleasePtr = std::shared_ptr<const Release>;
struct SyncLocation {
  std::vector<ReleasePtr> releases;
};

// Lanes of a warp that know the same.
struct LaneGroup {
  static constexpr size_t kMostPending = 256;

  u32 mask = 0;
  Knowledge knowledge;
  std::shared_ptr<const ReleaseFence> release_fence;
  // Seen by relaxed reads, known after the next acquire fence.
  std::vector<ReleasePtr> pending_acquire;
  std::shared_ptr<const Knowledge> pending_phases;     // the same of relaxed waits at mbarriers
  std::shared_ptr<const PublishedClock> out_of_scope;  // would be known if scopes were wider

  bool has_pending_acquire(const ReleasePtr& r) const {
    return std::find(pending_acquire.begin(), pending_acquire.end(), r) != pending_acquire.end();
  }
  // Once each: groups that were one before bring the same ones when they meet again. The oldest are
  // forgotten, which can invent a race but never hide one.
  void add_pending_acquire(const ReleasePtr& r) {
    if (has_pending_acquire(r)) return;
    if (pending_acquire.size() >= kMostPending) pending_acquire.erase(pending_acquire.begin());
    pending_acquire.push_back(r);
  }

  void add_pending_phases(const Knowledge& knowledge) {
    auto phases = std::make_shared<Knowledge>(knowledge);
    if (pending_phases) phases->join(*pending_phases);
    pending_phases = std::move(phases);
  }
};

struct LaneCounts {
  std::array<u32, kLanes> issued{};     // group of the last operation
  std::array<u32, kLanes> committed{};  // groups closed
  std::array<u32, kLanes> known{};      // groups known complete
  std::array<Site, kLanes> site{};      // of the last operation
};

struct RegisterState {
  u32 touched = 0;    // number of the wgmma.fence that was last when it was touched, plus 1
  u32 in_flight = 0;  // wgmma group
  Site wgmma = kNoSite;
  Site access = kNoSite;
};

struct WarpState {
  u32 actor = 0;  // index in the cluster
  u32 live = 0;
  u32 phantom = 0;  // lanes that the block does not have
  u32 clock = 1;
  bool touched = false;  // accessed memory since the clock last advanced
  std::vector<LaneGroup> groups;

  bool uses_cp_async = false, uses_bulk = false;
  LaneCounts cp_async, bulk;                     // bulk.known: bytes have been read
  std::array<u32, kLanes> bulk_complete{};       // groups known to have been written
  std::array<u32, kLanes> cp_async_signalled{};  // groups that an mbarrier will report

  // The mbarrier that it has not got past, if any.
  struct {
    u32 lanes = 0, offset = 0;
    Site site = kNoSite;
  } stuck;

  u32 wgmma_fences = 0, wgmma_fences_at_issue = 0;
  u32 wgmma_issued = 0, wgmma_committed = 0, wgmma_known = 0;
  u32 wgmma_waited_while_open = 0;  // group that was open at the last wait
  Site wgmma_site = kNoSite;
  std::vector<RegisterState> registers;

  // The clock that covers every access so far.
  u32 published_clock() const { return touched ? clock : clock - 1; }
  void advance() {
    if (touched) ++clock;
    touched = false;
  }
};

struct NamedBarrierState {
  std::unique_ptr<Knowledge> arrived;
  std::shared_ptr<const ReleaseFence> release_fence;
  std::vector<std::pair<u32, u32>> waiting;  // warp, lanes
};

struct MbarrierState {
  u32 index = 0;  // in the CTA, in order of initialisation
  bool valid = false;
  u32 init_actor = 0, init_clock = 0, init_lane = 0;
  Site init_site = kNoSite;
  std::unique_ptr<Knowledge> arrived, completed;
  u32 phases = 0;
  u32 copies_issued = 0, copies_landed = 0;
  u32 copies_known = 0;  // highest copy that some thread has waited for
  int64_t expected_bytes = 0;
  Site expect_site = kNoSite, copy_site = kNoSite;
  u64 in_flight_bytes = 0;
  // Per thread, when it last waited with success: copies issued, phases completed.
  struct Observed {
    u32 copies = 0, phases = 0;
  };
  std::vector<Observed> observed;
};

struct InFlightCopy {
  u32 rank = 0;  // of the CTA that owns the mbarrier
  u32 offset = 0;
  u32 serial = 0;
  u64 bytes = 0;
  Site site = kNoSite;
};

struct CtaState {
  explicit CtaState(ShadowTable table) : shadow(std::move(table)) {}
  ShadowTable shadow;
  std::vector<WarpState> warps;
  std::array<NamedBarrierState, 16> barriers;
  std::unordered_map<u32, MbarrierState> mbarriers;  // by offset
  std::vector<u32> mbarrier_offsets;                 // by index
  std::unordered_map<u32, SyncLocation> sync;        // by offset / 4
};

struct ClusterState {
  u32 index = 0;
  u32 first_actor = 0;
  u32 span = 0;
  u32 running = 0;
  std::vector<std::unique_ptr<CtaState>> ctas;
  std::unique_ptr<Knowledge> arrived, completed;
  std::shared_ptr<const VectorClock> arrived_initialised, completed_initialised;
  std::shared_ptr<const ReleaseFence> arrived_fence, completed_fence;
  std::unordered_map<AsyncId, InFlightCopy> copies;
};

// Synchronisation locations of global memory, shared by all CTAs.
class SyncMap {
 public:
  template <class F>
  void with(u64 address, F&& f) {
    Shard& shard = shards_[address / 4 % shards_.size()];
    std::lock_guard lock(shard.mutex);
    f(shard.locations, address / 4);
  }
  bool empty() const { return !used_.load(std::memory_order_relaxed); }
  void mark_used() { used_.store(true, std::memory_order_relaxed); }
  void clear() {
    for (Shard& s : shards_) s.locations.clear();
    used_ = false;
  }

 private:
  struct Shard {
    std::mutex mutex;
    std::unordered_map<u64, SyncLocation> locations;
  };
  std::array<Shard, 64> shards_;
  std::atomic<bool> used_{false};
};

}  // namespace emulator::check
