// How a problem is laid over a GPU: algorithm, split of V over blocks, cut of sequences into
// segments, and the workspace. Host only; everything follows from the problem's bounds and a few
// numbers of the device, never from data, so that a plan can be captured in a CUDA graph.
#pragma once

#include <cstddef>
#include <cstdint>

#include "flash_kda/prefill.hpp"

namespace flash_kda::cuda {

struct DeviceLimits {
  int multiprocessors = 132;
  int capability = 90;  // 10 * major + minor
};

// Places in the lines of chunks, checkpoint tails and segments (two_kernel/sequence.cuh).
struct Places {
  std::int64_t chunks_per_row = 0;  // fixed length only
  std::int64_t chunks = 0;
  std::int64_t side_chunks = 0;
  std::int64_t segments = 0;  // 0 when sequences are whole
};
Places count_places(const Problem& problem, std::int64_t segment_tokens);

// Byte offsets into the workspace; every part is aligned for bulk copies.
struct WorkspaceLayout {
  std::size_t images = 0;
  std::size_t row_base = 0;
  std::size_t segment_entry = 0;
  std::size_t segment_summary = 0;
  std::size_t bytes = 0;
};
WorkspaceLayout lay_out_workspace(const Problem& problem, const Config& config);

// Whether checkpoint rows must be counted on the device before they can be addressed.
bool needs_checkpoint_rows(const Problem& problem);

// Empty, or why this problem cannot run.
std::string why_unsupported(const Problem& problem);

Config choose_config(const Problem& problem, const PlanOptions& options,
                     const DeviceLimits& device);

}  // namespace flash_kda::cuda
