// The one place where the model calls the library.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <vector>

#include "apps/lm/weights.hpp"
#include "flash_kda/prefill.hpp"

namespace flash_kda::lm {

// What a layer hands to prefill; rows are tokens, columns [heads, dim].
struct KdaInputs {
  Matrix q, k;         // [T, H * K], after convolution and SiLU, not normalised
  Matrix v;            // [T, HV * V]
  Matrix g_raw;        // [T, HV * K], gate logits without A_log and dt_bias
  Matrix beta_logits;  // [T, HV]
};

// Recurrent state of one layer, [HV, V, K] in the dtype of the call. Zero bytes are a zero state.
using StateBuffer = std::vector<std::byte>;

class KdaCaller {
 public:
  KdaCaller(const ModelConfig& config, const PlanOptions& options, DType state_dtype);

  StateBuffer zero_state() const;
  // out [T, HV * V]; the state is read and written in place.
  Status run(const LayerWeights& weights, const KdaInputs& inputs, StateBuffer& state, Matrix& out);
  // What the plan for this many tokens chose.
  Result<Config> plan_config(std::int64_t tokens);

 private:
  struct AlignedDelete {
    void operator()(std::byte* data) const;
  };

  Result<const Plan*> plan_for(std::int64_t tokens);
  Problem problem_for(std::int64_t tokens) const;
  DType qkv_dtype() const;
  Workspace workspace_of(const Plan& plan);

  ModelConfig config_;
  PlanOptions options_;
  DType state_dtype_;
  std::map<std::int64_t, Plan> plans_;  // by tokens; few: whole chunks, a last one, single tokens
  std::unique_ptr<std::byte, AlignedDelete> workspace_;
  std::size_t workspace_bytes_ = 0;
};

}  // namespace flash_kda::lm
