#include "apps/lm/capture.hpp"

#include <bit>
#include <cmath>
#include <sstream>

#include "apps/common/safetensors.hpp"
#include "apps/lm/generate.hpp"

namespace flash_kda::lm {
namespace {

// Round to nearest, ties to even. Activations are finite, so NaN needs no care.
std::uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// One tensor [1, T, heads, dim] (or [1, T, heads] when dim is 0) that grows chunk by chunk.
struct Column {
  std::string name;
  std::int64_t heads = 0;
  std::int64_t dim = 0;
  std::vector<std::uint16_t> values;

  void append(const Matrix& rows) {
    for (const float value : rows.reshaped<Eigen::RowMajor>()) values.push_back(to_bf16(value));
  }

  apps::NamedTensor tensor(std::int64_t tokens) {
    TensorView view = TensorView::contiguous(values.data(), DType::kBF16, {1, tokens, heads, dim});
    if (dim == 0) {
      view = TensorView::contiguous(values.data(), DType::kBF16, {1, tokens, heads});
    }
    return {name, view};
  }
};

apps::Metadata metadata_of(const GateSpec& gate) {
  apps::Metadata metadata{{"gate", to_string(gate.kind)}};
  if (gate.kind == GateKind::kLowerBound) {
    std::ostringstream text;
    text << gate.lower_bound;
    metadata["lower_bound"] = text.str();
  }
  return metadata;
}

}  // namespace

Status capture(const std::shared_ptr<const Weights>& weights, const SessionOptions& options,
               std::string_view document, std::int64_t layer, apps::AtomicFile& file) {
  const ModelConfig& config = weights->config;
  if (layer < 0 || layer >= config.n_layers) {
    return Status::invalid_argument("layer: expected 0.." + std::to_string(config.n_layers - 1) +
                                    ", got " + std::to_string(layer));
  }
  Column q{"q", config.n_heads_qk, config.head_dim, {}}, k{"k", q.heads, q.dim, {}};
  Column v{"v", config.n_heads_v, config.head_dim, {}}, g{"g", v.heads, v.dim, {}};
  Column beta{"beta", config.n_heads_v, 0, {}};

  Session session(weights, options);
  session.observe([&](std::int64_t at, const KdaInputs& inputs) {
    if (at != layer) return;
    q.append(inputs.q);
    k.append(inputs.k);
    v.append(inputs.v);
    g.append(inputs.g_raw);
    beta.append(inputs.beta_logits);
  });
  const std::vector<std::uint8_t> tokens = document_tokens(document);
  if (Status status = session.read(tokens, [](std::int64_t, const Matrix&) {}); !status.ok()) {
    return status;
  }

  const auto count = static_cast<std::int64_t>(tokens.size());
  LayerWeights layer_weights = weights->layers[static_cast<std::size_t>(layer)];
  const auto parameter = [](RowVector& values) {
    return TensorView::contiguous(values.data(), DType::kF32, {values.size()});
  };
  const apps::NamedTensor tensors[] = {
      q.tensor(count),
      k.tensor(count),
      v.tensor(count),
      g.tensor(count),
      beta.tensor(count),
      {"A_log", parameter(layer_weights.A_log)},
      {"dt_bias", parameter(layer_weights.dt_bias)},
  };
  return apps::write_safetensors(file, tensors, metadata_of(config.gate));
}

}  // namespace flash_kda::lm
