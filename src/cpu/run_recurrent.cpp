// The recurrent form of one work item. A decode step works on an fp32 [V, K] state in place, in the
// caller's memory: it reads and writes each state once and nothing else of its size.
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "cpu/head_input.hpp"
#include "cpu/run_item.hpp"

namespace flash_kda::cpu {
namespace {

// 32 rows of a 128-wide state are 16 KB: they stay in L1 over the tokens of a group.
constexpr int kRowsPerBlock = 32;

bool is_plain_rows(const StateRef& ref, int k, int k_pad) {
  return ref && ref.dtype == DType::kF32 && ref.k_stride == 1 && k == k_pad;
}

// Rows that cross cache lines halve the speed of every pass; over several tokens a copy into the
// workspace is cheaper. The results are the same bits.
bool is_aligned(const StateRef& ref) {
  return reinterpret_cast<std::uintptr_t>(ref.data) % 64 == 0 && ref.v_stride % 16 == 0;
}

class RecurrentHead {
 public:
  RecurrentHead(const ItemContext& context, const WorkItem& item, const RecurrentMemory& memory,
                int head)
      : call_(context.call),
        kernels_(context.kernels),
        item_(item),
        memory_(memory),
        head_(head),
        sequence_(call_.sequence(item.sequence)),
        input_(head_input(call_, sequence_, head)),
        out_(head_output(call_, sequence_, head)),
        params_(head_params(call_, head, memory.dt_bias)),
        final_(call_.final_state(item.sequence, head)) {}

  void run() {
    place_state();
    for (std::int64_t t = 0; t < sequence_.length; t += kChunkSize) {
      run_group(t, static_cast<int>(std::min<std::int64_t>(kChunkSize, sequence_.length - t)));
    }
    if (!final_ || in_place_) return;
    store_state(final_, item_.first_column, item_.num_columns, params_.num_k, dst_, dst_pitch_);
  }

 private:
  // Chooses where the state lives and where the first token reads it.
  void place_state() {
    const StateRef initial = call_.initial_state(item_.sequence, head_);
    const bool has_tokens = sequence_.length > 0;
    in_place_ = is_plain_rows(final_, params_.num_k, params_.num_k_padded) &&
                (sequence_.length <= 1 || is_aligned(final_));
    dst_ = memory_.state;
    dst_pitch_ = params_.num_k_padded;
    if (in_place_) {
      dst_ = static_cast<float*>(final_.data) + item_.first_column * final_.v_stride;
      dst_pitch_ = final_.v_stride;
    }
    if (has_tokens && !initial) {
      std::memset(memory_.zero_row, 0,
                  sizeof(float) * static_cast<std::size_t>(params_.num_k_padded));
      src_ = memory_.zero_row;
      src_pitch_ = 0;
    } else if (has_tokens && is_plain_rows(initial, params_.num_k, params_.num_k_padded)) {
      src_ = static_cast<const float*>(initial.data) + item_.first_column * initial.v_stride;
      src_pitch_ = initial.v_stride;
    } else {
      load_rows(initial);
      src_ = dst_;
      src_pitch_ = dst_pitch_;
    }
  }

  // An empty sequence with one state for both ends has nothing to copy.
  void load_rows(const StateRef& initial) {
    if (in_place_ && initial.data == final_.data) return;
    if (!in_place_) {
      std::memset(dst_, 0,
                  sizeof(float) * static_cast<std::size_t>(item_.num_columns * dst_pitch_));
    }
    load_state(initial, item_.first_column, item_.num_columns, params_.num_k, dst_, dst_pitch_);
  }

  // Tokens [t, t + count), stopping at checkpoints.
  void run_group(std::int64_t t, int count) {
    const PrepareTokensArgs prepare = {.input = &input_,
                                       .params = &params_,
                                       .first_token = t,
                                       .count = count,
                                       .out = memory_.tokens};
    kernels_.prepare_tokens(prepare);
    int done = 0;
    while (done < count) {
      const std::int64_t checkpoint = call_.next_checkpoint(item_.sequence, t + done);
      const bool stops = checkpoint >= 0 && checkpoint <= t + count;
      const int stop = stops ? static_cast<int>(checkpoint - t) : count;
      run_tokens(t, done, stop - done);
      done = stop;
      if (!stops) continue;
      store_checkpoints(call_, item_.sequence, head_, checkpoint, item_.first_column,
                        item_.num_columns, dst_, dst_pitch_);
    }
  }

  void run_tokens(std::int64_t t, int first, int count) {
    for (int row = 0; row < item_.num_columns; row += kRowsPerBlock) {
      RecurrentArgs args;
      args.tokens = memory_.tokens;
      args.first = first;
      args.count = count;
      args.v = rows_at(input_.v, t + first, item_.first_column + row);
      args.out = rows_at(out_, t + first, item_.first_column + row);
      args.num_rows = std::min(kRowsPerBlock, item_.num_columns - row);
      args.num_k = params_.num_k;
      args.num_k_padded = params_.num_k_padded;
      args.src = src_ + row * src_pitch_;
      args.src_pitch = src_pitch_;
      args.dst = dst_ + row * dst_pitch_;
      args.dst_pitch = dst_pitch_;
      kernels_.run_recurrent(args);
    }
    src_ = dst_;
    src_pitch_ = dst_pitch_;
  }

  const HostCall& call_;
  const Kernels& kernels_;
  const WorkItem& item_;
  const RecurrentMemory& memory_;
  const int head_;
  const Sequence sequence_;
  const HeadInput input_;
  const MutableRows out_;
  const HeadParams params_;
  const StateRef final_;
  bool in_place_ = false;
  float* dst_ = nullptr;
  std::int64_t dst_pitch_ = 0;
  const float* src_ = nullptr;
  std::int64_t src_pitch_ = 0;
};

}  // namespace

void run_recurrent_item(const ItemContext& context, const WorkItem& item) {
  Arena arena(context.memory);
  const RecurrentMemory memory = carve_recurrent(context.call.problem(), context.split, arena);
  for (int h = 0; h < item.num_heads; ++h) {
    RecurrentHead(context, item, memory, item.first_head + h).run();
  }
}

}  // namespace flash_kda::cpu
