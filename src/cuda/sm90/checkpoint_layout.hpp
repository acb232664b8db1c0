// Workspace of the fused kernel: the handover of cut chains, then what checkpoints need. Host only.
#pragma once

#include <cstddef>

#include "cuda/sm90/fused_plan.hpp"

namespace flash_kda::cuda::sm90 {

// Byte offsets into the workspace.
struct CheckpointLayout {
  std::size_t kept_states = 0;  // [blocks, V, K]: states beside a detour (pieces.cuh)
  std::size_t rows = 0;         // what lay_out_workspace reserves: checkpoint rows by sequence
  std::size_t bytes = 0;        // of everything, the handover included
};
CheckpointLayout lay_out_checkpoints(const Problem& problem, const Config& config);

// Whether a checkpoint may lie off the chunk grid.
bool may_leave_grid(const CheckpointSpec& checkpoints);

}  // namespace flash_kda::cuda::sm90
