// Whether and how the fused kernel takes a problem. Host only.
#pragma once

#include <cstddef>
#include <string>

#include "cuda/planner/two_kernel_plan.hpp"
#include "cuda/sm90/balance.hpp"

namespace flash_kda::cuda::sm90 {

// Empty, or why the fused kernel cannot run this problem on this device.
std::string why_not_fused(const Problem& problem, const DeviceLimits& device);

// The same of its split form, a cluster of two blocks with 64 values each.
std::string why_not_split(const Problem& problem, const PlanOptions& options,
                          const DeviceLimits& device);

// What runs on a device with the fused kernel: it, its split form, `two_kernels` (the plan without
// both), or one for chains whose replays are proven and another for the rest.
Result<Config> choose_fused(const Problem& problem, const PlanOptions& options,
                            const DeviceLimits& device, const Config& two_kernels);

bool is_split(const Config& config);

// A plan of the fused kernel, with chains whose replays are not proven left to two kernels, planned
// as `two_kernels`, or to the split form.
Config leave_to_two_kernels(Config fused, const Config& two_kernels);
Config leave_to_split(Config fused);
// Or computed in segments.
Config leave_to_segments(Config fused, const Problem& problem);

// The plan's second part, if chains without proof are left to two kernels. Their workspace follows
// that of the fused kernel.
Config two_kernel_part(const Config& both);
// If they are left to the split form, which needs no workspace of its own.
Config split_part(const Config& both);

// Blocks of the launch, or clusters: one a multiprocessor or two, fewer if there are fewer chains.
int count_blocks(const Problem& problem, const Config& config);

// Byte offsets into the workspace, through which the states of cut chains go. All 0 where
// chains are not cut for certain: without replays the longest chain is the time, if each can have
// its own multiprocessor.
struct HandoverLayout {
  std::size_t states = 0;
  std::size_t sent = 0;
  std::size_t shares = 0;
  std::size_t cuts = 0;
  std::size_t unproven = 0;
  std::size_t begun = 0;
  std::size_t ended = 0;
  std::size_t counts = 0;  // CutCounts, for tests and benchmarks
  // Unproven::kSegments (params.hpp).
  std::size_t segment_states = 0;
  std::size_t segment_maps = 0;
  std::size_t taken = 0;
  std::size_t done = 0;
  std::size_t merged = 0;
  std::size_t bytes = 0;  // a multiple of 128, as the two kernels ask
};
HandoverLayout lay_out_handover(const Problem& problem, const Config& config);

// Of Unproven::kSegments: how chains without proof are cut, and merged.
struct SegmentCounts {
  std::int64_t chunks;  // of a segment; the first has twice as many
  std::int64_t slots;   // segments that others follow, at most
  std::int64_t parts;   // blocks that merge a chain, each some of its value rows
};
SegmentCounts count_segments(const Problem& problem, const Config& config);

// Chunks that a part of a chain may replay, or would if that could be proven: 0 if it is to wait.
std::int64_t max_warm_up(const Config& config);

// Of everything that a fused plan launches.
std::size_t fused_workspace_bytes(const Problem& problem, const Config& config);

// How chains of one length are laid over the blocks.
Balance balance_equal_chains(const Problem& problem, const Config& config);

// Whether blocks may find it worthwhile to cut chains. Of packed sequences the device alone knows.
bool may_cut_chains(const Problem& problem, const Config& config);

}  // namespace flash_kda::cuda::sm90
