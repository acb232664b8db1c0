// The chunked form of one work item. Tokens outside, heads inside: a block of 128 tokens of one
// head is prepared once (E1 to E6), then each panel of 32 value columns runs through the block with
// its state in L1 (E7 to E11). The heads of an item take turns block by block, because their rows
// share DRAM pages.
#include <algorithm>
#include <cstring>

#include "cpu/head_input.hpp"
#include "cpu/run_item.hpp"

namespace flash_kda::cpu {
namespace {

struct Head {
  HeadInput input;
  MutableRows out;
  HeadParams params;
  int index = 0;
};

// Whether the outputs of a range of chunks are wanted, or only the state after it.
enum class Emit { kOutputs, kStateOnly };

class ChunkedItem {
 public:
  ChunkedItem(const ItemContext& context, const WorkItem& item)
      : call_(context.call),
        kernels_(context.kernels),
        item_(item),
        sequence_(context.call.sequence(item.sequence)),
        k_(static_cast<int>(context.call.problem().head_dim_k)),
        k_pad_(padded_k(context.call.problem())),
        num_panels_((item.num_columns + kPanelWidth - 1) / kPanelWidth),
        block_tokens_(chunks_per_block(context.call.problem()) * kChunkSize) {
    Arena arena(context.memory);
    memory_ = carve_chunked(call_.problem(), context.split, kernels_.operand_bytes, arena);
    for (int h = 0; h < item_.num_heads; ++h) {
      Head& head = heads_[h];
      head.index = item_.first_head + h;
      head.input = head_input(call_, sequence_, head.index);
      head.out = head_output(call_, sequence_, head.index);
      head.params = head_params(call_, head.index, memory_.dt_bias + h * k_pad_);
    }
  }

  float* own_states() const { return memory_.states; }

  // Blocks of free heads until none is left. States are the item owner's, all else is this
  // thread's.
  void run(SharedItem& shared) {
    states_ = shared.states();
    for (int h = shared.take(); h >= 0; h = shared.take()) {
      run_next_block(h, shared.head(h));
      shared.give_back(h);
    }
  }

 private:
  void run_next_block(int h, HeadProgress& head) {
    if (head.step.load(std::memory_order_relaxed) == HeadStep::kUnstarted) load_states(h);
    const std::int64_t begin = head.next_token.load(std::memory_order_relaxed);
    const std::int64_t end = std::min(begin + block_tokens_, sequence_.length);
    if (begin < end) run_block(h, begin, end);
    if (end == sequence_.length) store_final_state(h);
    head.next_token.store(end, std::memory_order_relaxed);
    head.step.store(end == sequence_.length ? HeadStep::kDone : HeadStep::kRunning,
                    std::memory_order_relaxed);
  }

  // Tokens [begin, end) of one head, stopping at checkpoints. A checkpoint inside a chunk takes the
  // chunk's first tokens as a tail, as a run over the prefix would, and then goes back.
  void run_block(int h, std::int64_t begin, std::int64_t end) {
    const int head = heads_[h].index;
    std::int64_t done = begin;  // a multiple of kChunkSize away from the sequence's start
    std::int64_t checkpoint = call_.next_checkpoint(item_.sequence, begin);
    while (checkpoint >= 0 && checkpoint < end) {
      const std::int64_t chunk_begin = checkpoint / kChunkSize * kChunkSize;
      run_chunks(h, done, chunk_begin, Emit::kOutputs);
      done = std::max(done, chunk_begin);
      run_chunks(h, chunk_begin, checkpoint, Emit::kStateOnly);
      checkpoint = call_.next_checkpoint(item_.sequence, checkpoint);
    }
    run_chunks(h, done, end, Emit::kOutputs);
    if (checkpoint != end) return;
    for (int p = 0; p < num_panels_; ++p) store_checkpoint(head, p, end, state(h, p));
  }

  void run_chunks(int h, std::int64_t begin, std::int64_t end, Emit emit) {
    if (begin < end) prepare(h, begin, end, emit);
    for (int p = 0; p < num_panels_; ++p) {
      if (emit == Emit::kOutputs) {
        run_panel(h, p, begin, end, state(h, p), emit);
        continue;
      }
      const std::size_t bytes = sizeof(float) * static_cast<std::size_t>(k_pad_ * kPanelWidth);
      std::memcpy(memory_.state_copy, state(h, p), bytes);
      run_panel(h, p, begin, end, memory_.state_copy, emit);
      store_checkpoint(heads_[h].index, p, end, memory_.state_copy);
    }
  }

