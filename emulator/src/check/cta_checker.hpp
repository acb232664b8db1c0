// The checker of one CTA: turns events into happens-before knowledge and accesses into questions to
// it.
#pragma once

#include "check/launch_checker.hpp"
#include "check/state.hpp"

namespace emulator::check {

// A stamp, whether of a write or of a read.
struct PastAccess {
  enum class Kind : u8 { kRead, kWrite };
  Kind kind;
  u32 actor, clock, lanes;
  Site site;
  Strength strength;
};

// Answers "does this come before what lane L does now" for one group of lanes.
struct View {
  const u32* common = nullptr;  // clocks of the own cluster
  u32 first = 0, span = 0;      // actors of the own cluster
  u32 self = 0;                 // actor of the warp
  const VectorClock* clock = nullptr;
  const WarpState* warp = nullptr;
  const LaunchRecord* launch = nullptr;

  bool ordered(u32 actor, u32 clock, u32 lane, u32 my_lane) const {
    const u32 i = actor - first;
    if (i < span && clock <= common[i]) return true;
    if (actor == self && lane == my_lane) return true;
    return ordered_slow(actor, clock, lane, my_lane);
  }
  bool ordered_lanes(u32 actor, u32 clock, u32 lanes, u32 my_lane) const;

 private:
  bool ordered_slow(u32 actor, u32 clock, u32 lane, u32 my_lane) const;
};

inline constexpr u32 kNoLane = 32;  // as `my_lane`: nothing is one's own

struct AccessContext {
  View view;
  const LaneGroup* group = nullptr;
  Site site = kNoSite;
  u32 warp = 0;
  Strength strength = Strength::kWeak;
};

// Where a cell lies, for reports.
struct CellPlace {
  enum class Space : u8 { kShared, kGlobal };
  Space space;
  u64 address;  // of byte 0 of the table
  u32 owner_cta = 0;
};

std::string place_text(const CellPlace& at, u64 offset);

class CtaChecker final : public CtaObserver {
 public:
  CtaChecker(LaunchChecker& launch, std::shared_ptr<ClusterState> cluster, u32 rank, u32 cta);

  void shared_access(const WarpEvent&, const WarpAccess&, uint32_t, const uint32_t*) override;
  void global_access(const WarpEvent&, const WarpAccess&, const uint64_t*) override;
  void global_value(const WarpEvent&, const WarpAccess&, const uint64_t*) override;
  void fence(const WarpEvent&, const Fence&) override;
  void warp_sync(const WarpEvent&) override;
  void warp_collective(const WarpEvent&) override;
  void barrier_arrive(const WarpEvent&, uint32_t, BarrierRole) override;
  void barrier_complete(uint32_t) override;
  void cluster_arrive(const WarpEvent&, Order) override;
  void cluster_complete() override;
  void cluster_wait(const WarpEvent&, Order) override;
  void mbarrier_init(const WarpEvent&, const uint32_t*, const uint32_t*) override;
  void mbarrier_inval(const WarpEvent&, const uint32_t*) override;
  void mbarrier_arrive(const WarpEvent&, uint32_t, const uint32_t*, uint32_t, const int32_t*, Order,
                       Scope) override;
  void mbarrier_phase(uint32_t, uint32_t) override;
  void mbarrier_wait(const WarpEvent&, const uint32_t*, uint32_t, Order, Scope) override;
  void cp_async(const WarpEvent&, uint32_t, const uint32_t*, const uint64_t*,
                const uint32_t*) override;
  void cp_async_commit(const WarpEvent&) override;
  void cp_async_wait(const WarpEvent&, uint32_t) override;
  void cp_async_wait_all(const WarpEvent&) override;
  void cp_async_mbarrier_arrive(const WarpEvent&, const uint32_t*) override;
  AsyncId bulk_begin(const WarpEvent&, const BulkCopy&) override;
  void bulk_end(AsyncId) override;
  void bulk_commit(const WarpEvent&) override;
  void bulk_wait(const WarpEvent&, uint32_t, BulkWait) override;
  void wgmma_fence(const WarpEvent&) override;
  void wgmma_issue(const WarpEvent&, const WgmmaRegisters&) override;
  void wgmma_operands(const WarpEvent&, std::span<const SharedSegment>,
                      std::span<const SharedSegment>) override;
  void wgmma_commit(const WarpEvent&) override;
  void wgmma_wait(const WarpEvent&, uint32_t) override;
  void register_access(const WarpEvent&, std::span<const uint32_t>) override;
  void griddep_wait(const WarpEvent&) override;
  void griddep_launch(const WarpEvent&) override;
  void exit(const WarpEvent&) override;
  void end() override;
  void violation(const WarpEvent&, Rule, std::string_view) override;

