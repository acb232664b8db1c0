#include "apps/lm/config.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

namespace flash_kda::lm {
namespace {

using nlohmann::json;

constexpr const char* kFormat = "flash-kda-lm";
constexpr const char* kFormatVersion = "1";
// Bounds every size, so that no product of two of them overflows.
constexpr std::int64_t kMaxSize = 1 << 20;

Status bad(const std::string& field, const std::string& expected, const std::string& got) {
  return Status::invalid_argument("model config: " + field + ": expected " + expected + ", got " +
                                  got);
}

Status check_entry(const apps::Metadata& metadata, const std::string& key,
                   const std::string& expected) {
  const auto found = metadata.find(key);
  if (found == metadata.end()) return bad(key, expected, "nothing");
  if (found->second != expected) return bad(key, expected, "'" + found->second + "'");
  return {};
}

Status read_size(const json& object, const char* field, std::int64_t& value) {
  const std::string expected = "an integer of 1.." + std::to_string(kMaxSize);
  const auto found = object.find(field);
  if (found == object.end()) return bad(field, expected, "nothing");
  if (!found->is_number_integer()) return bad(field, expected, found->dump());
  // An unsigned number beyond int64 would wrap; as a double it only loses digits.
  const double wide = found->get<double>();
  if (wide < 1 || wide > static_cast<double>(kMaxSize)) return bad(field, expected, found->dump());
  value = found->get<std::int64_t>();
  return {};
}

Status read_gate(const json& object, GateSpec& gate) {
  const std::string kind = object.contains("gate") ? object["gate"].dump() : "nothing";
  if (kind == "\"softplus\"") {
    gate.kind = GateKind::kSoftplus;
    return {};
  }
  if (kind != "\"lower_bound\"") return bad("gate", "lower_bound or softplus", kind);
  gate.kind = GateKind::kLowerBound;
  const json bound = object.value("lower_bound", json());
  const double value = bound.is_number() ? bound.get<double>() : 0;
  if (!(value < 0) || !std::isfinite(static_cast<float>(value))) {
    return bad("lower_bound", "a number below 0", bound.dump());
  }
  gate.lower_bound = static_cast<float>(value);
  return {};
}

Status check_heads(const ModelConfig& config) {
  if (config.n_heads_v % config.n_heads_qk == 0) return {};
  return bad("n_heads_v", "a multiple of n_heads_qk = " + std::to_string(config.n_heads_qk),
             std::to_string(config.n_heads_v));
}

}  // namespace

Result<ModelConfig> parse_config(const apps::Metadata& metadata) {
  if (Status status = check_entry(metadata, "format", kFormat); !status.ok()) return status;
  if (Status status = check_entry(metadata, "format_version", kFormatVersion); !status.ok()) {
    return status;
  }
  const auto text = metadata.find("config");
  if (text == metadata.end()) return bad("config", "a JSON object", "nothing");
  const json object = json::parse(text->second, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return bad("config", "a JSON object", "'" + text->second + "'");

  ModelConfig config;
  struct Field {
    const char* name;
    std::int64_t& value;
  };
  const Field fields[] = {
      {"n_heads_qk", config.n_heads_qk}, {"n_heads_v", config.n_heads_v},
      {"head_dim", config.head_dim},     {"d_model", config.d_model},
      {"n_layers", config.n_layers},     {"d_mlp", config.d_mlp},
      {"gate_rank", config.gate_rank},   {"conv_width", config.conv_width},
  };
  for (const Field& field : fields) {
    if (Status status = read_size(object, field.name, field.value); !status.ok()) return status;
  }
  if (Status status = read_gate(object, config.gate); !status.ok()) return status;
  if (Status status = check_heads(config); !status.ok()) return status;
  return config;
}

}  // namespace flash_kda::lm