  void prepare(int h, std::int64_t begin, std::int64_t end, Emit emit) {
    const Head& head = heads_[h];
    for (std::int64_t t = begin; t < end; t += kChunkSize) {
      PrepareArgs args;
      args.input = &head.input;
      args.params = &head.params;
      args.first_token = t;
      args.valid = static_cast<int>(std::min<std::int64_t>(kChunkSize, end - t));
      args.out = memory_.chunks[(t - begin) / kChunkSize];
      args.scratch = memory_.prepare_scratch;
      if (emit == Emit::kOutputs) {
        args.out_rows = rows_at(head.out, t, 0);
        prefetch_after(h, t + kChunkSize, end, args);
      }
      kernels_.prepare_chunk(args);
    }
  }

  // Names the chunk that is prepared after the one that ends at `t`: the next of this head, else
  // the first of the next head's block, else the first head's in the next block.
  void prefetch_after(int h, std::int64_t t, std::int64_t end, PrepareArgs& args) const {
    if (t >= end) {
      ++h;
      t = (end - 1) / block_tokens_ * block_tokens_;
      if (h == item_.num_heads) {
        h = 0;
        t += block_tokens_;
      }
    }
    if (t >= sequence_.length) return;
    args.next_input = &heads_[h].input;
    args.next_token = t;
    args.next_valid = static_cast<int>(std::min<std::int64_t>(kChunkSize, sequence_.length - t));
  }

  void run_panel(int h, int panel, std::int64_t begin, std::int64_t end, float* state, Emit emit) {
    if (begin >= end) return;
    const std::int64_t column = item_.first_column + panel * kPanelWidth;
    PanelArgs args;
    args.chunks = memory_.chunks;
    args.num_chunks = static_cast<int>((end - begin + kChunkSize - 1) / kChunkSize);
    args.last_valid = static_cast<int>(end - begin - (args.num_chunks - 1) * kChunkSize);
    args.v = rows_at(heads_[h].input.v, begin, column);
    if (emit == Emit::kOutputs) args.out = rows_at(heads_[h].out, begin, column);
    args.columns = columns(panel);
    args.num_k_padded = k_pad_;
    args.state = state;
    args.scratch = memory_.panel_scratch;
    kernels_.run_panel(args);
  }

  void load_states(int h) {
    const StateRef ref = call_.initial_state(item_.sequence, heads_[h].index);
    for (int p = 0; p < num_panels_; ++p) {
      load_state(ref, item_.first_column + p * kPanelWidth, columns(p), k_, memory_.rows, k_pad_);
      kernels_.rows_to_panel(memory_.rows, k_pad_, columns(p), k_, k_pad_, state(h, p));
    }
  }

  void store_final_state(int h) {
    const StateRef ref = call_.final_state(item_.sequence, heads_[h].index);
    if (!ref) return;
    for (int p = 0; p < num_panels_; ++p) {
      kernels_.panel_to_rows(state(h, p), columns(p), k_, memory_.rows, k_pad_);
      store_state(ref, item_.first_column + p * kPanelWidth, columns(p), k_, memory_.rows, k_pad_);
    }
  }

  void store_checkpoint(int head, int panel, std::int64_t offset, const float* state) {
    kernels_.panel_to_rows(state, columns(panel), k_, memory_.rows, k_pad_);
    store_checkpoints(call_, item_.sequence, head, offset, item_.first_column + panel * kPanelWidth,
                      columns(panel), memory_.rows, k_pad_);
  }

  float* state(int h, int panel) {
    return states_ + static_cast<std::size_t>(h * num_panels_ + panel) *
                         static_cast<std::size_t>(k_pad_ * kPanelWidth);
  }
  int columns(int panel) const {
    return std::min(kPanelWidth, item_.num_columns - panel * kPanelWidth);
  }

  const HostCall& call_;
  const Kernels& kernels_;
  const WorkItem& item_;
  const Sequence sequence_;
  const int k_;
  const int k_pad_;
  const int num_panels_;
  const std::int64_t block_tokens_;
  ChunkedMemory memory_;
  float* states_ = nullptr;  // [heads, panels, K_pad, W], the owner's
  Head heads_[kMaxHeadsPerItem];
};

}  // namespace

void run_chunked_item(const ItemContext& context, const WorkItem& item, SharedItem& shared) {
  ChunkedItem chunked(context, item);
  shared.open(item, chunked.own_states());
  chunked.run(shared);
}

void help_chunked_item(const ItemContext& context, SharedItem& shared) {
  ChunkedItem(context, shared.item()).run(shared);
}

}  // namespace flash_kda::cpu