 private:
  // order.cpp: groups of lanes, release and acquire.
  template <class F>
  void with_groups(WarpState& warp, u32 mask, F&& f);  // f(group, lanes of mask in it)
  template <class F>
  void with_isolated(WarpState& warp, u32 mask, F&& f);  // f(group), groups cut to lie in mask
  LaneGroup& group_of(WarpState& warp, u32 lane);
  void raise_own(const WarpState& warp, u32 mask, ClockBlock& block) const;
  Knowledge release(WarpState& warp, u32 mask);
  void acquire(WarpState& warp, u32 mask, const Knowledge& knowledge);
  // After a relaxed wait: acquired by the next fence that acquires.
  void await_fence(WarpState& warp, u32 mask, const Knowledge& knowledge);
  std::shared_ptr<const ReleaseFence> fences_of(WarpState& warp, u32 mask);
  void thread_fence(WarpState& warp, u32 mask, const Fence& fence);
  void proxy_fence(WarpState& warp, u32 mask);
  void init_fence(WarpState& warp, u32 mask);
  bool same_scope(const Release& release, Scope scope) const;
  void acquire_release(LaneGroup& group, const Release& release, Scope scope);
  void sync_acquire(WarpState& warp, u32 lane, const SyncLocation& at, const WarpAccess& access);
  void sync_release(WarpState& warp, u32 lane, SyncLocation& at, const WarpAccess& access,
                    std::shared_ptr<const PublishedKnowledge>& published);
  void sync_shared(const WarpEvent&, const WarpAccess&, CtaState& owner, const u32* offsets);
  void sync_global(const WarpEvent&, const WarpAccess&, const u64* addresses);

  // shared_access.cpp
  void load_shared(ShadowTable&, const AccessContext&, u32 lanes, u32 bytes, const u32* offsets,
                   const CellPlace&);
  void store_shared(ShadowTable&, const AccessContext&, u32 lanes, u32 bytes, const u32* offsets,
                    const CellPlace&);
  void access_cell(ShadowTable&, u32 cell, u32 bytes, AccessKind kind, const AccessContext&,
                   u32 lane, const CellPlace&);
  void report_undefined(Cell& c, u32 cell, u32 bytes, const AccessContext&, u32 lane,
                        const CellPlace&);
  void record_row(ShadowTable&, ReadRow& row, u32 cell, u32 bytes, u32 known, const AccessContext&,
                  u32 lane, const CellPlace&);
  ReadStamp row_stamp(const ReadRows& rows, u32 index, u32 cell) const;
  bool rows_clear(const ReadRows& rows, u32 first_cell, u32 last_cell, const View& view) const;
  bool row_readers_ordered(const ReadRows& rows, u32 cell, const View& view, u32 lane) const;

  // access.cpp
  View view_of(const WarpState& warp, const VectorClock& clock) const;
  AccessContext context(const WarpEvent& event, const LaneGroup& group, Strength strength) const;
  void read_cell(ShadowTable&, u32 cell, u32 bytes, const AccessContext&, u32 lane,
                 const CellPlace&);
  void write_cell(ShadowTable&, u32 cell, u32 bytes, const AccessContext&, u32 lane,
                  const CellPlace&);
  void check_writes(ShadowTable&, u32 cell, u32 bytes, const AccessContext&, u32 lane,
                    PastAccess::Kind now, const CellPlace&);
  void check_reads(ShadowTable&, u32 cell, u32 bytes, const AccessContext&, u32 lane,
                   const CellPlace&);
  void record_read(ShadowTable&, u32 cell, const ReadStamp& stamp, const AccessContext&, u32 lane,
                   const CellPlace&);
  void record_write(ShadowTable&, u32 cell, u32 bytes, WriteStamp stamp, const AccessContext&,
                    u32 lane);
  // f(page, offset in page, bytes, address), with the page locked, for every part of the range.
  template <class F>
  void with_pages(u64 address, u64 bytes, F&& f);
  Allocation* allocation_at(u64 address);

