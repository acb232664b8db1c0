#include "exec/launch.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <ctime>
#include <deque>
#include <mutex>
#include <thread>

#include "exec/async.hpp"
#include "exec/checker.hpp"
#include "exec/counters.hpp"
#include "exec/cta.hpp"
#include "exec/memory.hpp"
#include "exec/scheduler.hpp"

namespace emulator {
namespace {

std::mutex totals_mutex;
Totals all_totals;

// What the host threads of a launch share.
struct Shared {
  Shared(Grid& grid, u64 clusters) : grid(grid), clusters(clusters) {}

  Grid& grid;
  u64 clusters;
  u32 workers = 1;
  std::atomic<u32> idle{0};
  std::atomic<u64> progress{0};
  std::atomic<bool> stop{false};
  std::mutex mutex;
  LaunchResult result;
  u64 warp_insts = 0, thread_insts = 0;
  double cpu_seconds = 0;

  void fail(FaultKind kind, const std::string& message) {
    std::lock_guard lock(mutex);
    if (result.ok) result = {false, kind, message};
    stop = true;
  }
};

// One host thread: clusters number `first`, first + workers, ... of the grid, as many at a time as
// are resident. The next one is only built when those that run cannot go on, so that ordinary
// kernels keep one CTA in the cache.
class Worker {
 public:
  Worker(Shared& shared, u32 first, u64 slots)
      : shared_(shared), next_(first), slots_(std::max<u64>(1, slots)) {
    if (options().count) counts_.resize(shared.grid.kernel->code.size());
  }
  void run();

 private:
  bool can_add() const { return active_.size() < slots_ && next_ < shared_.clusters; }
  void add();
  void retire(size_t k);
  bool turn();  // false: nothing made progress
  void wait_or_deadlock();
  void report_deadlock();

