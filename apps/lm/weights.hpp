// The weights of a model, read from safetensors and widened to fp32.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "apps/lm/config.hpp"
#include "apps/lm/layers.hpp"

namespace flash_kda::lm {

struct LayerWeights {
  RowVector attn_norm;
  Matrix q_proj, k_proj, v_proj;
  Matrix q_conv, k_conv, v_conv;
  Matrix beta_proj;
  Matrix gate_down, gate_up;
  RowVector A_log, dt_bias;
  Matrix out_gate_down, out_gate_up;
  RowVector out_norm;
  Matrix o_proj;
  RowVector mlp_norm;
  Matrix mlp_gate, mlp_up, mlp_down;
};

struct Weights {
  ModelConfig config;
  Matrix embedding;  // [256, d_model]
  std::vector<LayerWeights> layers;
  RowVector final_norm;
  Matrix lm_head;  // [256, d_model]
};

// Refuses a file that is no model: missing, unknown or misshapen tensors, wrong dtypes, values that
// are not finite. The message names file and tensor.
Result<std::shared_ptr<const Weights>> load_weights(const std::string& path);

}  // namespace flash_kda::lm
