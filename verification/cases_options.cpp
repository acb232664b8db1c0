// Options: dtypes, head dims, gates, norms, forms of beta.
#include "verification/case_lists.hpp"

namespace flash_kda::verification {
namespace {

void add_dtype_cases(std::vector<Case>& all) {
  for (const DType dtype : {DType::kBF16, DType::kF16, DType::kF32}) {
    Case c = base_case(std::string("qkv-") + to_string(dtype), 70);
    c.problem.qkv_dtype = dtype;
    c.problem.out_dtype = dtype;
    c.problem.gate_dtype = dtype == DType::kF32 ? DType::kF32 : DType::kBF16;
    c.problem.beta_dtype = dtype == DType::kF32 ? DType::kF32 : DType::kBF16;
    all.push_back(c);
  }
  Case mixed = base_case("qkv-bf16-gate-f32-out-f16", 70);
  mixed.problem.gate_dtype = DType::kF32;
  mixed.problem.out_dtype = DType::kF16;
  all.push_back(mixed);
  Case beta = base_case("qkv-f16-beta-f32-out-f32", 70);
  beta.problem.qkv_dtype = DType::kF16;
  beta.problem.beta_dtype = DType::kF32;
  all.push_back(beta);
}

void add_head_dim_cases(std::vector<Case>& all) {
  struct Dims {
    std::int64_t k, v;
  };
  for (const Dims d : {Dims{64, 64}, Dims{64, 128}, Dims{128, 64}, Dims{256, 256}, Dims{128, 256},
                       Dims{256, 64}}) {
    Case c = base_case("head-dim-" + std::to_string(d.k) + "x" + std::to_string(d.v), 50);
    c.problem.head_dim_k = d.k;
    c.problem.head_dim_v = d.v;
    c.memory.initial = InitialState::kGiven;
    all.push_back(c);
  }
  Case grouped = base_case("grouped-heads-2-of-8", 50);
  grouped.problem.v_heads = 8;
  all.push_back(grouped);
  Case one = base_case("grouped-heads-1-of-3", 50);
  one.problem.qk_heads = 1;
  one.problem.v_heads = 3;
  all.push_back(one);
}

void add_gate_cases(std::vector<Case>& all) {
  for (const GateKind kind : {GateKind::kLowerBound, GateKind::kSoftplus, GateKind::kLog}) {
    Case c = base_case(std::string("gate-") + to_string(kind), 100);
    c.problem.gate.kind = kind;
    c.inputs.has_gate_parameters = kind != GateKind::kLog;
    all.push_back(c);
    if (kind == GateKind::kLog) continue;
    c.name += "-without-parameters";
    c.inputs.has_gate_parameters = false;
    all.push_back(c);
  }
  Case shallow = base_case("gate-lower-bound-of-0.1", 100);
  shallow.problem.gate.lower_bound = -0.1f;
  all.push_back(shallow);
  Case deep = base_case("gate-lower-bound-of-40", 100);
  deep.problem.gate.lower_bound = -40.0f;
  all.push_back(deep);
}

void add_norm_and_beta_cases(std::vector<Case>& all) {
  Case bare = base_case("norm-none", 80);
  bare.problem.qk_norm = QkNorm::kNone;
  all.push_back(bare);
  for (const BetaForm form : {BetaForm::kLogits, BetaForm::kActivated}) {
    for (const BetaRange range : {BetaRange::kUnit, BetaRange::kDoubled}) {
      Case c = base_case(std::string("beta-") + to_string(form) + "-" + to_string(range), 80);
      c.problem.beta_form = form;
      c.problem.beta_range = range;
      all.push_back(c);
    }
  }
  Case scaled = base_case("scale-2.5", 40);
  scaled.problem.scale = 2.5f;
  all.push_back(scaled);
  Case negative = base_case("scale-negative", 40);
  negative.problem.scale = -0.25f;
  all.push_back(negative);
}

}  // namespace

void add_type_cases(std::vector<Case>& all) {
  add_dtype_cases(all);
  add_head_dim_cases(all);
  add_gate_cases(all);
  add_norm_and_beta_cases(all);
}

}  // namespace flash_kda::verification
