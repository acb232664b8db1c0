#include "cuda/planner/two_kernel_plan.hpp"

#include <algorithm>
#include <limits>

#include "cuda/planner/cost_model.hpp"
#include "cuda/two_kernel/params.hpp"
#include "fmt/format.h"

namespace flash_kda::cuda {
namespace {

constexpr std::int64_t kRowsPerWarp = 16;
constexpr std::int64_t kRecurrentRows = 32;  // value rows of a block of the recurrent kernel
constexpr std::int64_t kRecurrentTokens = 16;

std::size_t align_up(std::size_t bytes) { return (bytes + 127) / 128 * 128; }

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

bool is_head_dim(std::int64_t dim) { return dim == 64 || dim == 128; }

// Chunks of one token would be 15/16 padding. Packed sequences may differ in length; what is known
// is their mean.
bool prefers_recurrent(const Problem& p) {
  const std::int64_t n = std::max<std::int64_t>(p.sequences(), 1);
  const std::int64_t mean = p.is_varlen() ? divide_up(p.tokens, n) : p.tokens;
  return p.tokens <= kRecurrentTokens || mean <= 2;
}

}  // namespace

std::size_t image_bytes(std::int64_t head_dim_k) {
  return static_cast<std::size_t>(3 * kChunk * head_dim_k * 2 + 2 * kChunk * kChunk * 2 +
                                  kChunk * 4 + head_dim_k * 4);
}

Places count_places(const Problem& p, std::int64_t segment_tokens) {
  Places places;
  const std::int64_t n = p.sequences();
  places.chunks_per_row = p.is_varlen() ? 0 : divide_up(p.tokens, kChunk);
  places.chunks = p.is_varlen() ? p.tokens / kChunk + n : n * places.chunks_per_row;
  if (p.checkpoints.kind == CheckpointKind::kOffsets) {
    places.side_chunks = n * p.checkpoints.max_offsets;
  } else if (p.checkpoints.kind == CheckpointKind::kEvery && p.checkpoints.every % kChunk != 0) {
    const std::int64_t rows = p.tokens / p.checkpoints.every;
    places.side_chunks = p.is_varlen() ? rows : n * rows;
  }
  if (segment_tokens > 0) places.segments = places.chunks / (segment_tokens / kChunk) + n;
  return places;
}

bool needs_checkpoint_rows(const Problem& p) {
  return p.checkpoints.kind == CheckpointKind::kEvery && p.is_varlen();
}

WorkspaceLayout lay_out_workspace(const Problem& p, const Config& config) {
  WorkspaceLayout layout;
  const auto heads = static_cast<std::size_t>(p.v_heads);
  const auto state_floats = static_cast<std::size_t>(p.head_dim_v * p.head_dim_k);
  const auto summary_floats =
      static_cast<std::size_t>((p.head_dim_v + p.head_dim_k) * p.head_dim_k);
  if (config.algorithm == Algorithm::kChunked) {
    const Places places = count_places(p, config.segment_tokens);
    const auto images = static_cast<std::size_t>(places.chunks + places.side_chunks);
    const auto segments = static_cast<std::size_t>(places.segments);
    layout.row_base = align_up(images * heads * image_bytes(p.head_dim_k));
    layout.bytes = layout.row_base;
    layout.segment_entry = layout.bytes;
    layout.segment_summary = layout.segment_entry + align_up(segments * heads * state_floats * 4);
    layout.bytes = layout.segment_summary + align_up(segments * heads * summary_floats * 4);
  }
  if (needs_checkpoint_rows(p)) {
    layout.row_base = layout.bytes;
    layout.bytes += align_up(static_cast<std::size_t>(p.sequences()) * sizeof(std::int64_t));
  }
  return layout;
}

std::string why_unsupported(const Problem& p) {
  if (p.qkv_dtype != DType::kBF16) {
    return fmt::format("qkv_dtype: expected bf16, got {}", to_string(p.qkv_dtype));
  }
  if (p.out_dtype == DType::kF16) {
    return fmt::format("out_dtype: expected bf16 or f32, got {}", to_string(p.out_dtype));
  }
  if (!is_head_dim(p.head_dim_k)) {
    return fmt::format("head_dim_k: expected 64 or 128, got {}", p.head_dim_k);
  }
  if (!is_head_dim(p.head_dim_v)) {
    return fmt::format("head_dim_v: expected 64 or 128, got {}", p.head_dim_v);
  }
  constexpr std::int64_t kMaxTokens = std::numeric_limits<std::int32_t>::max() - kChunk;
  if (p.tokens > kMaxTokens) {
    return fmt::format("tokens: expected at most {}, got {}", kMaxTokens, p.tokens);
  }
  if (p.checkpoints.max_offsets > kMaxTokens) {
    return fmt::format("checkpoints.max_offsets: expected at most {}, got {}", kMaxTokens,
                       p.checkpoints.max_offsets);
  }
  const Places places = count_places(p, kChunk);
  const std::int64_t most = std::max(places.chunks + places.side_chunks, places.segments);
  constexpr std::int64_t kMaxBlocks = std::numeric_limits<std::int32_t>::max();
  if (most > kMaxBlocks / (p.v_heads * 16)) {
    return fmt::format("tokens: {} chunks of {} heads exceed the grid", most, p.v_heads);
  }
  return "";
}

Config choose_config(const Problem& p, const PlanOptions& options, const DeviceLimits& device) {
  Config config;
  config.backend = BackendKind::kCuda;
  config.threads = 1;
  const bool recurrent = options.algorithm == Algorithm::kRecurrent ||
                         (options.algorithm == Algorithm::kAuto && prefers_recurrent(p));
  if (recurrent) {
    config.target = fmt::format("sm_{} recurrent", device.capability);
    config.precision = Precision::kF32;
    config.algorithm = Algorithm::kRecurrent;
    config.chunk_size = 1;
    config.v_panel = kRecurrentRows;
    config.work_items = p.sequences() * p.v_heads * (p.head_dim_v / kRecurrentRows);
    config.reason = options.algorithm == Algorithm::kRecurrent
                        ? "token by token, as asked"
                        : "few tokens a sequence: chunks would be mostly padding";
    return config;
  }
  config.target = fmt::format("sm_{} two-kernel", device.capability);
  config.precision = Precision::kBF16;
  config.algorithm = Algorithm::kChunked;
  config.chunk_size = kChunk;
  const Split split = choose_split(p, device);
  config.v_panel = split.warps * kRowsPerWarp;
  config.segment_tokens = split.segment_chunks * kChunk;
  const std::int64_t pieces =
      split.segment_chunks > 0 ? count_places(p, config.segment_tokens).segments : p.sequences();
  config.work_items = pieces * p.v_heads * (p.head_dim_v / config.v_panel);
  config.reason = split.reason;
  return config;
}

}  // namespace flash_kda::cuda
