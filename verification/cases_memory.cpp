// Where things lie: strides, padding, states, pools, checkpoints.
#include "verification/case_lists.hpp"

namespace flash_kda::verification {
namespace {

const char* name_of(TokenLayout layout) {
  switch (layout) {
    case TokenLayout::kPacked:
      return "packed";
    case TokenLayout::kStrided:
      return "strided";
    case TokenLayout::kHeadMajor:
      return "head-major";
    case TokenLayout::kPaddedRows:
      return "padded-rows";
  }
  return "unknown";
}

Case state_case(std::string name, DType dtype, StateLayout layout) {
  Case c = base_case(std::move(name), 45);
  c.problem.state.dtype = dtype;
  c.problem.state.layout = layout;
  c.memory.initial = InitialState::kGiven;
  return c;
}

// Slots are handed out by inputs.cpp: one for every sequence, none (-1) for every 3rd.
Case pool_case(std::string name, DType dtype, StateLayout layout) {
  Case c = packed_case(std::move(name), {20, 33, 5, 0, 17});
  c.problem.state = {
      .storage = StateStorage::kPool, .dtype = dtype, .layout = layout, .pool_slots = 9};
  c.memory.initial = InitialState::kGiven;
  return c;
}

Case checkpoint_case(std::string name, CheckpointSpec spec) {
  Case c = packed_case(std::move(name), {40, 0, 16, 35});
  c.problem.checkpoints = spec;
  c.memory.initial = InitialState::kGiven;
  return c;
}

}  // namespace

void add_memory_cases(std::vector<Case>& all) {
  for (const TokenLayout layout :
       {TokenLayout::kStrided, TokenLayout::kHeadMajor, TokenLayout::kPaddedRows}) {
    Case fixed = base_case(std::string("memory-") + name_of(layout), 37);
    fixed.problem.batch = 2;
    fixed.memory.tokens = layout;
    all.push_back(fixed);
    Case packed = packed_case(std::string("memory-") + name_of(layout) + "-sequences", {21, 0, 34});
    packed.problem.v_heads = 4;
    packed.problem.out_dtype = DType::kBF16;
    packed.memory.tokens = layout;
    packed.memory.misaligned = true;
    all.push_back(packed);
  }
  Case misaligned = base_case("memory-misaligned", 37);
  misaligned.memory.misaligned = true;
  misaligned.memory.initial = InitialState::kGiven;
  all.push_back(misaligned);
}

void add_state_cases(std::vector<Case>& all) {
  all.push_back(state_case("state-f32-vk", DType::kF32, StateLayout::kVK));
  all.push_back(state_case("state-f32-kv", DType::kF32, StateLayout::kKV));
  all.push_back(state_case("state-bf16-vk", DType::kBF16, StateLayout::kVK));
  all.push_back(state_case("state-bf16-kv", DType::kBF16, StateLayout::kKV));

  Case in_place = state_case("state-in-place", DType::kF32, StateLayout::kVK);
  in_place.memory.final = FinalState::kInPlace;
  all.push_back(in_place);
  in_place.name = "state-in-place-bf16-strided";
  in_place.problem.state.dtype = DType::kBF16;
  in_place.memory.strided_states = true;
  all.push_back(in_place);

  Case unused = state_case("state-initial-only", DType::kF32, StateLayout::kVK);
  unused.memory.final = FinalState::kAbsent;
  all.push_back(unused);
  Case none = base_case("state-none", 45);
  none.memory.final = FinalState::kAbsent;
  all.push_back(none);
  Case masked = packed_case("state-masked", {20, 17, 0, 16});
  masked.memory.initial = InitialState::kMasked;
  masked.memory.strided_states = true;
  all.push_back(masked);

  all.push_back(pool_case("pool-f32-vk", DType::kF32, StateLayout::kVK));
  all.push_back(pool_case("pool-bf16-kv", DType::kBF16, StateLayout::kKV));
  Case pool = pool_case("pool-masked-strided-i64", DType::kF32, StateLayout::kKV);
  pool.memory.initial = InitialState::kMasked;
  pool.memory.strided_states = true;
  pool.memory.index_dtype = DType::kI64;
  all.push_back(pool);
  Case decode = pool_case("pool-decode", DType::kF32, StateLayout::kVK);
  decode.lengths = {1, 1, 1, 1, 1};
  decode.problem.tokens = 5;
  all.push_back(decode);
}

void add_checkpoint_cases(std::vector<Case>& all) {
  const auto every = [](std::int64_t n, StateStorage destination) {
    return CheckpointSpec{.kind = CheckpointKind::kEvery,
                          .every = n,
                          .destination = destination,
                          .pool_slots = destination == StateStorage::kPool ? 120 : 0};
  };
  const auto offsets = [](StateStorage destination) {
    return CheckpointSpec{.kind = CheckpointKind::kOffsets,
                          .max_offsets = 4,
                          .destination = destination,
                          .pool_slots = destination == StateStorage::kPool ? 30 : 0};
  };
  all.push_back(checkpoint_case("checkpoint-every-16", every(16, StateStorage::kDense)));
  all.push_back(checkpoint_case("checkpoint-every-7", every(7, StateStorage::kDense)));
  all.push_back(checkpoint_case("checkpoint-every-1", every(1, StateStorage::kDense)));
  all.push_back(checkpoint_case("checkpoint-every-5-pool", every(5, StateStorage::kPool)));
  // Unordered, repeated, none, first, last.
  const std::vector<std::int64_t> list = {40, 3, 16, 17, 0, -1, 0, 0, 1, 16, 1, -5, 35, 34, 32, 0};
  all.push_back(checkpoint_case("checkpoint-offsets", offsets(StateStorage::kDense)));
  all.back().checkpoint_offsets = list;
  all.push_back(checkpoint_case("checkpoint-offsets-pool-bf16", offsets(StateStorage::kPool)));
  all.back().checkpoint_offsets = list;
  all.back().problem.state.dtype = DType::kBF16;
  all.back().problem.state.layout = StateLayout::kKV;
  all.back().memory.index_dtype = DType::kI64;
  all.back().memory.strided_states = true;

  Case fixed = base_case("checkpoint-every-10-batch", 33);
  fixed.problem.batch = 2;
  fixed.problem.checkpoints = every(10, StateStorage::kDense);
  all.push_back(fixed);
  Case pool = packed_case("checkpoint-with-state-pool", {40, 0, 16, 35});
  pool.problem.state.storage = StateStorage::kPool;
  pool.problem.state.pool_slots = 6;
  pool.problem.checkpoints = every(16, StateStorage::kPool);
  pool.memory.initial = InitialState::kMasked;
  all.push_back(pool);
}

}  // namespace flash_kda::verification
