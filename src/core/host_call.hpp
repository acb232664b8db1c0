// One checked call on host memory, taken apart for the CPU backends: where each sequence lies,
// where its state comes from and goes to, and at which tokens it is kept. No allocation anywhere.
#pragma once

#include <cstddef>
#include <cstdint>

#include "flash_kda/prefill.hpp"

namespace flash_kda {

struct Sequence {
  std::int64_t batch_row = 0;  // b of q[b, t, ...]
  std::int64_t bos = 0;        // first token within the row
  std::int64_t length = 0;     // tokens; may be 0
};

// One state matrix [V, K] of one (sequence, head) in the caller's memory. v_stride and k_stride are
// in elements and hide the layout (one of them is 1).
struct StateRef {
  void* data = nullptr;  // null: read as zero / not written
  DType dtype = DType::kF32;
  std::int64_t v_stride = 0;
  std::int64_t k_stride = 0;
  explicit operator bool() const { return data != nullptr; }
};

// fp32 [num_v][num_k] <-> the caller's type and layout, for value rows [v_begin, v_begin + num_v).
// bf16 is rounded to nearest even. dst row pitch in floats.
void load_state(const StateRef& src, std::int64_t v_begin, std::int64_t num_v, std::int64_t num_k,
                float* dst, std::int64_t dst_pitch);
void store_state(const StateRef& dst, std::int64_t v_begin, std::int64_t num_v, std::int64_t num_k,
                 const float* src, std::int64_t src_pitch);

class HostCall {
 public:
  // The head of the workspace belongs to HostCall (slot bitmap, checkpoint row bases); the rest,
  // from `backend_workspace()` on, 64-byte aligned, to the backend.
  static std::size_t workspace_bytes(const Problem& problem);

  // Checks the values that only the data knows (cu_seqlens monotone and in range, indices inside
  // the pool and unique, offsets inside their sequence, enough checkpoint rows). Writes only to the
  // workspace.
  static Status check_values(const Problem& problem, const Tensors& tensors, Workspace workspace);

  // After check_values on the same workspace. Keeps references: all three must outlive it.
  HostCall(const Problem& problem, const Tensors& tensors, Workspace workspace);

  const Problem& problem() const { return problem_; }
  const Tensors& tensors() const { return tensors_; }
  std::byte* backend_workspace() const;

  std::int64_t num_sequences() const { return problem_.sequences(); }
  Sequence sequence(std::int64_t n) const;

  StateRef initial_state(std::int64_t n, std::int64_t v_head) const;
  StateRef final_state(std::int64_t n, std::int64_t v_head) const;

  // Smallest checkpoint offset of sequence n above `after`, or -1. Offsets are token counts in
  // [1, length].
  std::int64_t next_checkpoint(std::int64_t n, std::int64_t after) const;
  // Number of destinations for sequence n (an offset may be listed more than once; skipped ones
  // count too), and the i-th: empty unless it wants the state after `offset` tokens.
  std::int64_t num_checkpoint_entries(std::int64_t n) const;
  StateRef checkpoint_at(std::int64_t n, std::int64_t entry, std::int64_t offset,
                         std::int64_t v_head) const;

 private:
  const Problem& problem_;
  const Tensors& tensors_;
  Workspace workspace_;
};

// store_state to every destination that wants the state of (n, v_head) after `offset` tokens.
void store_checkpoints(const HostCall& call, std::int64_t n, std::int64_t v_head,
                       std::int64_t offset, std::int64_t v_begin, std::int64_t num_v,
                       const float* src, std::int64_t src_pitch);

}  // namespace flash_kda
