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

// Every byte of the document is predicted from those before it. `on_read` may be empty; it is
// called after each chunk with its tokens.
Result<Evaluation> evaluate(const std::shared_ptr<const Weights>& weights,
                            const SessionOptions& options, std::string_view document,
                            const std::function<void(std::int64_t)>& on_read = {});

// One line of the table of `flash-kda evaluate`.
struct Variant {
  std::string name;
  SessionOptions options;
  double max_difference = 0;  // of bits per byte from the first variant's
};

// How far bits per byte may differ from the fp64 reference. An error of relative size e in the
// output of each of 4 layers moves logits of size ~10 by d ~ 10 * e * sqrt(4). Its first order in
// the loss has mean 0 over bytes and vanishes as d / sqrt(bytes); its second order is at most
// d^2 / 2 nats. Error of fp32: 1e-6 of the operation plus 2^-24 * sqrt(384) = 1.2e-6 of the
// projections' sums in another order. Of bf16: 4e-3. Of a state rounded to bf16: 2^-9 = 2e-3.
// Over 8000 bytes that is 5e-7 + 1e-9, and 9e-4 + 3.2e-3 nats; the bounds leave a factor of 2.
inline constexpr double kMaxDifferenceF32 = 1e-5;
inline constexpr double kMaxDifferenceBF16 = 1e-2;

// fp64 reference first, which all others are compared with; then the CPU in fp32 and bf16, then
// both with the state stored as bf16 between chunks of 512 and of 64 tokens.
std::vector<Variant> standard_variants(int threads);

// Largest difference of two variants' logits, after the mean of each row is taken off: a constant
// added to a row changes no probability.
double max_logit_difference(const Matrix& a, const Matrix& b);

}  // namespace flash_kda::lm
