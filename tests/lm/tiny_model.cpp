#include "tests/lm/tiny_model.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <random>

namespace flash_kda::lm {
namespace {

constexpr std::int64_t kModelWidth = 16, kHeadDim = 64, kMlpWidth = 24, kGateRank = 8;

class Builder {
 public:
  explicit Builder(TinyModel& model) : model_(model) {}

  // Uniform in centre +- spread.
  void add(const std::string& name, std::vector<std::int64_t> shape, float centre, float spread) {
    TinyTensor tensor{name, std::move(shape), {}};
    std::int64_t count = 1;
    for (const std::int64_t size : tensor.shape) count *= size;
    for (std::int64_t i = 0; i < count; ++i) {
      const float unit = static_cast<float>(engine_() >> 8) * 0x1p-23f - 1.0f;
      tensor.values.push_back(centre + spread * unit);
    }
    model_.tensors.push_back(std::move(tensor));
  }
  void add_norm(const std::string& name, std::int64_t size) { add(name, {size}, 1.0f, 0.2f); }
  void add_matrix(const std::string& name, std::int64_t rows, std::int64_t columns) {
    add(name, {rows, columns}, 0.0f, 0.5f);
  }

 private:
  TinyModel& model_;
  std::mt19937 engine_{11};
};

void add_layer(Builder& builder, const std::string& prefix) {
  constexpr std::int64_t kQk = kHeadDim, kV = 2 * kHeadDim;
  builder.add_norm(prefix + "attn_norm.weight", kModelWidth);
  builder.add_matrix(prefix + "q_proj.weight", kQk, kModelWidth);
  builder.add_matrix(prefix + "k_proj.weight", kQk, kModelWidth);
  builder.add_matrix(prefix + "v_proj.weight", kV, kModelWidth);
  builder.add_matrix(prefix + "q_conv.weight", kQk, 4);
  builder.add_matrix(prefix + "k_conv.weight", kQk, 4);
  builder.add_matrix(prefix + "v_conv.weight", kV, 4);
  builder.add_matrix(prefix + "beta_proj.weight", 2, kModelWidth);
  builder.add_matrix(prefix + "gate_down.weight", kGateRank, kModelWidth);
  builder.add_matrix(prefix + "gate_up.weight", kV, kGateRank);
  builder.add(prefix + "A_log", {2}, 0.0f, 0.5f);
  builder.add(prefix + "dt_bias", {kV}, -3.0f, 1.0f);
  builder.add_matrix(prefix + "out_gate_down.weight", kGateRank, kModelWidth);
  builder.add_matrix(prefix + "out_gate_up.weight", kV, kGateRank);
  builder.add_norm(prefix + "out_norm.weight", kHeadDim);
  builder.add_matrix(prefix + "o_proj.weight", kModelWidth, kV);
  builder.add_norm(prefix + "mlp_norm.weight", kModelWidth);
  builder.add_matrix(prefix + "mlp_gate.weight", kMlpWidth, kModelWidth);
  builder.add_matrix(prefix + "mlp_up.weight", kMlpWidth, kModelWidth);
  builder.add_matrix(prefix + "mlp_down.weight", kModelWidth, kMlpWidth);
}

// The bytes of a tensor in its dtype; bf16 by truncation, and fp16 as any two bytes.
std::vector<std::uint16_t> upper_halves(const std::vector<float>& values) {
  std::vector<std::uint16_t> halves;
  for (const float value : values) {
    halves.push_back(static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16));
  }
  return halves;
}

TensorView view_of(void* data, const TinyTensor& tensor) {
  TensorView view;
  view.data = data;
  view.dtype = tensor.dtype;
  view.rank = static_cast<int>(tensor.shape.size());
  std::int64_t stride = 1;
  for (int i = view.rank - 1; i >= 0; --i) {
    view.shape[i] = tensor.shape[i];
    view.strides[i] = stride;
    stride *= tensor.shape[i];
  }
  return view;
}

}  // namespace

TinyTensor& TinyModel::tensor(const std::string& name) {
  return *std::find_if(tensors.begin(), tensors.end(),
                       [&](const TinyTensor& tensor) { return tensor.name == name; });
}

void TinyModel::remove(const std::string& name) {
  std::erase_if(tensors, [&](const TinyTensor& tensor) { return tensor.name == name; });
}

std::string TinyModel::save(const std::string& name) const {
  const std::string path = testing::TempDir() + "/flash_kda_lm_" + name + ".safetensors";
  std::vector<std::vector<float>> floats;
  std::vector<std::vector<std::uint16_t>> halves;
  std::vector<apps::NamedTensor> named;
  for (const TinyTensor& tensor : tensors) {
    if (tensor.dtype == DType::kF32) {
      floats.push_back(tensor.values);
      named.push_back({tensor.name, view_of(floats.back().data(), tensor)});
    } else {
      halves.push_back(upper_halves(tensor.values));
      named.push_back({tensor.name, view_of(halves.back().data(), tensor)});
    }
  }
  const Status status = apps::save_safetensors(
      path, named, {{"format", "flash-kda-lm"}, {"format_version", "1"}, {"config", config}});
  EXPECT_TRUE(status.ok()) << status.message();
  return path;
}

TinyModel make_tiny_model(const std::string& gate) {
  TinyModel model;
  model.config = R"({"gate": ")" + gate + R"(", "lower_bound": -5.0, "n_heads_qk": 1,
      "n_heads_v": 2, "head_dim": 64, "d_model": 16, "n_layers": 2, "d_mlp": 24, "gate_rank": 8,
      "conv_width": 4})";
  Builder builder(model);
  builder.add_matrix("embedding.weight", 256, kModelWidth);
  add_layer(builder, "layers.0.");
  add_layer(builder, "layers.1.");
  builder.add_norm("final_norm.weight", kModelWidth);
  builder.add_matrix("lm_head.weight", 256, kModelWidth);
  return model;
}

}  // namespace flash_kda::lm
