// Whether and how the fused kernel takes a problem. Host only.
#pragma once

#include <cstddef>
#include <string>

#include "cuda/planner/two_kernel_plan.hpp"
#include "cuda/sm90/balance.hpp"

namespace flash_kda::cuda::sm90 {

// Empty, or why the fused kernel cannot run this problem on this device.
std::string why_not_fused(const Problem& problem, const DeviceLimits& device);

// Whether it is expected to be faster than two kernels, whatever its parts wait for.
bool prefers_fused(const Problem& problem);

Config fused_config(const Problem& problem, const PlanOptions& options, const DeviceLimits& device);

// For few chains: the fused kernel with replays, and two kernels for chains without proof. Whether
// that is expected to be faster than two kernels alone, where proofs succeed.
bool prefers_both(const Problem& problem, const PlanOptions& options, const DeviceLimits& device);

// `two_kernels`: the plan for these alone.
Config config_of_both(const Problem& problem, const PlanOptions& options,
                      const DeviceLimits& device, const Config& two_kernels);

// The plan's second part, if chains without proof are left to two kernels. Their workspace follows
// that of the fused kernel.
Config two_kernel_part(const Config& both);

// Blocks of the launch: one a multiprocessor, fewer if there are fewer chains.
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
  std::size_t bytes = 0;   // a multiple of 128, as the two kernels ask
};
HandoverLayout lay_out_handover(const Problem& problem, const Config& config);

// Of everything that a fused plan launches.
std::size_t fused_workspace_bytes(const Problem& problem, const Config& config);

// How chains of one length are laid over the blocks.
Balance balance_equal_chains(const Problem& problem, const Config& config);

// Whether blocks may find it worthwhile to cut chains. Of packed sequences the device alone knows.
bool may_cut_chains(const Problem& problem, const Config& config);

}  // namespace flash_kda::cuda::sm90
