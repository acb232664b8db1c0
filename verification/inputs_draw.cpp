#include "verification/inputs_draw.hpp"

#include <algorithm>
#include <cmath>

#include "verification/inputs.hpp"

namespace flash_kda::verification {
namespace {

// splitmix64's finaliser: every bit of the input reaches every bit of the output.
std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

std::uint64_t bits(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  return mix(mix(mix(seed) ^ stream) ^ index);
}

// Injective for the sizes of the table: 2^16 channels, 2^12 heads, 2^24 tokens, 2^12 rows.
std::uint64_t flatten(TokenIndex i) {
  return static_cast<std::uint64_t>((((i.b << 24) + i.t) << 28) + (i.h << 16) + i.c);
}

}  // namespace

double uniform(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  return (static_cast<double>(bits(seed, stream, index) >> 12) + 0.5) * 0x1p-52;
}

double normal(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  std::uint64_t draw = bits(seed, stream, index);
  double sum = 0.0;
  for (int i = 0; i < 4; ++i, draw >>= 16) {
    sum += (static_cast<double>(draw & 0xffff) + 0.5) * 0x1p-16 - 0.5;
  }
  constexpr double kSqrt3 = 1.7320508075688772;  // the sum has variance 4 / 12
  return sum * kSqrt3;
}

double Draw::normal_at(Stream stream, TokenIndex i) const {
  return normal(seed_, static_cast<std::uint64_t>(stream), flatten(i));
}

double Draw::uniform_at(Stream stream, TokenIndex i) const {
  return uniform(seed_, static_cast<std::uint64_t>(stream), flatten(i));
}

// Without the norm in the operation the caller promises |k| <= 1; 0.8 leaves room for a draw that
// is longer than sqrt(K).
double Draw::key_scale() const {
  if (case_.problem.qk_norm == QkNorm::kL2) return 1.0;
  return 0.8 / std::sqrt(static_cast<double>(case_.problem.head_dim_k));
}

double Draw::q(TokenIndex i) const { return key_scale() * normal_at(Stream::kQ, i); }

double Draw::k(TokenIndex i) const {
  const double own = normal_at(Stream::kK, i);
  const double common = normal_at(Stream::kCommonKey, {.h = i.h, .c = i.c});
  switch (case_.inputs.keys) {
    case KeyInput::kGaussian:
      return key_scale() * own;
    case KeyInput::kCorrelated:
      return key_scale() * (0.5 * own + 0.5 * common);
    case KeyInput::kIdentical:
      return key_scale() * common;
    case KeyInput::kZeros:
      break;
  }
  return i.h == 0 || i.t % 3 == 0 ? 0.0 : key_scale() * own;
}

double Draw::v(TokenIndex i) const { return normal_at(Stream::kV, i); }

double Draw::gate_logit(TokenIndex i) const {
  const double x = normal_at(Stream::kG, i);
  switch (case_.inputs.gate) {
    case GateInput::kPublished:
      return x;
    case GateInput::kSlow:
      return x - 4.0;
    case GateInput::kOpen:
      return -1000.0;
    case GateInput::kClosed:
      return case_.problem.gate.kind == GateKind::kSoftplus ? 8.0 : 1000.0;
    case GateInput::kSteep:
      return i.t % 5 == 4 ? 1000.0 : x;
    case GateInput::kAlternating:
      break;
  }
  return uniform_at(Stream::kG, i) < 0.5 ? -1000.0 : 1000.0;
}

double Draw::gate_nats(TokenIndex i) const {
  const double x = normal_at(Stream::kG, i);
  switch (case_.inputs.gate) {
    case GateInput::kPublished:
      return -std::abs(x);
    case GateInput::kSlow:
      return -0.05 * uniform_at(Stream::kG, i);
    case GateInput::kOpen:
      return 0.0;
    case GateInput::kClosed:
      return -5.0;
    case GateInput::kSteep:
      return i.t % 5 == 4 ? -1000.0 : -20.0 * std::abs(x);
    case GateInput::kAlternating:
      break;
  }
  return uniform_at(Stream::kG, i) < 0.5 ? 0.0 : -1000.0;
}

double Draw::g(TokenIndex i) const {
  return case_.problem.gate.kind == GateKind::kLog ? gate_nats(i) : gate_logit(i);
}

double Draw::beta(TokenIndex i) const {
  const bool logits = case_.problem.beta_form == BetaForm::kLogits;
  switch (case_.inputs.beta) {
    case BetaInput::kPublished:
      return logits ? normal_at(Stream::kBeta, i) : uniform_at(Stream::kBeta, i);
    case BetaInput::kZero:
      return logits ? -1000.0 : 0.0;
    case BetaInput::kOne:
      break;
  }
  return logits ? 1000.0 : 1.0;
}

double Draw::A_log(std::int64_t v_head) const {
  const double u =
      uniform(seed_, static_cast<std::uint64_t>(Stream::kALog), static_cast<std::uint64_t>(v_head));
  if (case_.inputs.gate != GateInput::kSteep) return u;
  return std::log(v_head == 0 ? 50.0 : 1.0 + 49.0 * u);
}

double Draw::dt_bias(std::int64_t index) const {
  return uniform(seed_, static_cast<std::uint64_t>(Stream::kDtBias),
                 static_cast<std::uint64_t>(index));
}

double Draw::state(std::int64_t index) const {
  return normal(seed_, static_cast<std::uint64_t>(Stream::kState),
                static_cast<std::uint64_t>(index));
}

}  // namespace flash_kda::verification
