// What the machine tells the checker while a kernel runs.
//
// The interpreter owns values and schedules; an Observer sees only events: who touched which bytes,
// and which synchronisation happened. It never changes what the kernel computes. With checks off
// the interpreter holds a null CtaObserver, and nothing below is called.
//
// Calling rules
// - Calls are per warp instruction: a WarpEvent with the mask of lanes that execute it, and arrays
// of 32 values of
//   which only the lanes in the mask are read.
// - Order of calls = order in which the machine performs the effects. An access is announced before
// it is done.
// - A CtaObserver, and those of the other CTAs of its cluster, are called from one host thread at a
// time. CTAs of
//   different clusters may call concurrently; what they share (global memory) is locked inside.
// - Addresses in shared memory are offsets in the CTA that owns the bytes. If the lanes of one
// instruction reach into
//   several CTAs (distributed shared memory), or into shared and global memory (generic addresses),
//   there is one call per owner, each with its part of the mask.
// - Local memory, parameters and constants are not observed.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace emulator::check {

// Index of an instruction over all loaded modules; the interpreter hands them out (below 2^24).
using Site = uint32_t;
inline constexpr Site kNoSite = 0xffffff;

// What a report says about an instruction.
struct SiteInfo {
  std::string kernel;  // demangled where possible
  std::string file;    // from .file/.loc; empty without -lineinfo
  uint32_t line = 0;   // source line, 0 if unknown
  uint32_t ptx_line = 0;
  std::string text;  // the PTX instruction
};

// Implemented by the interpreter.
class SiteTable {
 public:
  virtual ~SiteTable() = default;
  virtual SiteInfo site_info(Site site) const = 0;
};

enum class Scope : uint8_t { kCta, kCluster, kGpu, kSys };

// Strength of a memory operation. ld/st without qualifier are kWeak; .volatile is kRelaxed at kSys;
// .mmio is kRelaxed at kSys; atom/red without qualifier are kRelaxed at kGpu.
enum class Order : uint8_t { kWeak, kRelaxed, kAcquire, kRelease, kAcqRel };

enum class AccessKind : uint8_t { kLoad, kStore, kAtomic };

struct WarpEvent {
  Site site = kNoSite;
  uint32_t warp = 0;  // in its CTA
  uint32_t mask = 0;  // lanes that execute the instruction
};

// One generic-proxy memory instruction. ldmatrix and stmatrix report the rows: the lane that
// supplied the address of a row accesses its 16 bytes.
struct WarpAccess {
  AccessKind kind = AccessKind::kLoad;
  uint32_t bytes = 4;  // per lane, 1..16, naturally aligned (v4.b64 and wider forms: 32)
  Order order = Order::kWeak;
  Scope scope = Scope::kGpu;
};

enum class FenceKind : uint8_t {
  kThread,            // fence.{acquire,release,acq_rel,sc}.scope and membar
  kProxyAsync,        // fence.proxy.async, with or without a state space
  kProxyAlias,        // fence.proxy.alias
  kMbarrierInit,      // fence.mbarrier_init.release.cluster
  kTensormapRelease,  // fence.proxy.tensormap::generic.release.scope
  kTensormapAcquire,  // fence.proxy.tensormap::generic.acquire.scope [address], 128
};

enum class FenceSpace : uint8_t { kAll, kShared, kGlobal };

struct Fence {
  FenceKind kind = FenceKind::kThread;
  Order order = Order::kAcqRel;
  Scope scope = Scope::kGpu;
  FenceSpace space = FenceSpace::kAll;
  const uint64_t* addresses = nullptr;  // kTensormapAcquire only
};

struct SharedSegment {
  uint32_t offset = 0;
  uint32_t bytes = 0;
};

// A run of bytes moved by an asynchronous copy; rows of a box are cut where the swizzle or a border
// cuts them. global == 0: the destination bytes are filled (out of bounds), or the source bytes are
// dropped.
struct CopySegment {
  uint32_t shared_offset = 0;
  uint32_t bytes = 0;
  uint64_t global = 0;
};

enum class BulkKind : uint8_t {
  kLoad,            // global to shared, completes on an mbarrier
  kStore,           // shared to global, completes by bulk group
  kReduce,          // shared to global with a reduction, completes by bulk group
  kSharedToShared,  // shared::cta to shared::cluster, completes on an mbarrier
};

// One bulk or tensor copy as one thread issues it. A multicast is announced once per destination
// CTA.
struct BulkCopy {
  BulkKind kind = BulkKind::kLoad;
  uint32_t lane = 0;
  uint32_t shared_cta =
      0;  // linear index in the grid of the CTA whose shared memory is written (or read: stores)
  uint32_t mbarrier_cta = 0;  // CTA that owns the mbarrier, loads only
  uint32_t mbarrier_offset = 0;
  uint64_t tensormap = 0;  // address of the descriptor if it lies in global memory, else 0
  std::span<const CopySegment> segments;
  std::span<const SharedSegment> source;  // kSharedToShared: what is read in the issuing CTA
};

