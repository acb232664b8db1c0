// Reads a prompt and writes on.
#pragma once

#include <functional>
#include <random>
#include <string>
#include <string_view>

#include "apps/lm/session.hpp"

namespace flash_kda::lm {

struct SamplingOptions {
  float temperature = 0;   // 0: always the likeliest byte
  std::int64_t top_k = 0;  // 0: all 256
  std::uint64_t seed = 1;
};

// Draws bytes from logits; the same seed gives the same bytes with every standard library.
class Sampler {
 public:
  explicit Sampler(const SamplingOptions& options) : options_(options), engine_(options.seed) {}
  std::uint8_t draw(std::span<const float> logits);

 private:
  SamplingOptions options_;
  std::mt19937_64 engine_;
};

struct Generation {
  std::string text;  // what was written, without the prompt
  Timing prompt, decode;
};

struct GenerateOptions {
  std::int64_t tokens = 256;
  SamplingOptions sampling;
  std::function<void(std::int64_t)> on_read;  // after each chunk of the prompt: its tokens
  std::function<void(std::uint8_t)> on_byte;  // as they come
};

// The prompt stands at the start of a document; the callbacks may be empty. Bytes that are no UTF-8
// are kept as they are.
Result<Generation> generate(Session& session, std::string_view prompt,
                            const GenerateOptions& options);

// Byte 0, then the text: what the model reads for a document.
std::vector<std::uint8_t> document_tokens(std::string_view text);

}  // namespace flash_kda::lm
