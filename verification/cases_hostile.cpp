// The ends of every range: gates, betas, keys.
#include "verification/case_lists.hpp"

namespace flash_kda::verification {
namespace {

struct NamedGate {
  const char* name;
  GateInput input;
};
constexpr NamedGate kGates[] = {{"slow", GateInput::kSlow},
                                {"open", GateInput::kOpen},
                                {"closed", GateInput::kClosed},
                                {"steep", GateInput::kSteep},
                                {"alternating", GateInput::kAlternating}};

Case hostile_case(std::string name, std::int64_t tokens = 150) {
  Case c = base_case(std::move(name), tokens);
  c.memory.initial = InitialState::kGiven;
  return c;
}

}  // namespace

void add_hostile_cases(std::vector<Case>& all) {
  for (const GateKind kind : {GateKind::kLowerBound, GateKind::kSoftplus, GateKind::kLog}) {
    for (const NamedGate& gate : kGates) {
      Case c = hostile_case(std::string(to_string(kind)) + "-" + gate.name);
      c.problem.gate.kind = kind;
      c.inputs.gate = gate.input;
      c.inputs.has_gate_parameters = kind != GateKind::kLog;
      all.push_back(c);
    }
  }
  Case zero = hostile_case("beta-0");
  zero.inputs.beta = BetaInput::kZero;
  all.push_back(zero);
  Case one = hostile_case("beta-1");
  one.inputs.beta = BetaInput::kOne;
  all.push_back(one);
  Case two = hostile_case("beta-2-slow");
  two.inputs = {.gate = GateInput::kSlow, .beta = BetaInput::kOne};
  two.problem.beta_range = BetaRange::kDoubled;
  all.push_back(two);

  Case zeros = hostile_case("keys-zero");
  zeros.inputs.keys = KeyInput::kZeros;
  all.push_back(zeros);
  Case correlated = hostile_case("keys-correlated-slow");
  correlated.inputs = {.gate = GateInput::kSlow, .keys = KeyInput::kCorrelated};
  all.push_back(correlated);
  Case identical = hostile_case("keys-identical-open-beta-1");
  identical.inputs = {
      .gate = GateInput::kOpen, .keys = KeyInput::kIdentical, .beta = BetaInput::kOne};
  all.push_back(identical);
  Case flips = hostile_case("keys-identical-open-beta-2");
  flips.inputs = identical.inputs;
  flips.problem.beta_range = BetaRange::kDoubled;
  all.push_back(flips);
  Case memory = hostile_case("slow-1024", 1024);
  memory.problem.qk_heads = memory.problem.v_heads = 1;
  memory.inputs.gate = GateInput::kSlow;
  all.push_back(memory);
}

}  // namespace flash_kda::verification
