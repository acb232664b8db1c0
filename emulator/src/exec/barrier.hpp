// Completion of named barriers and of the cluster barrier.
#pragma once

#include "exec/warp.hpp"

namespace emulator {

// Inst::flags of a kMasked instruction that orders memory among its lanes (bar.warp.sync).
inline constexpr u32 kOrdersMemory = 1u << 31;

// Releases the barrier if enough threads have arrived. `w` and `i` name the culprit of an
// over-arrival; null when an exiting thread caused the check.
void settle_barrier(Cta& cta, u32 id, Warp* w, const Inst* i);
void settle_cluster_barrier(Cluster& cluster);
// Threads that exit count as arrived from then on.
void barriers_after_exit(Cta& cta);

}  // namespace emulator