  Shared& shared_;
  u64 next_;
  u64 slots_;
  std::deque<std::unique_ptr<Cluster>> active_;
  u64 fruitless_ = 0;
  bool counted_idle_ = false;
  u64 seen_progress_ = 0;
  u32 idle_checks_ = 0;
  u64 rounds_ = 0;
  std::vector<InstCount> counts_;  // by instruction; empty: not counted
};

void Worker::add() {
  active_.push_back(make_cluster(shared_.grid, next_));
  if (!counts_.empty()) active_.back()->counts = counts_.data();
  next_ += shared_.workers;
}

void Worker::retire(size_t k) {
  Cluster& c = *active_[k];
  u64 warp_insts = 0, thread_insts = 0;
  for (auto& cta : c.ctas) {
    drain(*cta);
    for (const Warp& w : cta->warps) {
      warp_insts += w.warp_insts;
      thread_insts += w.thread_insts;
    }
  }
  for (auto& cta : c.ctas)
    if (cta->observer) cta->observer->end();
  active_.erase(active_.begin() + static_cast<long>(k));
  std::lock_guard lock(shared_.mutex);
  shared_.warp_insts += warp_insts;
  shared_.thread_insts += thread_insts;
}

bool Worker::turn() {
  bool progress = false;
  for (size_t k = 0; k < active_.size() && !shared_.stop;) {
    Cluster& c = *active_[k];
    RoundResult r = run_round(c);
    // Stay with a cluster while it gets somewhere; with a seed, give the others a chance as well.
    for (u32 n = 0; r == RoundResult::kActive && n < 256 && !shared_.stop; ++n) {
      progress = true;
      if (options().seed && active_.size() > 1 && c.random.below(8) == 0) break;
      r = run_round(c);
    }
    if (r == RoundResult::kDone) {
      retire(k);
      progress = true;
      continue;
    }
    if (r == RoundResult::kActive) progress = true;
    if (r == RoundResult::kSpinning && c.idle_insts < options().spin_limit) fruitless_ = 0;
    ++k;
  }
  return progress;
}

// Also why, where a warp waits for lanes that are held up elsewhere.
void tell_observer(Cta& cta, const std::string& text) {
  check::WarpEvent event;
  for (const Warp& w : cta.warps) {
    for (const Group& g : w.groups) {
      event = {w.kernel->site_base + g.pc, w.id, g.mask};
      const Inst& i = w.kernel->code[g.pc];
      if (w.groups.size() > 1 && (i.flow == Flow::kConverged || i.aligned))
        cta.observer->violation(event, check::Rule::kDivergence,
                                "the other lanes of the warp wait elsewhere");
    }
  }
  cta.observer->violation(event, check::Rule::kDeadlock, text);
}

void Worker::report_deadlock() {
  std::string text = format_text("deadlock in kernel %s: no warp of the resident CTAs can go on",
                                 shared_.grid.kernel->name.c_str());
  text += format_text(" (%zu clusters here, %llu not yet begun, at most %u CTAs resident)\n",
                      active_.size(),
                      static_cast<unsigned long long>(
                          next_ < shared_.clusters
                              ? (shared_.clusters - next_ + shared_.workers - 1) / shared_.workers
                              : 0),
                      shared_.grid.max_resident_ctas);
  for (size_t k = 0; k < active_.size() && k < 8; ++k) text += positions(*active_[k]);
  for (auto& c : active_)
    for (auto& cta : c->ctas)
      if (cta->observer && !cta->done()) tell_observer(*cta, positions(*c));
  shared_.fail(FaultKind::kDeadlock, text);
}

void Worker::wait_or_deadlock() {
  if (!counted_idle_) {
    counted_idle_ = true;
    ++shared_.idle;
    idle_checks_ = 0;
  }
  const u64 progress = shared_.progress.load();
  if (progress != seen_progress_) idle_checks_ = 0;
  seen_progress_ = progress;
  if (shared_.idle == shared_.workers && ++idle_checks_ > 3) {
    bool spinning = false;
    for (auto& c : active_) spinning |= c->idle_insts && c->idle_insts < options().spin_limit;
    if (!spinning) return report_deadlock();
    idle_checks_ = 0;
  }
  if (shared_.workers > 1) std::this_thread::sleep_for(std::chrono::microseconds(50));
}

void Worker::run() {
  try {
    while (!shared_.stop) {
      if (active_.empty() || (options().seed && can_add() && ++rounds_ % 4 == 0)) {
        if (can_add()) add();
        if (active_.empty()) break;
      }
      const bool progress = turn();
      if (progress) {
        ++shared_.progress;
        if (counted_idle_) --shared_.idle;
        counted_idle_ = false;
        if (++rounds_ % 64 == 0 && can_add()) add();
      } else if (can_add()) {
        add();
      } else {
        wait_or_deadlock();
      }
    }
  } catch (const KernelFault& f) {
    shared_.fail(f.kind, f.message);
  }
  if (!counted_idle_) ++shared_.idle;  // nobody has to wait for this thread
  if (!counts_.empty()) add_counts(*shared_.grid.kernel, counts_);
}

u32 worker_count(const Grid& grid, u64 clusters) {
  u32 n = options().threads ? options().threads : std::max(1u, std::thread::hardware_concurrency());
  // Schedules with a seed are repeatable: CTAs that talk to each other must not depend on the
  // host's scheduler.
  if (options().seed && (grid.cooperative || grid.kernel->communicates)) n = 1;
  return static_cast<u32>(std::min<u64>(n, std::max<u64>(1, clusters)));
}

double thread_cpu_seconds() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

u64 next_grid_id() {
  static std::atomic<u64> id{1};
  return id++;
}

}  // namespace

u32 resident_ctas_per_sm(const Kernel& k, const DeviceProperties& d, u32 threads,
                         u32 dynamic_shared) {
  const u32 warps = (threads + kWarpSize - 1) / kWarpSize;
  const u32 shared = k.dynamic_shared_offset - kSharedReserved + dynamic_shared + d.shared_reserved;
  u32 n = d.blocks_per_sm;
  n = std::min(n, d.threads_per_sm / (warps * kWarpSize));
  n = std::min(n, d.shared_per_sm / static_cast<u32>(align_up(shared, 128)));
  // Registers are allocated in units of 256 a warp. The compiler's count is unknown here; launch
  // bounds say what it must reach.
  u32 registers = static_cast<u32>(align_up(k.register_estimate, 8));
  if (k.bounds.min_ctas && k.bounds.max_threads[0])
    registers = std::min(registers, d.registers_per_sm / (k.bounds.min_ctas * warps * kWarpSize));
  registers = std::min(registers, d.registers_per_sm / (warps * kWarpSize));
  n = std::min(n, d.registers_per_sm / std::max(1u, registers * warps * kWarpSize));
  return n;
}

constexpr u64 kWorkspaceBytes = 8;

LaunchResult launch(const Kernel& kernel, const LaunchConfig& config, const u8* params) {
  Grid grid;
  grid.kernel = &kernel;
  std::copy_n(config.grid, 3, grid.grid_dim);
  std::copy_n(config.block, 3, grid.block_dim);
  std::copy_n(config.cluster, 3, grid.cluster_dim);
  grid.dynamic_shared = config.dynamic_shared;
  grid.cooperative = config.cooperative;
  grid.explicit_cluster = config.explicit_cluster;
  grid.grid_id = next_grid_id();
  // Arguments need an address that kernels may take (tensor maps, __grid_constant__).
  const u64 block =
      DeviceMemory::instance().allocate(std::max(kernel.param_bytes, 64u), MemoryKind::kParams);
  if (!block) return {false, FaultKind::kInternal, "out of address space for kernel arguments"};
  grid.params = reinterpret_cast<u8*>(block);
  std::memcpy(grid.params, params, kernel.param_bytes);
  if (config.cooperative) {
    grid.workspace = DeviceMemory::instance().allocate(kWorkspaceBytes, MemoryKind::kDevice);
    if (!grid.workspace)
      return {false, FaultKind::kInternal, "out of address space for a workspace"};
    std::memset(reinterpret_cast<void*>(grid.workspace), 0, kWorkspaceBytes);
    if (check::Observer* c = checker())
      c->allocated(grid.workspace, kWorkspaceBytes, check::Observer::Contents::kDefined);
  }
  const u32 threads = config.block[0] * config.block[1] * config.block[2];
  const u32 ranks = config.cluster[0] * config.cluster[1] * config.cluster[2];
  const u64 ctas = u64{config.grid[0]} * config.grid[1] * config.grid[2];
  grid.max_resident_ctas =
      resident_ctas_per_sm(kernel, device(), threads, config.dynamic_shared) * device().sms;
  std::unique_ptr<check::LaunchObserver> observer;
  if (check::Observer* c = checker()) {
    check::LaunchInfo info;
    info.kernel = kernel.name;
    info.grid = {config.grid[0], config.grid[1], config.grid[2]};
    info.block = {config.block[0], config.block[1], config.block[2]};
    info.cluster = {config.cluster[0], config.cluster[1], config.cluster[2]};
    info.shared_bytes = kernel.dynamic_shared_offset + config.dynamic_shared;
    info.predecessor = config.programmatic ? check::LaunchInfo::Predecessor::kMayOverlap
                                           : check::LaunchInfo::Predecessor::kFinished;
    observer = c->launch_begin(info);
    grid.observer = observer.get();
  }
  const auto begin = std::chrono::steady_clock::now();
  Shared shared(grid, ctas / ranks);
  shared.workers = worker_count(grid, shared.clusters);
  const u64 slots = std::max<u64>(1, grid.max_resident_ctas / ranks);
  auto work = [&](u32 t) {
    const double cpu_before = thread_cpu_seconds();
    Worker(shared, t, slots / shared.workers + (t < slots % shared.workers ? 1 : 0)).run();
    const double cpu = thread_cpu_seconds() - cpu_before;
    std::lock_guard lock(shared.mutex);
    shared.cpu_seconds += cpu;
  };
  std::vector<std::thread> threads_running;
  for (u32 t = 1; t < shared.workers; ++t) threads_running.emplace_back(work, t);
  work(0);
  for (auto& t : threads_running) t.join();
  if (observer) observer->end();
  if (options().count) add_launch(kernel, ctas, threads);
  DeviceMemory::instance().release(block);
  if (grid.workspace) {
    if (check::Observer* c = checker()) c->freed(grid.workspace);
    DeviceMemory::instance().release(grid.workspace);
  }
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
  std::lock_guard lock(totals_mutex);
  ++all_totals.launches;
  all_totals.ctas += ctas;
  all_totals.warp_insts += shared.warp_insts;
  all_totals.thread_insts += shared.thread_insts;
  all_totals.seconds += elapsed.count();
  all_totals.cpu_seconds += shared.cpu_seconds;
  return shared.result;
}

Totals totals() {
  std::lock_guard lock(totals_mutex);
  return all_totals;
}

}  // namespace emulator
