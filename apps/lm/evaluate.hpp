// How well a model predicts a document, and what a precision of the library costs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "apps/lm/session.hpp"

namespace flash_kda::lm {

struct Evaluation {
  double bits_per_byte = 0;
  Matrix logits;  // [bytes, 256]; row i predicts byte i
  Timing timing;
};

// Every byte of the document is predicted from those before it.
Result<Evaluation> evaluate(const std::shared_ptr<const Weights>& weights,
                            const SessionOptions& options, std::string_view document);

// One line of the table of `flash-kda evaluate`.
struct Variant {
  std::string name;
  SessionOptions options;
};

// fp64 reference first, which all others are compared with; then the CPU in fp32 and bf16, then
// both with the state stored as bf16 between chunks of 512 and of 64 tokens.
std::vector<Variant> standard_variants(int threads);

// Largest difference of two variants' logits, after the mean of each row is taken off: a constant
// added to a row changes no probability.
double max_logit_difference(const Matrix& a, const Matrix& b);

}  // namespace flash_kda::lm
