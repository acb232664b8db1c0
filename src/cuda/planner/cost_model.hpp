// What the recurrence costs under a split, from counts and a few hardware figures. The figures are
// estimates (docs/performance.md) until measurements replace them.
#pragma once

#include <cstdint>
#include <string>

#include "cuda/planner/two_kernel_plan.hpp"

namespace flash_kda::cuda {

std::size_t image_bytes(std::int64_t head_dim_k);

struct Split {
  std::int64_t warps = 8;           // of a block; 16 value rows each
  std::int64_t segment_chunks = 0;  // 0: sequences stay whole
  double cycles = 0;                // predicted, all passes after prepare
  std::string reason;
};

// Cycles of the passes after prepare with `warps` per block and segments of `segment_chunks`.
double predict_cycles(const Problem& problem, const DeviceLimits& device, std::int64_t warps,
                      std::int64_t segment_chunks);

// The cheapest split. Sequences are cut only for a clear gain (20 %): a cut adds two passes.
Split choose_split(const Problem& problem, const DeviceLimits& device);

}  // namespace flash_kda::cuda
