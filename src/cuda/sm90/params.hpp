// What the host tells the fused kernel.
#pragma once

#include <cuda.h>
#include <cuda_runtime_api.h>

#include "cuda/sm90/balance.hpp"
#include "cuda/sm90/config.hpp"
#include "cuda/two_kernel/launch.hpp"
#include "cuda/two_kernel/params.hpp"
#include "flash_kda/prefill.hpp"

namespace flash_kda::cuda::sm90 {

// Whether a tensor can be moved by TMA: 16-byte aligned base, strides that are positive multiples
// of 16 bytes. Otherwise a warp moves it element by element.
enum class Transfer : std::int32_t { kBox, kElements };

// Parts of chains after a cut, by what they start from.
struct CutCounts {
  std::uint32_t replayed = 0;  // zero or the caller's state, some chunks before their own
  std::uint32_t waited = 0;    // the state of the part before
  std::uint32_t exact = 0;     // nothing: the chain is left to the two kernels or the split form
};

// Where the left end of a share cuts a chain: its place in the list of chains, and whether the part
// after the cut may be replayed.
struct CutPlace {
  static constexpr std::uint32_t kNone = ~0u;
  std::uint32_t bits = kNone;  // place < 2^31, proven

  FLASH_KDA_HOST_DEVICE bool exists() const { return bits != kNone; }
  FLASH_KDA_HOST_DEVICE bool is_proven() const { return exists() && (bits & 1) != 0; }
  FLASH_KDA_HOST_DEVICE bool is_unproven() const { return (bits & 1) == 0; }
  FLASH_KDA_HOST_DEVICE std::int32_t place() const { return static_cast<std::int32_t>(bits >> 1); }
};

// Workspace of the fused kernel where chains may be cut. The kernel in front writes `shares` and
// `cuts` and zeroes `begun`, `ended` and `sent`, the fused kernel writes the rest.
struct Handover {
  float* states = nullptr;         // [blocks, V, K], from block b to the next; null: no cuts
  std::uint32_t* sent = nullptr;   // [blocks, 8]: flags, by warp of the recurrence
  Share* shares = nullptr;         // [blocks]
  CutPlace* cuts = nullptr;        // [blocks]
  std::uint32_t* begun = nullptr;  // blocks that have begun
  std::uint32_t* ended = nullptr;  // and ended, all they write written; counted beside `unproven`
  CutCounts* counts = nullptr;
  // Chains left to the two kernels, bit n * v_heads + head; null: none is.
  unsigned long long* unproven = nullptr;
};

// Workspace of Unproven::kSegments (segments.cuh). The kernel in front zeroes the counters.
struct Segments {
  float* states = nullptr;          // [slots, V, K]
  float* maps = nullptr;            // [slots, K, K]
  std::uint32_t* taken = nullptr;   // jobs, by blocks
  std::uint32_t* done = nullptr;    // [kMaxLeft]: arrivals of a chain's summaries
  std::uint32_t* merged = nullptr;  // [kMaxLeft]: and of its merges
  std::int32_t chunks = 0;          // of a segment
  std::int32_t parts = 0;           // of a merge, of so many
  std::int32_t rows = 0;            // value rows each
};

struct FusedParams {
  CUtensorMap q_map, k_map, g_map, v_map, out_map;
  SequenceMap sequences;
  StateRouting states;
  CheckpointParams checkpoints;
  float* kept_states = nullptr;  // [blocks, V, K]; null: all checkpoints lie on the chunk grid
  TokenInputs inputs;
  RowTensor v, out;
  Handover handover;
  std::int32_t max_warm_up = 0;      // chunks; 0: parts after a cut wait for their state
  std::int32_t states_in_place = 0;  // whether a final state may replace its initial one
  std::int32_t items = 0;            // (sequence, value head) pairs
  Balance balance = {};              // of chains of one length; packed ones are laid on the device
  Transfer loads = Transfer::kBox;   // of q, k, g and v
  Transfer stores = Transfer::kBox;  // of out
  Unproven unproven = Unproven::kWait;
  std::int32_t proves = 1;  // whether replays may be proven; 0: only whole ones
  // Last: a block waits for each line of its parameters that it has not read yet.
  Segments segments;
};

// What is left by Unproven::kSplit, in the split form.
struct FusedThenSplitParams {
  FusedParams fused;
  FusedParams split;
};

// Launched before the fused kernel if chains may be cut.
cudaError_t launch_find_shares(const FusedParams& params, int blocks, const LaunchContext& context);

// `blocks` at most `items`; each stays on its SM.
cudaError_t launch_fused(const FusedParams& params, int blocks, const LaunchContext& context);

// The same with Unproven::kSplit: as clusters of two blocks, which take the chains that are left.
cudaError_t launch_fused_then_split(const FusedThenSplitParams& params, int blocks,
                                    const LaunchContext& context);

// The same with Unproven::kSegments. A bounded gate, and no checkpoints.
cudaError_t launch_fused_then_segments(const FusedParams& params, int blocks,
                                       const LaunchContext& context);

// The split form: `clusters` of two blocks each, at most `items`.
cudaError_t launch_split(const FusedParams& params, int clusters, const LaunchContext& context);

}  // namespace flash_kda::cuda::sm90
