#include "apps/lm/session.hpp"

#include <algorithm>

#include "apps/common/timing.hpp"

namespace flash_kda::lm {
namespace {

Matrix mlp(const LayerWeights& weights, const Matrix& x) {
  const Matrix normed = rms_norm(x, weights.mlp_norm);
  const Matrix hidden = swiglu(linear(normed, weights.mlp_gate), linear(normed, weights.mlp_up));
  return linear(hidden, weights.mlp_down);
}

}  // namespace

Session::Session(std::shared_ptr<const Weights> weights, const SessionOptions& options)
    : weights_(std::move(weights)),
      options_(options),
      kda_(weights_->config, options.plan, options.state_dtype) {
  const ModelConfig& config = weights_->config;
  const std::int64_t tail = config.conv_width - 1;
  for (std::int64_t layer = 0; layer < config.n_layers; ++layer) {
    states_.push_back({.q_tail = Matrix::Zero(tail, config.width_qk()),
                       .k_tail = Matrix::Zero(tail, config.width_qk()),
                       .v_tail = Matrix::Zero(tail, config.width_v()),
                       .kda = kda_.zero_state()});
  }
}

Status Session::read(std::span<const std::uint8_t> tokens, const LogitsVisitor& visit) {
  const auto chunk = static_cast<std::size_t>(std::max<std::int64_t>(1, options_.chunk_tokens));
  Matrix logits;
  for (std::size_t first = 0; first < tokens.size(); first += chunk) {
    const auto part = tokens.subspan(first, std::min(chunk, tokens.size() - first));
    if (Status status = forward(part, logits); !status.ok()) return status;
    visit(static_cast<std::int64_t>(first), logits);
  }
  return {};
}

Status Session::forward(std::span<const std::uint8_t> tokens, Matrix& logits) {
  const apps::Stopwatch stopwatch;
  Matrix x = embed(tokens);
  for (std::size_t layer = 0; layer < weights_->layers.size(); ++layer) {
    if (Status status = attention(layer, x); !status.ok()) return status;
    x += mlp(weights_->layers[layer], x);
  }
  logits = linear(rms_norm(x, weights_->final_norm), weights_->lm_head);
  timing_.seconds += stopwatch.seconds();
  timing_.tokens += static_cast<std::int64_t>(tokens.size());
  return {};
}

Matrix Session::embed(std::span<const std::uint8_t> tokens) const {
  Matrix x(tokens.size(), weights_->config.d_model);
  for (std::size_t row = 0; row < tokens.size(); ++row) {
    x.row(static_cast<Eigen::Index>(row)) = weights_->embedding.row(tokens[row]);
  }
  return x;
}

KdaInputs Session::kda_inputs(const LayerWeights& weights, const Matrix& normed,
                              LayerState& state) const {
  KdaInputs inputs;
  inputs.q = linear(normed, weights.q_proj);
  inputs.k = linear(normed, weights.k_proj);
  inputs.v = linear(normed, weights.v_proj);
  short_conv_silu(weights.q_conv, state.q_tail, inputs.q);
  short_conv_silu(weights.k_conv, state.k_tail, inputs.k);
  short_conv_silu(weights.v_conv, state.v_tail, inputs.v);
  inputs.g_raw = linear(linear(normed, weights.gate_down), weights.gate_up);
  inputs.beta_logits = linear(normed, weights.beta_proj);
  return inputs;
}

Status Session::attention(std::size_t layer, Matrix& x) {
  const LayerWeights& weights = weights_->layers[layer];
  const Matrix normed = rms_norm(x, weights.attn_norm);
  const KdaInputs inputs = kda_inputs(weights, normed, states_[layer]);
  if (observer_) observer_(static_cast<std::int64_t>(layer), inputs);

  Matrix out;
  const apps::Stopwatch stopwatch;
  if (Status status = kda_.run(weights, inputs, states_[layer].kda, out); !status.ok()) {
    return status;
  }
  timing_.kda_seconds += stopwatch.seconds();
  const Matrix gate = linear(linear(normed, weights.out_gate_down), weights.out_gate_up);
  x += linear(gated_head_norm(out, gate, weights.out_norm), weights.o_proj);
  return {};
}

}  // namespace flash_kda::lm
