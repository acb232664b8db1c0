// Shapes: published models, sequence lengths.
#include "verification/case_lists.hpp"

namespace flash_kda::verification {
namespace {

// bf16 in and out, fp32 state carried in and out, as the models are served.
Case model_case(std::string name, std::int64_t tokens, std::int64_t heads, GateKind gate) {
  Case c = base_case(std::move(name), tokens);
  c.problem.qk_heads = heads;
  c.problem.v_heads = heads;
  c.problem.gate.kind = gate;
  c.problem.out_dtype = DType::kBF16;
  c.memory.initial = InitialState::kGiven;
  return c;
}

}  // namespace

void add_model_cases(std::vector<Case>& all) {
  all.push_back(model_case("kimi-linear", 160, 32, GateKind::kSoftplus));
  all.push_back(model_case("k3-rank-of-8", 512, 12, GateKind::kLowerBound));
  all.push_back(model_case("glm-rank-of-4", 384, 16, GateKind::kLowerBound));
  Case decode = model_case("decode-32-heads", 1, 32, GateKind::kSoftplus);
  decode.problem.batch = 3;
  all.push_back(decode);
  Case batch = model_case("batch-of-3", 75, 4, GateKind::kLowerBound);
  batch.problem.batch = 3;
  all.push_back(batch);
  all.push_back(model_case("long", 2048, 1, GateKind::kLowerBound));
}

void add_length_cases(std::vector<Case>& all) {
  // Around one, two, four and eight chunks of 16, the smallest chunk in use.
  for (const std::int64_t tokens : {0, 1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129}) {
    Case c = base_case("tokens-" + std::to_string(tokens), tokens);
    c.memory.initial = InitialState::kGiven;
    all.push_back(c);
  }
  Case no_batch = base_case("batch-0", 16);
  no_batch.problem.batch = 0;
  all.push_back(no_batch);

  struct Packed {
    const char* name;
    std::vector<std::int64_t> lengths;
  };
  const std::vector<Packed> packed = {{"packed-empty-first", {0, 40, 17}},
                                      {"packed-empty-middle", {33, 0, 0, 20}},
                                      {"packed-empty-last", {16, 47, 0}},
                                      {"packed-all-empty", {0, 0, 0}},
                                      {"packed-one", {50}},
                                      {"packed-unequal", {1, 130, 15, 16, 17, 64, 3, 31}},
                                      {"packed-ones", std::vector<std::int64_t>(60, 1)}};
  for (const Packed& p : packed) {
    Case c = packed_case(p.name, p.lengths);
    c.memory.initial = InitialState::kGiven;
    all.push_back(c);
  }

  Case slack = packed_case("packed-upper-bound", {20, 0, 33});
  slack.problem.tokens = 100;  // cu_seqlens ends at 53
  slack.memory.index_dtype = DType::kI64;
  all.push_back(slack);

  Case grouped = packed_case("packed-grouped-heads", {19, 0, 45});
  grouped.problem.v_heads = 6;
  grouped.memory.initial = InitialState::kGiven;
  all.push_back(grouped);
}

}  // namespace flash_kda::verification
