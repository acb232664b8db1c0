// The parts of a block around KDA: norms, projections, short convolution, MLP activation.
// Rows are tokens. Everything is fp32; the projections go through Eigen.
#pragma once

#include <Eigen/Core>

namespace flash_kda::lm {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using RowVector = Eigen::RowVectorXf;

// x * weight / sqrt(mean(x^2) + 1e-5), each row by itself.
Matrix rms_norm(const Matrix& x, const RowVector& weight);

// x weight^T, with weight [outputs, inputs].
Matrix linear(const Matrix& x, const Matrix& weight);

// x <- silu(y), y_t = sum_i weight[:, i] x_{t - (width - 1) + i} per channel. `tail` holds the
// width - 1 inputs before x (zeros at the start of a document) and is moved on past x.
void short_conv_silu(const Matrix& weight, Matrix& tail, Matrix& x);

// Per head of weight.size() channels: rms_norm(x) * sigmoid(gate).
Matrix gated_head_norm(const Matrix& x, const Matrix& gate, const RowVector& weight);

// silu(gate) * up.
Matrix swiglu(const Matrix& gate, const Matrix& up);

}  // namespace flash_kda::lm
