// The checker alone, fed with events: one CTA of two warps unless a test says otherwise.
#include <gtest/gtest.h>

#include "check/observer.hpp"

namespace emulator::check {
namespace {

class NoSites : public SiteTable {
 public:
  SiteInfo site_info(Site site) const override {
    return {"kernel", "file.cu", site, site, "instruction " + std::to_string(site)};
  }
};

constexpr uint32_t kAll = ~0u;
constexpr Site kFirst = 1, kSecond = 2;

class CheckerTest : public testing::Test {
 protected:
  void start(uint32_t ctas = 1, uint32_t threads = 64, uint32_t cluster = 1) {
    LaunchInfo info;
    info.kernel = "kernel";
    info.grid.x = ctas;
    info.block.x = threads;
    info.cluster.x = cluster;
    info.shared_bytes = 4096;
    launch = checker->launch_begin(info);
    for (uint32_t i = 0; i < ctas; ++i) cta.push_back(launch->cta_begin(i));
  }

  void shared(uint32_t warp, AccessKind kind, uint32_t offset, uint32_t stride = 4,
              uint32_t mask = kAll, uint32_t bytes = 4, uint32_t by = 0, uint32_t owner = 0) {
    uint32_t offsets[32];
    for (uint32_t l = 0; l < 32; ++l) offsets[l] = offset + stride * l;
    WarpAccess access;
    access.kind = kind;
    access.bytes = bytes;
    cta[by]->shared_access(event(warp, mask), access, owner, offsets);
  }

  void global(uint32_t by, AccessKind kind, uint64_t address, Order order = Order::kWeak,
              Scope scope = Scope::kGpu, uint32_t warp = 0) {
    uint64_t addresses[32];
    for (uint64_t& a : addresses) a = address;
    WarpAccess access;
    access.kind = kind;
    access.order = order;
    access.scope = scope;
    cta[by]->global_access(event(warp, 1), access, addresses);
  }

  static WarpEvent event(uint32_t warp, uint32_t mask = kAll) { return {next_site++, warp, mask}; }

  void block_barrier(uint32_t warps = 2) {
    for (uint32_t w = 0; w < warps; ++w) cta[0]->barrier_arrive(event(w), 0, BarrierRole::kSync);
    cta[0]->barrier_complete(0);
  }

  void init_mbarrier(uint32_t offset, bool fenced = true) {
    uint32_t offsets[32] = {}, counts[32] = {};
    offsets[0] = offset;
    counts[0] = 1;
    cta[0]->mbarrier_init(event(0, 1), offsets, counts);
    if (fenced) cta[0]->fence(event(0, 1), {FenceKind::kMbarrierInit});
  }

  AsyncId load(uint32_t offset, uint32_t bytes, uint32_t bar) {
    const CopySegment segment{offset, bytes, 0};
    BulkCopy copy;
    copy.mbarrier_offset = bar;
    copy.segments = {&segment, 1};
    return cta[0]->bulk_begin(event(0, 1), copy);
  }

  void wait(uint32_t warp, uint32_t bar, uint32_t lanes = kAll) {
    uint32_t offsets[32];
    for (uint32_t& o : offsets) o = bar;
    cta[0]->mbarrier_wait(event(warp, lanes), offsets, lanes, Order::kAcquire, Scope::kCta);
  }

  void expect(uint32_t bar, int32_t bytes) {
    uint32_t offsets[32] = {};
    int32_t tx[32] = {};
    offsets[0] = bar;
    tx[0] = bytes;
    cta[0]->mbarrier_arrive(event(0, 1), 0, offsets, 1, tx, Order::kRelease, Scope::kCta);
  }

  std::string reports() const { return checker->json(); }
  bool reported(const char* rule) const {
    return reports().find("\"rule\": \"" + std::string(rule) + "\"") != std::string::npos;
  }
  bool silent() const { return checker->report_count() == 0; }

