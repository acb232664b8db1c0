// The numbers of a case: what one element of each tensor is, by its logical index.
#pragma once

#include <cstdint>

#include "verification/cases.hpp"

namespace flash_kda::verification {

enum class Stream : std::uint64_t { kQ, kK, kV, kG, kBeta, kALog, kDtBias, kState, kCommonKey };

// Logical element [b, t, h, c] of a token-wise tensor.
struct TokenIndex {
  std::int64_t b = 0, t = 0, h = 0, c = 0;
};

class Draw {
 public:
  Draw(const Case& c, std::uint64_t seed) : case_(c), seed_(seed) {}

  double q(TokenIndex i) const;
  double k(TokenIndex i) const;
  double v(TokenIndex i) const;
  double g(TokenIndex i) const;
  double beta(TokenIndex i) const;
  double A_log(std::int64_t v_head) const;
  double dt_bias(std::int64_t index) const;
  double state(std::int64_t index) const;

 private:
  double normal_at(Stream stream, TokenIndex i) const;
  double uniform_at(Stream stream, TokenIndex i) const;
  double key_scale() const;
  double gate_logit(TokenIndex i) const;
  double gate_nats(TokenIndex i) const;

  const Case& case_;
  std::uint64_t seed_;
};

}  // namespace flash_kda::verification
