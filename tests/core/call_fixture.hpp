// A small valid call that tests bend out of shape, one field at a time.
#pragma once

#include <cstdint>
#include <vector>

#include "flash_kda/prefill.hpp"

namespace flash_kda {

struct CallFixture {
  Problem problem{.tokens = 8,
                  .num_sequences = 3,
                  .qk_heads = 2,
                  .v_heads = 4,
                  .head_dim_k = 16,
                  .head_dim_v = 32};
  std::vector<std::uint16_t> qk = std::vector<std::uint16_t>(8 * 2 * 16);
  std::vector<std::uint16_t> v = std::vector<std::uint16_t>(8 * 4 * 32);
  std::vector<std::uint16_t> g = std::vector<std::uint16_t>(8 * 4 * 16);
  std::vector<std::uint16_t> beta = std::vector<std::uint16_t>(8 * 4);
  std::vector<std::uint16_t> out = std::vector<std::uint16_t>(8 * 4 * 32);
  std::vector<float> parameters = std::vector<float>(4 * 16);
  std::vector<float> states = std::vector<float>(6 * 4 * 32 * 16);
  std::vector<std::int64_t> cu_seqlens = {0, 3, 3, 8};
  std::vector<std::int32_t> indices = {2, -1, 0};
  std::vector<std::int32_t> offsets = {3, 1, 0, -1, 5, 2};  // [3, 2]
  std::vector<std::int32_t> slots = {0, 1, 7, 7, 2, -1};    // [3, 2]; unused ones may be anything
  std::vector<std::uint8_t> has_initial = {1, 0, 1};
  alignas(64) std::byte workspace[1024] = {};
  Tensors tensors;

  CallFixture() {
    tensors.q = TensorView::contiguous(qk.data(), DType::kBF16, {1, 8, 2, 16});
    tensors.k = TensorView::contiguous(qk.data(), DType::kBF16, {1, 8, 2, 16});
    tensors.v = TensorView::contiguous(v.data(), DType::kBF16, {1, 8, 4, 32});
    tensors.g = TensorView::contiguous(g.data(), DType::kBF16, {1, 8, 4, 16});
    tensors.beta = TensorView::contiguous(beta.data(), DType::kBF16, {1, 8, 4});
    tensors.out = TensorView::contiguous(out.data(), DType::kBF16, {1, 8, 4, 32});
    tensors.cu_seqlens = TensorView::contiguous(cu_seqlens.data(), DType::kI64, {4});
  }

  TensorView state_view(std::int64_t slot_count) {
    return TensorView::contiguous(states.data(), DType::kF32, {slot_count, 4, 32, 16});
  }

  void use_pool(std::int64_t slot_count) {
    problem.state.storage = StateStorage::kPool;
    problem.state.pool_slots = slot_count;
    tensors.state_pool = state_view(slot_count);
    tensors.state_indices = TensorView::contiguous(indices.data(), DType::kI32, {3});
  }

  void use_offsets_into_pool(std::int64_t slot_count) {
    problem.checkpoints = {.kind = CheckpointKind::kOffsets,
                           .max_offsets = 2,
                           .destination = StateStorage::kPool,
                           .pool_slots = slot_count};
    tensors.checkpoints = state_view(slot_count);
    tensors.checkpoint_offsets = TensorView::contiguous(offsets.data(), DType::kI32, {3, 2});
    tensors.checkpoint_slots = TensorView::contiguous(slots.data(), DType::kI32, {3, 2});
  }

  Workspace whole_workspace() { return {workspace, sizeof(workspace)}; }
};

}  // namespace flash_kda