  static inline Site next_site = 1;
  NoSites sites;
  std::unique_ptr<Observer> checker = make_checker({}, sites);
  std::unique_ptr<LaunchObserver> launch;
  std::vector<std::unique_ptr<CtaObserver>> cta;
};

constexpr AccessKind kLoad = AccessKind::kLoad, kStore = AccessKind::kStore,
                     kAtomic = AccessKind::kAtomic;

TEST_F(CheckerTest, BarrierOrdersWarps) {
  start();
  shared(0, kStore, 0);
  block_barrier();
  shared(1, kLoad, 0);
  EXPECT_TRUE(silent()) << reports();
}

TEST_F(CheckerTest, MissingBarrierIsReadAfterWrite) {
  start();
  shared(0, kStore, 0);
  shared(1, kLoad, 0);
  EXPECT_TRUE(reported("read-after-write")) << reports();
}

TEST_F(CheckerTest, OwnWordsNeedNoOrder) {
  start();
  shared(0, kStore, 0);
  shared(0, kLoad, 0);
  shared(0, kStore, 0);
  EXPECT_TRUE(silent()) << reports();
}

TEST_F(CheckerTest, LanesOfAWarpNeedWarpSync) {
  start();
  shared(0, kStore, 0);
  shared(0, kLoad, 124, -4);
  EXPECT_TRUE(reported("read-after-write")) << reports();
}

TEST_F(CheckerTest, WarpSyncOrdersLanes) {
  start();
  shared(0, kStore, 0);
  cta[0]->warp_sync(event(0));
  shared(0, kLoad, 124, -4);
  cta[0]->warp_sync(event(0));
  shared(0, kStore, 0);
  EXPECT_TRUE(silent()) << reports();
}

TEST_F(CheckerTest, HalfWordsOfTwoLanesDoNotConflict) {
  start();
  shared(0, kStore, 0, 2, kAll, 2);
  shared(0, kLoad, 0, 2, kAll, 2);
  shared(0, kStore, 0, 2, kAll, 2);
  EXPECT_TRUE(silent()) << reports();
  shared(1, kLoad, 0, 2, kAll, 2);
  EXPECT_TRUE(reported("read-after-write")) << reports();
}

TEST_F(CheckerTest, HalfWordsAreOrderedByABarrier) {
  start();
  shared(0, kStore, 0, 2, kAll, 2);
  block_barrier();
  shared(1, kLoad, 0, 4, 0xffff);
  block_barrier();
  shared(1, kStore, 0, 2, kAll, 2);
  EXPECT_TRUE(silent()) << reports();
}

TEST_F(CheckerTest, WriteAfterReadOfSeveralWarps) {
  start(1, 128);
  shared(0, kStore, 0);
  block_barrier(4);
  for (uint32_t w = 1; w < 4; ++w) shared(w, kLoad, 0);
  shared(0, kStore, 0);
  EXPECT_TRUE(reported("write-after-read")) << reports();
}

TEST_F(CheckerTest, UninitialisedSharedIsReportedOnce) {
  start();
  shared(0, kLoad, 0);
  EXPECT_TRUE(reported("uninitialised-shared")) << reports();
}

TEST_F(CheckerTest, AwaitedLoadIsSilent) {
  start();
  init_mbarrier(1024);
  block_barrier();
  expect(1024, 128);
  cta[0]->bulk_end(load(0, 128, 1024));
  cta[0]->mbarrier_phase(0, 1024);
  wait(0, 1024);
  wait(1, 1024);
  shared(0, kLoad, 0);
  shared(1, kLoad, 0);
  cta[0]->end();
  EXPECT_TRUE(silent()) << reports();
}

TEST_F(CheckerTest, LoadMustBeAwaitedByEveryReader) {
  start();
  init_mbarrier(1024);
  block_barrier();
  expect(1024, 128);
  cta[0]->bulk_end(load(0, 128, 1024));
  cta[0]->mbarrier_phase(0, 1024);
  wait(0, 1024);
  shared(1, kLoad, 0);
  EXPECT_TRUE(reported("async-not-awaited")) << reports();
}

TEST_F(CheckerTest, WaitForTheOldPhase) {
  start();
  init_mbarrier(1024);
  block_barrier();
  expect(1024, 128);
  cta[0]->bulk_end(load(0, 128, 1024));
  cta[0]->mbarrier_phase(0, 1024);
  wait(0, 1024);
  expect(1024, 128);
  load(0, 128, 1024);
  wait(0, 1024);
  shared(0, kLoad, 0);
  EXPECT_TRUE(reported("mbarrier-phase")) << reports();
}

// A relaxed arrival and a relaxed wait order what lies before a fence that releases with what lies
// after one that acquires, and nothing without either.
class RelaxedMbarrier : public CheckerTest,
                        public testing::WithParamInterface<std::pair<bool, bool>> {
 protected:
  void hand_over(bool releases, bool acquires) {
    constexpr uint32_t kBarrier = 1024;
    start();
    init_mbarrier(kBarrier);
    block_barrier();
    uint32_t offsets[32] = {};
    for (uint32_t& o : offsets) o = kBarrier;
    shared(0, kStore, 0, 4, 1);
    if (releases)
      cta[0]->fence(event(0, 1), {FenceKind::kThread, Order::kRelease, Scope::kCluster});
    cta[0]->mbarrier_arrive(event(0, 1), 0, offsets, 1, nullptr, Order::kRelaxed, Scope::kCluster);
    cta[0]->mbarrier_phase(0, kBarrier);
    cta[0]->mbarrier_wait(event(1, 1), offsets, 1, Order::kRelaxed, Scope::kCluster);
    if (acquires)
      cta[0]->fence(event(1, 1), {FenceKind::kThread, Order::kAcquire, Scope::kCluster});
    shared(1, kLoad, 0, 4, 1);
  }
};

TEST_P(RelaxedMbarrier, NeedsBothFences) {
  const auto [releases, acquires] = GetParam();
  hand_over(releases, acquires);
  EXPECT_EQ(silent(), releases && acquires) << reports();
}

INSTANTIATE_TEST_SUITE_P(Fences, RelaxedMbarrier,
                         testing::Values(std::pair(true, true), std::pair(true, false),
                                         std::pair(false, true), std::pair(false, false)));

TEST_F(CheckerTest, LoadNeedsInitFence) {
  start();
  init_mbarrier(1024, false);
  block_barrier();
  expect(1024, 128);
  load(0, 128, 1024);
  EXPECT_TRUE(reported("mbarrier-init-fence")) << reports();
}

TEST_F(CheckerTest, LoadOverGenericWriteNeedsProxyFence) {
  start();
  init_mbarrier(1024);
  shared(0, kStore, 0);
  block_barrier();
  expect(1024, 128);
  load(0, 128, 1024);
  EXPECT_TRUE(reported("proxy-fence")) << reports();
}

TEST_F(CheckerTest, ProxyFenceOfTheWriterSuffices) {
  start();
  init_mbarrier(1024);
  shared(1, kStore, 0);
  cta[0]->fence(event(1), {FenceKind::kProxyAsync});
  block_barrier();
  load(0, 128, 1024);
  EXPECT_TRUE(silent()) << reports();
}

TEST_F(CheckerTest, LoadOverBytesStillRead) {
  start();
  init_mbarrier(1024);
  shared(0, kStore, 0);
  cta[0]->fence(event(0), {FenceKind::kProxyAsync});
  block_barrier();
  shared(1, kLoad, 0);
  load(0, 128, 1024);
  EXPECT_TRUE(reported("write-after-read")) << reports();
}

TEST_F(CheckerTest, TooFewBytesExpected) {
  start();
  init_mbarrier(1024);
  block_barrier();
  expect(1024, 64);
  cta[0]->bulk_end(load(0, 64, 1024));
  load(64, 64, 1024);
  cta[0]->mbarrier_phase(0, 1024);
  EXPECT_TRUE(reported("mbarrier-bytes")) << reports();
}

TEST_F(CheckerTest, StoreMustBeReadBeforeReuse) {
  start();
  shared(0, kStore, 0);
  cta[0]->warp_sync(event(0));
  cta[0]->fence(event(0), {FenceKind::kProxyAsync});
  cta[0]->warp_sync(event(0));
  const CopySegment segment{0, 128, 0};
  BulkCopy copy;
  copy.kind = BulkKind::kStore;
  copy.segments = {&segment, 1};
  cta[0]->bulk_end(cta[0]->bulk_begin(event(0, 1), copy));
  cta[0]->bulk_commit(event(0, 1));
  EXPECT_TRUE(silent()) << reports();
  cta[0]->bulk_wait(event(0, 1), 0, CtaObserver::BulkWait::kRead);
  cta[0]->warp_sync(event(0));
  shared(0, kStore, 0);
  EXPECT_TRUE(silent()) << reports();
}

TEST_F(CheckerTest, StoreThatWasNotWaitedFor) {
  start();
  shared(0, kStore, 0);
  cta[0]->fence(event(0), {FenceKind::kProxyAsync});
  cta[0]->warp_sync(event(0));
  const CopySegment segment{0, 128, 0};
  BulkCopy copy;
  copy.kind = BulkKind::kStore;
  copy.segments = {&segment, 1};
  cta[0]->bulk_begin(event(0, 1), copy);
  cta[0]->bulk_commit(event(0, 1));
  cta[0]->warp_sync(event(0));
  shared(0, kStore, 0);
  EXPECT_TRUE(reported("async-overwrite")) << reports();
  cta[0]->exit(event(0));
  EXPECT_TRUE(reported("exit-in-flight")) << reports();
}

class GlobalTest : public CheckerTest {
 protected:
  void SetUp() override {
    checker->allocated(0x10000, 8192, Observer::Contents::kDefined);
    start(2, 32);
  }
  static constexpr uint64_t kData = 0x10000, kFlag = 0x10100;
};

TEST_F(GlobalTest, CtasAreNotOrdered) {
  global(0, kStore, kData);
  global(1, kLoad, kData);
  EXPECT_TRUE(reported("read-after-write")) << reports();
}

TEST_F(GlobalTest, ReleaseAcquireOrders) {
  global(0, kStore, kData);
  global(0, kStore, kFlag, Order::kRelease);
  global(1, kLoad, kFlag, Order::kAcquire);
  global(1, kLoad, kData);
  EXPECT_TRUE(silent()) << reports();
}

TEST_F(GlobalTest, RelaxedFlagDoesNotOrder) {
  global(0, kStore, kData);
  global(0, kStore, kFlag, Order::kRelaxed);
  global(1, kLoad, kFlag, Order::kAcquire);
  global(1, kLoad, kData);
  EXPECT_TRUE(reported("read-after-write")) << reports();
}

TEST_F(GlobalTest, FencesMakeRelaxedFlagOrder) {
  global(0, kStore, kData);
  cta[0]->fence(event(0, 1), {FenceKind::kThread});
  global(0, kAtomic, kFlag, Order::kRelaxed);
  global(1, kLoad, kFlag, Order::kRelaxed);
  cta[1]->fence(event(0, 1), {FenceKind::kThread});
  global(1, kLoad, kData);
  EXPECT_TRUE(silent()) << reports();
}

TEST_F(GlobalTest, NarrowScopeIsNamed) {
  global(0, kStore, kData);
  global(0, kStore, kFlag, Order::kRelease, Scope::kCta);
  global(1, kLoad, kFlag, Order::kAcquire, Scope::kGpu);
  global(1, kLoad, kData);
  EXPECT_TRUE(reported("scope")) << reports();
}

TEST_F(GlobalTest, AtomicsDoNotRace) {
  global(0, kAtomic, kData);
  global(1, kAtomic, kData);
  global(0, kAtomic, kData);
  EXPECT_TRUE(silent()) << reports();
  global(1, kLoad, kData);
  EXPECT_TRUE(reported("read-after-write")) << reports();
}

TEST_F(GlobalTest, ReleaseSequenceOfAtomics) {
  global(0, kStore, kData);
  global(0, kAtomic, kFlag, Order::kRelease);
  global(1, kStore, kData + 4);
  global(1, kAtomic, kFlag, Order::kAcqRel);
  global(1, kLoad, kData);
  global(0, kAtomic, kFlag, Order::kAcqRel);
  global(0, kLoad, kData + 4);
  EXPECT_TRUE(silent()) << reports();
}

// A lane that counts alone and meets the others again, often: what its relaxed reads have seen is
// kept once, until a fence acquires it.
TEST_F(GlobalTest, RelaxedReadsAreKeptOnceWhereLanesMeet) {
  global(1, kStore, kData);
  global(1, kAtomic, kFlag, Order::kRelease);
  for (int round = 0; round < 100; ++round) {
    global(0, kAtomic, kFlag, Order::kRelaxed);
    cta[0]->warp_sync(event(0));
  }
  cta[0]->fence(event(0), {FenceKind::kThread, Order::kAcquire, Scope::kGpu});
  global(0, kLoad, kData);
  EXPECT_TRUE(silent()) << reports();
}

TEST_F(GlobalTest, NextLaunchIsOrdered) {
  global(0, kStore, kData);
  for (auto& c : cta) c->end();
  cta.clear();
  launch->end();
  start(2, 32);
  global(1, kLoad, kData);
  EXPECT_TRUE(silent()) << reports();
}

TEST_F(GlobalTest, UninitialisedGlobal) {
  checker->allocated(0x20000, 4096, Observer::Contents::kUndefined);
  checker->host_wrote(0x20000, 4);
  global(0, kLoad, 0x20000);
  EXPECT_TRUE(silent()) << reports();
  global(0, kLoad, 0x20004);
  EXPECT_TRUE(reported("uninitialised-global")) << reports();
}

TEST_F(CheckerTest, ClusterBarrierOrdersDistributedShared) {
  start(2, 32, 2);
  shared(0, kStore, 0, 4, kAll, 4, 0, 1);  // CTA 0 writes to CTA 1
  for (auto& c : cta) c->cluster_arrive(event(0), Order::kRelease);
  cta[0]->cluster_complete();
  for (auto& c : cta) c->cluster_wait(event(0), Order::kAcquire);
  shared(0, kLoad, 0, 4, kAll, 4, 1, 1);
  EXPECT_TRUE(silent()) << reports();
}

TEST_F(CheckerTest, DistributedSharedWithoutBarrier) {
  start(2, 32, 2);
  shared(0, kStore, 0, 4, kAll, 4, 0, 1);
  shared(0, kLoad, 0, 4, kAll, 4, 1, 1);
  EXPECT_TRUE(reported("read-after-write")) << reports();
}

TEST_F(CheckerTest, CpAsyncIsKnownToItsOwnThreadOnly) {
  checker->allocated(0x10000, 4096, Observer::Contents::kDefined);
  start();
  uint32_t offsets[32];
  uint64_t addresses[32];
  for (uint32_t l = 0; l < 32; ++l) offsets[l] = 16 * l, addresses[l] = 0x10000 + 16 * l;
  cta[0]->cp_async(event(0), 16, offsets, addresses, nullptr);
  cta[0]->cp_async_commit(event(0));
  cta[0]->cp_async_wait(event(0), 0);
  shared(0, kLoad, 0, 16);
  EXPECT_TRUE(silent()) << reports();
  block_barrier();
  shared(1, kLoad, 0, 16);
  EXPECT_TRUE(silent()) << reports();
  cta[0]->cp_async(event(0), 16, offsets, addresses, nullptr);
  EXPECT_TRUE(reported("write-after-read")) << reports();
}

TEST_F(CheckerTest, CpAsyncWithoutWait) {
  checker->allocated(0x10000, 4096, Observer::Contents::kDefined);
  start();
  uint32_t offsets[32];
  uint64_t addresses[32];
  for (uint32_t l = 0; l < 32; ++l) offsets[l] = 16 * l, addresses[l] = 0x10000 + 16 * l;
  cta[0]->cp_async(event(0), 16, offsets, addresses, nullptr);
  cta[0]->cp_async_commit(event(0));
  block_barrier();
  shared(1, kLoad, 0, 16);
  EXPECT_TRUE(reported("async-not-awaited")) << reports();
}

class WgmmaTest : public CheckerTest {
 protected:
  void SetUp() override {
    start(1, 128);
    for (uint32_t w = 0; w < 4; ++w) {
      shared(w, kStore, 128 * w);
      cta[0]->fence(event(w), {FenceKind::kProxyAsync});
    }
    block_barrier(4);
  }
  void issue(uint32_t reg = 7) {
    for (uint32_t w = 0; w < 4; ++w) cta[0]->wgmma_issue(event(w), {{&reg, 1}, {}});
    const SharedSegment a{0, 512};
    cta[0]->wgmma_operands(event(3), {&a, 1}, {});
  }
  void each(void (CtaObserver::*f)(const WarpEvent&)) {
    for (uint32_t w = 0; w < 4; ++w) (cta[0].get()->*f)(event(w));
  }
  void finish() {
    for (uint32_t w = 0; w < 4; ++w) cta[0]->wgmma_wait(event(w), 0);
  }
};

TEST_F(WgmmaTest, InOrderIsSilent) {
  each(&CtaObserver::wgmma_fence);
  issue();
  each(&CtaObserver::wgmma_commit);
  finish();
  const uint32_t reg = 7;
  cta[0]->register_access(event(0), {&reg, 1});
  block_barrier(4);
  shared(1, kStore, 0);
  EXPECT_TRUE(silent()) << reports();
}

TEST_F(WgmmaTest, OverwriteBeforeWait) {
  each(&CtaObserver::wgmma_fence);
  issue();
  each(&CtaObserver::wgmma_commit);
  shared(0, kStore, 0);
  EXPECT_TRUE(reported("async-overwrite")) << reports();
}

TEST_F(WgmmaTest, MissingCommit) {
  each(&CtaObserver::wgmma_fence);
  issue();
  finish();
  const uint32_t reg = 7;
  cta[0]->register_access(event(0), {&reg, 1});
  EXPECT_TRUE(reported("wgmma-commit")) << reports();
}

TEST_F(WgmmaTest, MissingWait) {
  each(&CtaObserver::wgmma_fence);
  issue();
  each(&CtaObserver::wgmma_commit);
  const uint32_t reg = 7;
  cta[0]->register_access(event(0), {&reg, 1});
  EXPECT_TRUE(reported("wgmma-wait")) << reports();
}

TEST_F(WgmmaTest, MissingFenceBetweenBatches) {
  each(&CtaObserver::wgmma_fence);
  issue();
  each(&CtaObserver::wgmma_commit);
  finish();
  const uint32_t reg = 7;
  cta[0]->register_access(event(0), {&reg, 1});
  EXPECT_TRUE(silent()) << reports();
  issue();
  EXPECT_TRUE(reported("wgmma-fence")) << reports();
}

TEST_F(WgmmaTest, OperandsNeedProxyFence) {
  block_barrier(4);
  shared(2, kStore, 0);
  block_barrier(4);
  each(&CtaObserver::wgmma_fence);
  issue();
  EXPECT_TRUE(reported("proxy-fence")) << reports();
}

}  // namespace
}  // namespace emulator::check
