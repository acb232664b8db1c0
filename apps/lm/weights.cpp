#include "apps/lm/weights.hpp"

#include <bit>
#include <cstring>
#include <set>

#include "apps/common/safetensors.hpp"

namespace flash_kda::lm {
namespace {

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (const std::int64_t size : shape)
    text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

void widen(const TensorView& view, float* values) {
  const auto count = static_cast<std::size_t>(view.num_elements());
  if (view.dtype == DType::kF32) {
    std::memcpy(values, view.data, count * sizeof(float));
    return;
  }
  const auto* halves = static_cast<const std::uint16_t*>(view.data);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = std::bit_cast<float>(std::uint32_t{halves[i]} << 16);
  }
}

// Hands out tensors by name and keeps the first error, so that loading reads as a list.
class Reader {
 public:
  Reader(const apps::SafetensorsFile& file, const std::string& path) : file_(file), path_(path) {}

  Matrix matrix(const std::string& name, std::int64_t rows, std::int64_t columns) {
    Matrix values;
    const apps::TensorEntry* entry = find(name, {rows, columns});
    if (entry == nullptr) return values;
    values.resize(rows, columns);
    fill(*entry, values.data(), values.size());
    return values;
  }

  RowVector vector(const std::string& name, std::int64_t size) {
    RowVector values;
    const apps::TensorEntry* entry = find(name, {size});
    if (entry == nullptr) return values;
    values.resize(size);
    fill(*entry, values.data(), values.size());
    return values;
  }

  bool ok() const { return status_.ok(); }

  // Call after the last tensor: the first error, or a tensor that nobody asked for.
  Status finish() const {
    if (!status_.ok()) return status_;
    for (const apps::TensorEntry& entry : file_.entries()) {
      if (!asked_.contains(entry.name)) {
        return Status::invalid_argument(path_ + ": tensor " + apps::in_quotes(entry.name) +
                                        ": not part of this model");
      }
    }
    return {};
  }

 private:
  const apps::TensorEntry* find(const std::string& name, const std::vector<std::int64_t>& shape) {
    if (!status_.ok()) return nullptr;
    asked_.insert(name);
    const apps::TensorEntry* entry = file_.find(name);
    if (entry == nullptr) return fail(name, "expected " + shape_text(shape) + ", got nothing");
    if (entry->shape != shape) {
      return fail(name, "expected " + shape_text(shape) + ", got " + shape_text(entry->shape));
    }
    if (entry->dtype != DType::kF32 && entry->dtype != DType::kBF16) {
      return fail(name, std::string("expected f32 or bf16, got ") + to_string(entry->dtype));
    }
    return entry;
  }

  void fill(const apps::TensorEntry& entry, float* values, Eigen::Index count) {
    widen(file_.view(entry), values);
    if (!Eigen::Map<const Eigen::ArrayXf>(values, count).isFinite().all()) {
      fail(entry.name, "expected finite values, got inf or NaN");
    }
  }

  const apps::TensorEntry* fail(const std::string& name, const std::string& what) {
    status_ = Status::invalid_argument(path_ + ": tensor '" + name + "': " + what);
    return nullptr;
  }

  const apps::SafetensorsFile& file_;
  const std::string& path_;
  std::set<std::string> asked_;
  Status status_;
};

LayerWeights read_layer(Reader& reader, const ModelConfig& c, std::int64_t index) {
  const std::string prefix = "layers." + std::to_string(index) + ".";
  const auto matrix = [&](const char* name, std::int64_t rows, std::int64_t columns) {
    return reader.matrix(prefix + name, rows, columns);
  };
  const auto vector = [&](const char* name, std::int64_t size) {
    return reader.vector(prefix + name, size);
  };
  LayerWeights w;
  w.attn_norm = vector("attn_norm.weight", c.d_model);
  w.q_proj = matrix("q_proj.weight", c.width_qk(), c.d_model);
  w.k_proj = matrix("k_proj.weight", c.width_qk(), c.d_model);
  w.v_proj = matrix("v_proj.weight", c.width_v(), c.d_model);
  w.q_conv = matrix("q_conv.weight", c.width_qk(), c.conv_width);
  w.k_conv = matrix("k_conv.weight", c.width_qk(), c.conv_width);
  w.v_conv = matrix("v_conv.weight", c.width_v(), c.conv_width);
  w.beta_proj = matrix("beta_proj.weight", c.n_heads_v, c.d_model);
  w.gate_down = matrix("gate_down.weight", c.gate_rank, c.d_model);
  w.gate_up = matrix("gate_up.weight", c.width_v(), c.gate_rank);
  w.A_log = vector("A_log", c.n_heads_v);
  w.dt_bias = vector("dt_bias", c.width_v());
  w.out_gate_down = matrix("out_gate_down.weight", c.gate_rank, c.d_model);
  w.out_gate_up = matrix("out_gate_up.weight", c.width_v(), c.gate_rank);
  w.out_norm = vector("out_norm.weight", c.head_dim);
  w.o_proj = matrix("o_proj.weight", c.d_model, c.width_v());
  w.mlp_norm = vector("mlp_norm.weight", c.d_model);
  w.mlp_gate = matrix("mlp_gate.weight", c.d_mlp, c.d_model);
  w.mlp_up = matrix("mlp_up.weight", c.d_mlp, c.d_model);
  w.mlp_down = matrix("mlp_down.weight", c.d_model, c.d_mlp);
  return w;
}

}  // namespace

Result<std::shared_ptr<const Weights>> load_weights(const std::string& path) {
  Result<apps::SafetensorsFile> file = apps::SafetensorsFile::open(path);
  if (!file.ok()) return file.status();
  Result<ModelConfig> config = parse_config(file->metadata());
  if (!config.ok()) {
    return Status(config.status().code(), path + ": " + config.status().message());
  }
  auto weights = std::make_shared<Weights>();
  weights->config = *config;
  Reader reader(*file, path);
  weights->embedding = reader.matrix("embedding.weight", kVocabulary, config->d_model);
  for (std::int64_t index = 0; index < config->n_layers && reader.ok(); ++index) {
    weights->layers.push_back(read_layer(reader, *config, index));
  }
  weights->final_norm = reader.vector("final_norm.weight", config->d_model);
  weights->lm_head = reader.matrix("lm_head.weight", kVocabulary, config->d_model);
  if (Status status = reader.finish(); !status.ok()) return status;
  return std::shared_ptr<const Weights>(std::move(weights));
}

}  // namespace flash_kda::lm
