#include "cuda/sm90/checkpoint_layout.hpp"

#include "cuda/sm90/config.hpp"

namespace flash_kda::cuda::sm90 {

CheckpointLayout lay_out_checkpoints(const Problem& p, const Config& config) {
  CheckpointLayout layout;
  const std::size_t handover = lay_out_handover(p, config).bytes;
  constexpr std::size_t kAlignment = Plan::kWorkspaceAlignment;
  layout.kept_states = (handover + kAlignment - 1) / kAlignment * kAlignment;
  layout.rows = layout.kept_states;
  if (may_leave_grid(p.checkpoints)) {
    const auto blocks = static_cast<std::size_t>(count_blocks(p, config));
    layout.rows += blocks * kHandoverFloats * sizeof(float);
  }
  layout.bytes = layout.rows + lay_out_workspace(p, config).bytes;
  return layout;
}

bool may_leave_grid(const CheckpointSpec& checkpoints) {
  return checkpoints.kind == CheckpointKind::kOffsets ||
         (checkpoints.kind == CheckpointKind::kEvery && checkpoints.every % kChunk != 0);
}

}  // namespace flash_kda::cuda::sm90
