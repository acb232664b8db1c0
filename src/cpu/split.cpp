#include "cpu/split.hpp"

#include <algorithm>

namespace flash_kda::cpu {
namespace {

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// States of one item stay below 512 KB, half of a usual L2.
int max_heads_per_item(const Problem& problem, Algorithm algorithm) {
  if (algorithm == Algorithm::kRecurrent) return 1;
  const std::int64_t bytes =
      4 * padded_k(problem) * ceil_div(problem.head_dim_v, kPanelWidth) * kPanelWidth;
  return static_cast<int>(std::clamp<std::int64_t>(
      (512 << 10) / bytes, 1, std::min<std::int64_t>(kMaxHeadsPerItem, problem.v_heads)));
}

// Time of the busiest thread, in units of one head's state work. Preparing a chunk costs about a
// fifth of that at K = V = 128, and every V split repeats it: cheaper than a barrier per block
// between threads that would share it, and only met when there are fewer heads than threads.
double busiest_thread(const Problem& problem, int threads, int heads, int v_splits) {
  constexpr double kPrepareCost = 0.2;
  const std::int64_t groups = ceil_div(problem.v_heads, heads);
  const std::int64_t items = problem.sequences() * groups * v_splits;
  return static_cast<double>(ceil_div(items, threads)) * heads * (kPrepareCost + 1.0 / v_splits);
}

}  // namespace

int padded_k(const Problem& problem) {
  return static_cast<int>(ceil_div(problem.head_dim_k, kVectorPad)) * kVectorPad;
}

int chunks_per_block(const Problem& problem) { return padded_k(problem) <= 128 ? 8 : 4; }

WorkSplit choose_split(const Problem& problem, Algorithm algorithm, int threads) {
  const std::int64_t panels = std::max<std::int64_t>(1, ceil_div(problem.head_dim_v, kPanelWidth));
  int most_heads = max_heads_per_item(problem, algorithm);
  if (problem.is_varlen()) {
    // Lengths are unknown here: several items a thread let the dynamic schedule even them out.
    const std::int64_t units = problem.sequences() * problem.v_heads;
    most_heads = static_cast<int>(std::clamp<std::int64_t>(units / (4 * threads), 1, most_heads));
  }
  WorkSplit best;
  double best_time = -1.0;
  for (int heads = most_heads; heads >= 1; --heads) {
    for (std::int64_t splits = 1; splits <= panels; ++splits) {
      const double time = busiest_thread(problem, threads, heads, static_cast<int>(splits));
      // 2 % less is not worth smaller items.
      if (best_time >= 0.0 && time > 0.98 * best_time) continue;
      best_time = time;
      best.heads_per_item = heads;
      best.v_splits = static_cast<int>(splits);
    }
  }
  best.v_columns = static_cast<int>(ceil_div(panels, best.v_splits)) * kPanelWidth;
  best.v_splits = static_cast<int>(ceil_div(panels * kPanelWidth, best.v_columns));
  best.head_groups = static_cast<int>(ceil_div(problem.v_heads, best.heads_per_item));
  best.items = problem.sequences() * best.head_groups * best.v_splits;
  return best;
}

WorkItem work_item(const Problem& problem, const WorkSplit& split, std::int64_t index) {
  WorkItem item;
  const int v_part = static_cast<int>(index % split.v_splits);
  index /= split.v_splits;
  item.first_head = static_cast<int>(index % split.head_groups) * split.heads_per_item;
  item.sequence = index / split.head_groups;
  item.num_heads = static_cast<int>(
      std::min<std::int64_t>(split.heads_per_item, problem.v_heads - item.first_head));
  item.first_column = v_part * split.v_columns;
  item.num_columns = static_cast<int>(
      std::min<std::int64_t>(split.v_columns, problem.head_dim_v - item.first_column));
  return item;
}

ChunkedMemory carve_chunked(const Problem& problem, const WorkSplit& split,
                            std::size_t operand_bytes, Arena& arena) {
  const auto k_pad = static_cast<std::size_t>(padded_k(problem));
  const auto heads = static_cast<std::size_t>(split.heads_per_item);
  ChunkedMemory m;
  m.states = arena.take<float>(heads * static_cast<std::size_t>(split.v_columns) * k_pad);
  m.dt_bias = arena.take<float>(heads * k_pad);
  for (int i = 0; i < chunks_per_block(problem); ++i) {
    PreparedChunk& chunk = m.chunks[i];
    chunk.qk = arena.take<std::byte>(2 * kChunkSize * k_pad * operand_bytes);
    chunk.k_to_end = arena.take<std::byte>(kChunkSize * k_pad * operand_bytes);
    chunk.decay_hi = arena.take<float>(k_pad);
    chunk.decay_lo = arena.take<float>(k_pad);
    chunk.akk = arena.take<float>(kChunkSize * kChunkSize);
    chunk.aqk = arena.take<float>(kChunkSize * kChunkSize);
    chunk.beta = arena.take<float>(kChunkSize);
  }
  m.prepare_scratch = arena.take<float>(prepare_scratch_floats(k_pad));
  m.panel_scratch = arena.take<float>(panel_scratch_floats(k_pad));
  m.rows = arena.take<float>(kPanelWidth * k_pad);
  m.state_copy = arena.take<float>(kPanelWidth * k_pad);
  return m;
}

RecurrentMemory carve_recurrent(const Problem& problem, const WorkSplit& split, Arena& arena) {
  const auto k_pad = static_cast<std::size_t>(padded_k(problem));
  RecurrentMemory m;
  m.dt_bias = arena.take<float>(k_pad);
  m.zero_row = arena.take<float>(k_pad);
  m.state = arena.take<float>(static_cast<std::size_t>(split.v_columns) * k_pad);
  for (float** rows : {&m.tokens.k, &m.tokens.k_decayed, &m.tokens.q_decayed, &m.tokens.decay_hi,
                       &m.tokens.decay_lo}) {
    *rows = arena.take<float>(kChunkSize * k_pad);
  }
  m.tokens.qk = arena.take<float>(kChunkSize);
  m.tokens.beta = arena.take<float>(kChunkSize);
  return m;
}

std::size_t thread_bytes(const Problem& problem, const WorkSplit& split, Algorithm algorithm,
                         std::size_t operand_bytes) {
  Arena measure(nullptr);
  if (algorithm == Algorithm::kChunked) {
    carve_chunked(problem, split, operand_bytes, measure);
  } else {
    carve_recurrent(problem, split, measure);
  }
  return measure.used();
}

}  // namespace flash_kda::cpu