using AsyncId = uint64_t;

enum class BarrierRole : uint8_t { kSync, kArrive };  // barrier.sync/red or barrier.arrive

// Registers of one wgmma.mma_async. Register numbers are those of the kernel's register file
// layout; any numbering that is equal in wgmma_issue and register_access will do.
struct WgmmaRegisters {
  std::span<const uint32_t> accumulators;
  std::span<const uint32_t> a;  // empty if A comes from shared memory
};

// What a report is about. Those that the interpreter finds itself it passes to
// CtaObserver::violation.
enum class Rule : uint8_t {
  kReadAfterWrite,  // a read not ordered after a write of another thread
  kWriteAfterRead,
  kWriteAfterWrite,
  kScope,              // synchronised, but with a scope that does not include the other thread
  kProxyFence,         // generic access before async-proxy access without fence.proxy.async
  kMbarrierInitFence,  // mbarrier.init not made visible to the async proxy or the cluster
  kTensormapFence,     // descriptor changed, then used without fence.proxy.tensormap
  kMbarrierInit,       // use without or not ordered after mbarrier.init
  kMbarrierPhase,      // waited for a phase that is not the one that carries the data; over-arrival
  kMbarrierBytes,      // bytes expected differ from bytes delivered
  kAsyncNotAwaited,    // result of an asynchronous copy used before its completion was observed
  kAsyncOverwrite,     // buffer written while an asynchronous copy or wgmma may still read it
  kWgmmaFence,         // registers of wgmma touched without wgmma.fence
  kWgmmaCommit,        // wgmma not committed before it is waited for
  kWgmmaWait,          // registers of wgmma touched before wait_group
  kExitInFlight,       // thread or CTA exits with asynchronous work in flight
  kDivergence,         // .aligned instruction executed by a part of the warp
  kBarrier,            // named barrier: wrong count, mixed counts, over-arrival
  kDeadlock,
  kUninitialisedShared,
  kUninitialisedGlobal,
  kOutOfBounds,  // outside of every allocation, or in a guard band
  kUseAfterFree,
  kMisaligned,
  kIllegal,  // descriptor, operand or state that the instruction does not allow
  kCount,
};

// Everything that happens in one CTA.
class CtaObserver {
 public:
  virtual ~CtaObserver() = default;

  // Generic proxy.
  virtual void shared_access(const WarpEvent& event, const WarpAccess& access, uint32_t owner_cta,
                             const uint32_t* offsets) = 0;
  virtual void global_access(const WarpEvent& event, const WarpAccess& access,
                             const uint64_t* addresses) = 0;
  // Once a strong load or an atomic operation has its value: threads of other CTAs may have
  // released it after global_access was called.
  virtual void global_value(const WarpEvent&, const WarpAccess&, const uint64_t*) {}
  virtual void fence(const WarpEvent& event, const Fence& fence) = 0;

  // Warps and named barriers.
  virtual void warp_sync(const WarpEvent& event) = 0;  // bar.warp.sync: orders memory
  virtual void warp_collective(
      const WarpEvent& event) = 0;  // shfl, vote, mma, ...: orders memory only if asked to
  virtual void barrier_arrive(const WarpEvent& event, uint32_t barrier, BarrierRole role) = 0;
  virtual void barrier_complete(
      uint32_t barrier) = 0;  // the last arrival is in; before anyone proceeds
  virtual void cluster_arrive(const WarpEvent& event, Order order) = 0;  // kRelease or kRelaxed
  virtual void
  cluster_complete() = 0;  // once per cluster, through any of its CTAs, before anyone proceeds
  virtual void cluster_wait(const WarpEvent& event, Order order) = 0;  // when it proceeds

  // mbarrier. `owner_cta` is the linear index in the grid.
  virtual void mbarrier_init(const WarpEvent& event, const uint32_t* offsets,
                             const uint32_t* counts) = 0;
  virtual void mbarrier_inval(const WarpEvent& event, const uint32_t* offsets) = 0;
  // arrive, arrive_drop, arrive.expect_tx, expect_tx (arrivals 0) and complete_tx by a thread
  // (arrivals 0). `tx_bytes` may be null. Order is kRelease or kRelaxed.
  virtual void mbarrier_arrive(const WarpEvent& event, uint32_t owner_cta, const uint32_t* offsets,
                               uint32_t arrivals, const int32_t* tx_bytes, Order order,
                               Scope scope) = 0;
  virtual void mbarrier_phase(uint32_t owner_cta, uint32_t offset) = 0;  // the phase just completed
  // test_wait or try_wait; `succeeded` is the part of event.mask that got true. A wait that blocks
  // is announced once with none, and again when it proceeds.
  virtual void mbarrier_wait(const WarpEvent& event, const uint32_t* offsets, uint32_t succeeded,
                             Order order, Scope scope) = 0;

