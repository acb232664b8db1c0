// What a kernel executes, counted by instruction: for models of its speed, which the emulator
// itself knows nothing of. Off unless asked for, since the counts cost a few percent.
#pragma once

#include <string>
#include <vector>

#include "exec/warp.hpp"

namespace emulator {

struct InstCount {
  u64 warps = 0;    // warp instructions
  u64 threads = 0;  // thread instructions: lanes whose guard was true
  u64 who = 0;      // bit w: warp w of some cluster (modulo 64) was among them
  // Generic accesses to shared memory. 32 banks of 4 bytes serve one wavefront at a time; wider
  // accesses are served in halves or quarters of the warp. `ideal`: without conflicts.
  u64 shared_bytes = 0, wavefronts = 0, ideal_wavefronts = 0;
  // Generic accesses to global memory. A sector is 32 aligned bytes; each warp instruction fetches
  // every one that it touches once.
  u64 global_bytes = 0, sectors = 0;
  u64 copy_bytes = 0;     // moved by cp.async and by bulk and tensor copies; multicasts once
  u64 operand_bytes = 0;  // that wgmma reads from shared memory; a warp's share of B is a quarter

  void add(const InstCount& other);
};

inline InstCount* counts_of(Warp& w, const Inst& i) {
  InstCount* counts = w.cta->cluster->counts;
  return counts ? counts + w.kernel->index_of(i) : nullptr;
}

void count_shared(InstCount& count, u32 mask, u32 bytes, const u32* offsets);
void count_global(InstCount& count, u32 mask, u32 bytes, const u64* addresses);

// Adds the counts of one host thread of a launch to those of its kernel.
void add_counts(const Kernel& kernel, const std::vector<InstCount>& counts);
void add_launch(const Kernel& kernel, u64 ctas, u32 threads);

// Of all launches so far: for each kernel its totals, totals by class, and one entry for every
// source line and opcode, once for each set of warps that executed it.
std::string counters_json();

}  // namespace emulator
