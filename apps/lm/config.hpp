// Sizes and gate of a model, as written in the metadata of its file (models/README.md).
#pragma once

#include <cstdint>

#include "apps/common/safetensors.hpp"
#include "flash_kda/problem.hpp"
#include "flash_kda/status.hpp"

namespace flash_kda::lm {

inline constexpr std::int64_t kVocabulary = 256;
// Stands before the first byte of every document.
inline constexpr std::uint8_t kDocumentStart = 0;

struct ModelConfig {
  GateSpec gate;
  std::int64_t n_heads_qk = 0;  // H
  std::int64_t n_heads_v = 0;   // HV
  std::int64_t head_dim = 0;    // K = V
  std::int64_t d_model = 0;
  std::int64_t n_layers = 0;
  std::int64_t d_mlp = 0;
  std::int64_t gate_rank = 0;
  std::int64_t conv_width = 0;

  std::int64_t width_qk() const { return n_heads_qk * head_dim; }
  std::int64_t width_v() const { return n_heads_v * head_dim; }
};

// Checks format, version and every field; the message names the one that is wrong.
Result<ModelConfig> parse_config(const apps::Metadata& metadata);

}  // namespace flash_kda::lm
