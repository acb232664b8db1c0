// The state of running code: lane groups, warps, CTAs, clusters.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <vector>

#include "base/options.hpp"
#include "base/types.hpp"
#include "exec/kernel.hpp"

namespace emulator {

struct Cta;
struct Cluster;
struct Grid;
struct WgmmaQueue;
struct AsyncOp;
struct InstCount;
namespace check {
class CtaObserver;
class LaunchObserver;
}  // namespace check

// Token of a group that is held up in mbarrier.try_wait.
constexpr u64 kInTryWait = ~u64{0};

// Lanes of a warp that share a program counter.
struct Group {
  u32 mask = 0;
  u32 pc = 0;
  u64 token = 0;  // what a half-done kWait instruction remembers; 0 = not begun
  bool stalled = false;
};

struct Warp {
  u8* regs = nullptr;
  Cta* cta = nullptr;
  const Kernel* kernel = nullptr;
  u32 id = 0;
  u32 live = 0;
  u32 shared_base = 0;   // own rank << 24
  u32 shared_limit = 0;  // bytes of the CTA's shared memory, reserved part included
  u8* shared = nullptr;
  u8* local = nullptr;  // kWarpSize blocks of kernel->local_bytes
  std::vector<Group> groups;
  u64 warp_insts = 0;
  u64 thread_insts = 0;
  u64 clock_base = 0;
  u32 registers = 0;                         // of a thread, as setmaxnreg counts them; 0: unknown
  std::array<u32, kWarpSize> bulk_groups{};  // committed bulk groups of each lane
  std::array<u32, kWarpSize> copy_groups{};  // committed cp.async groups of each lane
  std::array<u64, kWarpSize> cluster_tokens{};  // barrier generation of each lane's last arrival
  std::unique_ptr<WgmmaQueue> wgmma;
  std::vector<u8> register_store;
  std::vector<u8> local_store;

  u32 id_in_cluster() const;
  template <class T>
  T* reg(u32 offset) {
    return reinterpret_cast<T*>(regs + offset);
  }
  u32& predicate(u32 offset) { return *reinterpret_cast<u32*>(regs + offset); }
  Warp();
  ~Warp();
  Warp(Warp&&) noexcept;
};

struct NamedBarrier {
  u32 arrived = 0;
  u32 expected = 0;
  bool has_count = false;
  u64 generation = 1;
  u32 reduce_and = 1, reduce_or = 0, reduce_count = 0;
  u32 result_and = 1, result_or = 0, result_count = 0;
};

inline constexpr u32 kNamedBarriers = 16;

struct Cta {
  Cluster* cluster = nullptr;
  Grid* grid = nullptr;
  const Kernel* kernel = nullptr;
  u32 rank = 0;  // in the cluster
  u32 id[3] = {0, 0, 0};
  u32 linear_id = 0;
  u32 threads = 0;
  u32 exited = 0;
  u32 shared_bytes = 0;
  std::vector<u8> shared_store;
  u8* shared = nullptr;
  std::vector<Warp> warps;
  std::array<NamedBarrier, kNamedBarriers> barriers;
  std::vector<std::unique_ptr<AsyncOp>> pending;  // copies in flight, oldest first
  u64 async_sequence = 0;
  u32 smid = 0;
  u32 free_registers = 0;  // of a lane: given back by setmaxnreg.dec and by warps that have ended
  std::unique_ptr<check::CtaObserver> observer;  // null: checks are off

  Cta();
  ~Cta();
  bool done() const { return exited == threads; }
};

inline u32 Warp::id_in_cluster() const {
  return cta->rank * static_cast<u32>(cta->warps.size()) + id;
}

struct Cluster {
  Grid* grid = nullptr;
  u32 id[3] = {0, 0, 0};
  u32 dim[3] = {1, 1, 1};
  std::vector<std::unique_ptr<Cta>> ctas;
  u32 barrier_arrived = 0;
  u64 barrier_generation = 1;
  u64 round = 0;  // time, in scheduler rounds
  Random random;
  // Set by every action that another warp could wait for; a round without it is spinning.
  bool activity = false;
  u64 idle_insts = 0;
  u32 live_threads() const;
  u32 give_ups = 0;             // rounds since the last activity in which try_wait timed out
  bool tries_time_out = false;  // in this round
  InstCount* counts = nullptr;  // by instruction; null: not counted
};

// One launch.
struct Grid {
  const Kernel* kernel = nullptr;
  u32 grid_dim[3] = {1, 1, 1};
  u32 block_dim[3] = {1, 1, 1};
  u32 cluster_dim[3] = {1, 1, 1};
  u32 dynamic_shared = 0;
  bool cooperative = false;
  bool explicit_cluster = false;
  u8* params = nullptr;  // device-visible copy of the arguments
  u64 grid_id = 0;
  u32 max_resident_ctas = 1;
  check::LaunchObserver* observer = nullptr;
  // Of a cooperative launch: a size and the barrier word of cooperative_groups' grid.sync(), which
  // finds them through %envreg1 (upper half of the address) and %envreg2.
  u64 workspace = 0;
};

inline void note_activity(Warp& warp) { warp.cta->cluster->activity = true; }

}  // namespace emulator
