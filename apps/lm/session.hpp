// A document in progress: the model, what it has read so far, and how long that took.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "apps/lm/kda_call.hpp"

namespace flash_kda::lm {

struct SessionOptions {
  PlanOptions plan;
  DType state_dtype = DType::kF32;  // of the state between two calls of the library
  std::int64_t chunk_tokens = 512;  // tokens of one call while reading a prompt
};

struct Timing {
  std::int64_t tokens = 0;
  double seconds = 0;      // of the whole model
  double kda_seconds = 0;  // of these, inside the library
};

class Session {
 public:
  // Called with the inputs of each layer's KDA, before it runs.
  using Observer = std::function<void(std::int64_t layer, const KdaInputs& inputs)>;
  // Called after each chunk: logits [tokens, 256] of the positions from `first` on.
  using LogitsVisitor = std::function<void(std::int64_t first, const Matrix& logits)>;

  Session(std::shared_ptr<const Weights> weights, const SessionOptions& options);

  // Reads tokens in chunks of chunk_tokens, the state carried from one to the next.
  Status read(std::span<const std::uint8_t> tokens, const LogitsVisitor& visit);
  // Reads tokens in one call of the library per layer; one token is a decode step.
  Status forward(std::span<const std::uint8_t> tokens, Matrix& logits);

  void observe(Observer observer) { observer_ = std::move(observer); }
  const Timing& timing() const { return timing_; }
  void reset_timing() { timing_ = {}; }
  const SessionOptions& options() const { return options_; }
  // What the library's plan chose for calls of this many tokens.
  Result<Config> plan_config(std::int64_t tokens) { return kda_.plan_config(tokens); }

 private:
  struct LayerState {
    Matrix q_tail, k_tail, v_tail;  // last conv_width - 1 inputs of the convolutions
    StateBuffer kda;
  };

  Matrix embed(std::span<const std::uint8_t> tokens) const;
  KdaInputs kda_inputs(const LayerWeights& weights, const Matrix& normed, LayerState& state) const;
  Status attention(std::size_t layer, Matrix& x);

  std::shared_ptr<const Weights> weights_;
  SessionOptions options_;
  KdaCaller kda_;
  std::vector<LayerState> states_;
  Observer observer_;
  Timing timing_;
};

}  // namespace flash_kda::lm
