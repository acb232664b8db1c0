// How well a model predicts a document, and what a precision of the library costs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "apps/lm/session.hpp"

namespace flash_kda::lm {

// An evaluation keeps its logits, 1 KiB a byte, so that two can be compared.
inline constexpr std::size_t kMaxEvaluatedBytes = 1 << 20;

struct Evaluation {
  double bits_per_byte = 0;
  Matrix logits;  // [bytes, 256]; row i predicts byte i
  Timing timing;
};

// Every byte of the document is predicted from those before it. `on_read` may be empty; it is
// called after each chunk with its tokens.
Result<Evaluation> evaluate(const std::shared_ptr<const Weights>& weights,
                            const SessionOptions& options, std::string_view document,
                            const std::function<void(std::int64_t)>& on_read = {});

// One line of the table of `flash-kda evaluate`.
struct Variant {
  std::string name;
  SessionOptions options;
  double output_error = 0;  // of the KDA output, relative, in the root mean square
};

// fp64 reference first, which all others are compared with; then the CPU in fp32 and bf16, then
// both with the state stored as bf16 between chunks of 512 and of 64 tokens.
std::vector<Variant> standard_variants(int threads);

// How far bits per byte may lie from the reference's. An error of relative size e in the output of
// every layer adds up, incoherently over L layers, to an error of d = e * sqrt(L) * rms(logits) in
// a logit. In the loss of one byte its first order is sum_j (p_j - [j is the byte]) d_j: zero in
// the mean, at most sqrt(2) d in the root mean square, so 3 sqrt(2) d / sqrt(bytes) in the mean
// over a document (three sigma). Its second order is half the variance of d under p, at most
// d^2 / 2.
double allowed_difference(const Variant& variant, const ModelConfig& config,
                          const Evaluation& reference);

// Largest difference of two variants' logits, after the mean of each row is taken off: a constant
// added to a row changes no probability.
double max_logit_difference(const Matrix& a, const Matrix& b);

}  // namespace flash_kda::lm