  // cp.async of single threads. source_bytes (may be null): bytes really read, the rest is zero
  // filled.
  virtual void cp_async(const WarpEvent& event, uint32_t bytes, const uint32_t* offsets,
                        const uint64_t* addresses, const uint32_t* source_bytes) = 0;
  virtual void cp_async_commit(const WarpEvent& event) = 0;
  virtual void cp_async_wait(const WarpEvent& event,
                             uint32_t pending_groups) = 0;  // when it proceeds
  virtual void cp_async_wait_all(const WarpEvent& event) = 0;
  virtual void cp_async_mbarrier_arrive(const WarpEvent& event,
                                        const uint32_t* offsets) = 0;  // at issue

  // Bulk copies. bulk_begin at issue, bulk_end when bytes and signal have been delivered: before
  // the mbarrier_phase that it may cause.
  virtual AsyncId bulk_begin(const WarpEvent& event, const BulkCopy& copy) = 0;
  virtual void bulk_end(AsyncId id) = 0;
  virtual void bulk_commit(const WarpEvent& event) = 0;
  enum class BulkWait : uint8_t { kComplete, kRead };  // wait_group, wait_group.read
  virtual void bulk_wait(const WarpEvent& event, uint32_t pending_groups,
                         BulkWait wait) = 0;  // when it proceeds

  // wgmma, per warp. The last of the four warps to issue also announces what the warpgroup reads
  // from shared memory, right after its wgmma_issue.
  virtual void wgmma_fence(const WarpEvent& event) = 0;
  virtual void wgmma_issue(const WarpEvent& event, const WgmmaRegisters& registers) = 0;
  virtual void wgmma_operands(const WarpEvent& event, std::span<const SharedSegment> a,
                              std::span<const SharedSegment> b) = 0;
  virtual void wgmma_commit(const WarpEvent& event) = 0;
  virtual void wgmma_wait(const WarpEvent& event, uint32_t pending_groups) = 0;
  // An instruction other than wgmma that reads or writes registers which some wgmma of the kernel
  // names. The interpreter marks such instructions when it loads the kernel, so that all others pay
  // nothing.
  virtual void register_access(const WarpEvent& event, std::span<const uint32_t> registers) = 0;

  // Programmatic dependent launch.
  virtual void griddep_wait(const WarpEvent& event) = 0;
  virtual void griddep_launch(const WarpEvent& event) = 0;

  virtual void exit(const WarpEvent& event) = 0;  // these lanes are done
  virtual void end() = 0;  // all threads have exited and all asynchronous work has landed

  // A rule that the interpreter checks itself (bounds, alignment, counts, divergence, deadlock).
  virtual void violation(const WarpEvent& event, Rule rule, std::string_view text) = 0;
};

struct Dim3 {
  uint32_t x = 1, y = 1, z = 1;
};

struct LaunchInfo {
  std::string_view kernel;
  Dim3 grid, block, cluster;
  uint32_t shared_bytes = 0;  // static + dynamic
  // The launch may start before its predecessor in the stream has finished (programmatic stream
  // serialization): it knows of the predecessor's writes only after griddepcontrol.wait.
  enum class Predecessor : uint8_t { kFinished, kMayOverlap } predecessor = Predecessor::kFinished;
};

class LaunchObserver {
 public:
  virtual ~LaunchObserver() = default;
  // `cta` is the linear index x + grid.x * (y + grid.y * z). CTAs of a cluster begin before any of
  // them executes.
  virtual std::unique_ptr<CtaObserver> cta_begin(uint32_t cta) = 0;
  virtual void end() = 0;
};

// One per process.
class Observer {
 public:
  virtual ~Observer() = default;

  virtual std::unique_ptr<LaunchObserver> launch_begin(const LaunchInfo& info) = 0;

  // Device memory as the host sees it.
  enum class Contents : uint8_t { kUndefined, kDefined };
  virtual void allocated(uint64_t address, uint64_t bytes, Contents contents) = 0;
  virtual void freed(uint64_t address) = 0;
  virtual void host_wrote(uint64_t address, uint64_t bytes) = 0;  // memcpy to the device, memset
  virtual void host_read(uint64_t address, uint64_t bytes) = 0;   // memcpy to the host
  virtual void device_copied(uint64_t to, uint64_t from, uint64_t bytes) = 0;

  // Reports so far, merged; text for people, JSON for tools.
  virtual uint64_t report_count() const = 0;
  virtual std::string text() const = 0;
  virtual std::string json() const = 0;
};

struct CheckerOptions {
  // kMemory: only bar.warp.sync orders the lanes of a warp, as PTX says. kCollectives: shfl, vote,
  // mma, ... do too.
  enum class WarpOrder : uint8_t { kMemory, kCollectives } warp_order = WarpOrder::kMemory;
  bool report_uninitialised = true;
  uint32_t max_reports = 1000;  // distinct ones; equal ones are only counted
};

// `sites` must outlive the observer.
std::unique_ptr<Observer> make_checker(const CheckerOptions& options, const SiteTable& sites);

}  // namespace emulator::check
