#include "apps/lm/layers.hpp"

namespace flash_kda::lm {
namespace {

constexpr float kNormEpsilon = 1e-5f;

auto sigmoid(const Matrix& x) { return (1.0f + (-x.array()).exp()).inverse(); }

}  // namespace

Matrix rms_norm(const Matrix& x, const RowVector& weight) {
  const auto mean_square = x.array().square().rowwise().mean();
  const Eigen::ArrayXf reciprocal = (mean_square + kNormEpsilon).rsqrt();
  return (x.array().colwise() * reciprocal).rowwise() * weight.array();
}

Matrix linear(const Matrix& x, const Matrix& weight) {
  Matrix y(x.rows(), weight.rows());
  y.noalias() = x * weight.transpose();
  return y;
}

void short_conv_silu(const Matrix& weight, Matrix& tail, Matrix& x) {
  const Eigen::Index width = weight.cols();
  const Eigen::Index tokens = x.rows();
  Matrix padded(tail.rows() + tokens, x.cols());
  padded << tail, x;
  tail = padded.bottomRows(tail.rows());
  x.setZero();
  for (Eigen::Index i = 0; i < width; ++i) {
    const RowVector tap = weight.col(i).transpose();
    x.array() += padded.middleRows(i, tokens).array().rowwise() * tap.array();
  }
  x = x.array() * sigmoid(x);
}

Matrix gated_head_norm(const Matrix& x, const Matrix& gate, const RowVector& weight) {
  Matrix y(x.rows(), x.cols());
  const Eigen::Index head_dim = weight.size();
  for (Eigen::Index first = 0; first < x.cols(); first += head_dim) {
    y.middleCols(first, head_dim) = rms_norm(x.middleCols(first, head_dim), weight);
  }
  return y.array() * sigmoid(gate);
}

Matrix swiglu(const Matrix& gate, const Matrix& up) {
  return gate.array() * sigmoid(gate) * up.array();
}

}  // namespace flash_kda::lm
