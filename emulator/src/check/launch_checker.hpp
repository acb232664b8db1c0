// The checker of one launch, and the one of the process behind it.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "check/state.hpp"

namespace emulator::check {

class Checker;

// Generic changes and fences of tensor maps that lie in global memory.
struct TensormapState {
  struct Acquire {
    u32 actor, clock, lane;
  };
  std::vector<Acquire> acquires;
};

class LaunchChecker final : public LaunchObserver {
 public:
  LaunchChecker(Checker& checker, LaunchRecord record, LaunchRecord previous, u32 settled);

  std::unique_ptr<CtaObserver> cta_begin(uint32_t cta) override;
  void end() override;
  void cta_ended(ClusterState& cluster);

  Checker& checker;
  const LaunchRecord record;
  const LaunchRecord previous;
  const u32 settled;  // actors below are ordered before this launch
  SyncMap sync;
  std::mutex tensormap_mutex;
  std::unordered_map<u64, TensormapState> tensormaps;
  u32 shared_bytes = 0;

 private:
  std::mutex mutex_;
  std::unordered_map<u32, std::shared_ptr<ClusterState>> clusters_;
};

class Checker final : public Observer {
 public:
  Checker(const CheckerOptions& options, const SiteTable& sites)
      : options(options), reporter(sites, options.max_reports) {}

  std::unique_ptr<LaunchObserver> launch_begin(const LaunchInfo& info) override;
  void allocated(uint64_t address, uint64_t bytes, Contents contents) override;
  void freed(uint64_t address) override;
  void host_wrote(uint64_t address, uint64_t bytes) override;
  void host_read(uint64_t, uint64_t) override {}
  void device_copied(uint64_t to, uint64_t from, uint64_t bytes) override;
  uint64_t report_count() const override { return reporter.total(); }
  std::string text() const override { return reporter.text(); }
  std::string json() const override { return reporter.json(); }

  ShadowTable take_table(u32 bytes);
  void give_table(ShadowTable table);

  const CheckerOptions options;
  Reporter reporter;
  GlobalShadow global;

 private:
  std::mutex mutex_;
  u32 next_actor_ = 1;
  LaunchRecord last_;
  std::vector<ShadowTable> spare_tables_;
};

}  // namespace emulator::check
