// How one call falls apart into independent pieces, and what a thread needs to work on one. A pure
// function of problem, algorithm and thread count; it never changes a result, only who computes it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/kernels.hpp"
#include "flash_kda/prefill.hpp"

namespace flash_kda::cpu {

// Heads of one item: neighbours in memory, walked together so that DRAM pages are read once.
inline constexpr int kMaxHeadsPerItem = 8;

// Work item: `heads_per_item` value heads of one sequence, `v_columns` value columns of each.
struct WorkSplit {
  int heads_per_item = 1;
  int head_groups = 1;
  int v_splits = 1;
  int v_columns = 0;
  std::int64_t items = 0;
};

struct WorkItem {
  std::int64_t sequence = 0;
  int first_head = 0;
  int num_heads = 0;
  int first_column = 0;
  int num_columns = 0;
};

WorkSplit choose_split(const Problem& problem, Algorithm algorithm, int threads);
WorkItem work_item(const Problem& problem, const WorkSplit& split, std::int64_t index);

int padded_k(const Problem& problem);
// Chunks prepared at a time: 8 at K <= 128 are 220 KB of fp32 operands, which stay in L2.
int chunks_per_block(const Problem& problem);

// Carves one thread's part of the workspace into aligned arrays; with a null base it only measures.
class Arena {
 public:
  explicit Arena(std::byte* base) : base_(base) {}
  template <typename T>
  T* take(std::size_t count) {
    T* at = base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + used_);
    used_ += (count * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
    return at;
  }
  std::size_t used() const { return used_; }

 private:
  static constexpr std::size_t kAlignment = 64;
  std::byte* base_;
  std::size_t used_ = 0;
};

struct ChunkedMemory {
  float* states = nullptr;   // [heads, panels, K_pad, W]
  float* dt_bias = nullptr;  // [heads, K_pad]
  PreparedChunk chunks[8];   // the first chunks_per_block are used
  float* prepare_scratch = nullptr;
  float* panel_scratch = nullptr;
  float* rows = nullptr;        // [W, K_pad]
  float* state_copy = nullptr;  // [K_pad, W]
};
ChunkedMemory carve_chunked(const Problem& problem, const WorkSplit& split,
                            std::size_t operand_bytes, Arena& arena);

struct RecurrentMemory {
  float* dt_bias = nullptr;   // [K_pad]
  float* zero_row = nullptr;  // [K_pad]
  float* state = nullptr;     // [v_columns, K_pad]
  PreparedTokens tokens;
};
RecurrentMemory carve_recurrent(const Problem& problem, const WorkSplit& split, Arena& arena);

std::size_t thread_bytes(const Problem& problem, const WorkSplit& split, Algorithm algorithm,
                         std::size_t operand_bytes);

}  // namespace flash_kda::cpu
