#include "verification/cases.hpp"

#include <algorithm>
#include <numeric>

#include "verification/case_lists.hpp"

namespace flash_kda::verification {

Distribution distribution(const Case& c) {
  const InputSpec& in = c.inputs;
  const bool doubled = c.problem.beta_range == BetaRange::kDoubled;
  if (doubled && in.keys == KeyInput::kIdentical && in.gate == GateInput::kOpen) {
    return Distribution::kUndamped;
  }
  const bool steep = in.gate == GateInput::kSteep || in.gate == GateInput::kAlternating;
  if (doubled || steep || in.keys == KeyInput::kIdentical || in.keys == KeyInput::kCorrelated) {
    return Distribution::kHostile;
  }
  const bool forgets = in.gate == GateInput::kPublished || in.gate == GateInput::kClosed;
  return forgets ? Distribution::kPublished : Distribution::kLongMemory;
}

const char* to_string(Distribution distribution) {
  switch (distribution) {
    case Distribution::kPublished:
      return "published";
    case Distribution::kLongMemory:
      return "long memory";
    case Distribution::kHostile:
      return "hostile";
    case Distribution::kUndamped:
      return "undamped";
  }
  return "unknown";
}

std::span<const Case> cases() {
  static const std::vector<Case> table = [] {
    std::vector<Case> all;
    add_model_cases(all);
    add_length_cases(all);
    add_type_cases(all);
    add_memory_cases(all);
    add_state_cases(all);
    add_checkpoint_cases(all);
    add_hostile_cases(all);
    return all;
  }();
  return table;
}

const Case* find_case(const std::string& name) {
  const auto found =
      std::find_if(cases().begin(), cases().end(), [&](const Case& c) { return c.name == name; });
  return found == cases().end() ? nullptr : &*found;
}

Case base_case(std::string name, std::int64_t tokens) {
  Case c;
  c.name = std::move(name);
  c.problem.tokens = tokens;
  c.problem.qk_heads = 2;
  c.problem.v_heads = 2;
  c.problem.head_dim_k = 128;
  c.problem.head_dim_v = 128;
  // What a test can see best: the backend's own error, not the rounding of its result.
  c.problem.out_dtype = DType::kF32;
  return c;
}

Case packed_case(std::string name, std::vector<std::int64_t> lengths) {
  Case c =
      base_case(std::move(name), std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0}));
  c.problem.num_sequences = static_cast<std::int64_t>(lengths.size());
  c.lengths = std::move(lengths);
  return c;
}

}  // namespace flash_kda::verification