  // async_copy.cpp
  struct AsyncActor {
    u32 actor, clock, lane;
    Strength strength;
  };
  // The view of the issuing lane, and what it needs to say of every cell of a copy.
  struct AsyncContext {
    AccessContext access;
    u32 lane;
    View fenced;
    ReadStamp read;
    WriteStamp write;
    bool rows_clear = false;  // no read in a row can conflict
    void act_as(const AsyncActor& actor);
  };
  AsyncContext async_context(const WarpEvent& event, u32 lane, Strength strength);
  void async_read(ShadowTable&, u32 cell, u32 bytes, const AsyncContext&, const CellPlace&);
  void async_write(ShadowTable&, u32 cell, u32 bytes, const AsyncContext&, const CellPlace&);
  bool async_read_global(std::span<const CopySegment> segments, const AsyncContext&);
  void async_write_global(const CopySegment&, const AsyncContext&);
  void undefine_shared(ShadowTable&, std::span<const CopySegment> segments);
  void check_fenced(ShadowTable&, u32 cell, u32 bytes, const AccessContext&, u32 lane,
                    const View& fenced, const CellPlace&);
  void begin_load(const WarpEvent&, const BulkCopy&, AsyncId id);
  void begin_store(const WarpEvent&, const BulkCopy&);
  void check_tensormap(const BulkCopy&, const AsyncContext&);

  // mbarrier.cpp
  enum class MbarrierUse : u8 { kThread, kAsync };
  MbarrierState& mbarrier(CtaState& owner, u32 offset);
  bool use_mbarrier(MbarrierState&, u32 offset, const AccessContext&, u32 lane, MbarrierUse);
  void report_open_bytes(CtaState& cta);
  void report_missed_phases();

  // conflict.cpp
  bool conflict(const AccessContext&, u32 lane, const PastAccess& past, PastAccess::Kind now,
                u64 offset, const CellPlace&);
  void report(Rule rule, const AccessContext&, u32 lane, const PastAccess* past,
              const char* now_what, std::string where, std::string note = {});
  // As report(), but writes the text of the place only for the first of its kind.
  void report_at(Rule rule, const AccessContext&, u32 lane, const PastAccess* past,
                 const char* now_what, u64 offset, const CellPlace& at, const char* note = "");
  void report_plain(Rule rule, const WarpEvent&, u32 lane, const char* what, std::string where,
                    std::string note = {}, Site before = kNoSite, const char* before_what = "");
  bool waited_for_other_phase(const AccessContext&, u32 lane, const PastAccess& past) const;
  AccessPlace place(const PastAccess& past) const;
  AccessPlace place_now(Site site, u32 warp, u32 lane, const char* what) const;

  u32 global_actor(const WarpState& warp) const { return cluster_->first_actor + warp.actor; }
  u32 rank_of(u32 cta) const;
  u32 actor_base() const { return rank_ * layout_.per_cta; }

  LaunchChecker& launch_;
  std::shared_ptr<ClusterState> cluster_;
  const u32 rank_;
  const u32 cta_;
  const LaunchRecord& record_;
  const ActorLayout& layout_;
  CtaState& state_;
  std::shared_ptr<Allocation> recent_[4];
  u32 recent_next_ = 0;
  u32 generation_ = 0;
  bool stuck_ = false;
  std::vector<u32> least_ordered_, least_fenced_;  // scratch of wgmma_operands
};

template <class F>
void CtaChecker::with_groups(WarpState& warp, u32 mask, F&& f) {
  for (LaneGroup& group : warp.groups)
    if (const u32 lanes = group.mask & mask) f(group, lanes);
}

template <class F>
void CtaChecker::with_pages(u64 address, u64 bytes, F&& f) {
  while (bytes) {
    Allocation* a = allocation_at(address);
    if (!a) return;
    const u32 offset = Allocation::offset_in_page(address, a->base);
    const u64 rest = std::min<u64>(a->base + a->bytes - address, kPageBytes - offset);
    const u32 n = static_cast<u32>(std::min(bytes, rest));
    GlobalPage& page = a->page(address);
    page.lock.lock();
    f(page, offset, n, address);
    page.lock.unlock();
    address += n;
    bytes -= n;
  }
}

template <class F>
void for_lanes(u32 mask, F&& f) {
  for (; mask; mask &= mask - 1) f(static_cast<u32>(__builtin_ctz(mask)));
}

// f(cell, bytes of the cell) for every 4-byte cell that [offset, offset + bytes) touches.
template <class F>
void for_cells(u32 offset, u32 bytes, F&& f) {
  u32 cell = offset / 4;
  const u32 end = offset + bytes;
  if ((offset | bytes) % 4 == 0) {
    for (; cell < end / 4; ++cell) f(cell, 0xfu);
    return;
  }
  for (; cell * 4 < end; ++cell) {
    const u32 low = std::max(offset, cell * 4) - cell * 4;
    const u32 high = std::min(end, cell * 4 + 4) - cell * 4;
    f(cell, (0xfu >> (4 - (high - low))) << low);
  }
}

}  // namespace emulator::check
