#include "apps/lm/evaluate.hpp"

#include <cmath>
#include <numbers>

#include "apps/lm/generate.hpp"

namespace flash_kda::lm {
namespace {

// -log2 of the softmax at `byte`, in fp64.
double bits(const Matrix& logits, Eigen::Index row, std::uint8_t byte) {
  const Eigen::ArrayXd x = logits.row(row).cast<double>().transpose().array();
  const double top = x.maxCoeff();
  return (top + std::log((x - top).exp().sum()) - x(byte)) / std::numbers::ln2;
}

// fp32: 1e-6 of the operation, and 2^-24 * sqrt(256) = 1e-6 of the projections' sums, which may run
// in another order when chunks differ.
constexpr double kOutputErrorF32 = 2e-6;
// bf16 products: 4e-3, the library's own bound. A state rounded to bf16 between calls errs by
// 2^-9 / sqrt(3) = 1.1e-3 a time, so the same bound holds for what 13 calls back still lives.
constexpr double kOutputErrorBF16 = 4e-3;

}  // namespace

Result<Evaluation> evaluate(const std::shared_ptr<const Weights>& weights,
                            const SessionOptions& options, std::string_view document,
                            const std::function<void(std::int64_t)>& on_read) {
  if (document.empty() || document.size() > kMaxEvaluatedBytes) {
    return Status::invalid_argument("document: expected 1.." + std::to_string(kMaxEvaluatedBytes) +
                                    " bytes, got " + std::to_string(document.size()));
  }
  const std::vector<std::uint8_t> tokens = document_tokens(document);
  // The last byte predicts nothing that is known.
  const std::span<const std::uint8_t> inputs(tokens.data(), tokens.size() - 1);
  Session session(weights, options);
  Evaluation evaluation;
  evaluation.logits.resize(static_cast<Eigen::Index>(inputs.size()), kVocabulary);
  double sum = 0;
  const Status status = session.read(inputs, [&](std::int64_t first, const Matrix& logits) {
    evaluation.logits.middleRows(first, logits.rows()) = logits;
    if (on_read) on_read(logits.rows());
    for (Eigen::Index row = 0; row < logits.rows(); ++row) {
      sum += bits(logits, row, tokens[static_cast<std::size_t>(first + row + 1)]);
    }
  });
  if (!status.ok()) return status;
  evaluation.bits_per_byte = sum / static_cast<double>(inputs.size());
  evaluation.timing = session.timing();
  return evaluation;
}

std::vector<Variant> standard_variants(int threads) {
  const auto variant = [threads](const char* name, BackendKind backend, Precision precision,
                                 DType state_dtype, std::int64_t chunk_tokens) {
    SessionOptions options;
    options.plan.backend = backend;
    options.plan.precision = precision;
    options.plan.threads = threads;
    options.state_dtype = state_dtype;
    options.chunk_tokens = chunk_tokens;
    const bool rounds = precision == Precision::kBF16 || state_dtype == DType::kBF16;
    return Variant{name, options, rounds ? kOutputErrorBF16 : kOutputErrorF32};
  };
  constexpr auto kCpu = BackendKind::kCpu;
  constexpr auto kF32 = Precision::kF32, kBF16 = Precision::kBF16;
  return {
      variant("reference fp64", BackendKind::kReference, kF32, DType::kF32, 512),
      variant("cpu fp32", kCpu, kF32, DType::kF32, 512),
      variant("cpu bf16", kCpu, kBF16, DType::kF32, 512),
      variant("cpu fp32, bf16 state every 512", kCpu, kF32, DType::kBF16, 512),
      variant("cpu fp32, bf16 state every 64", kCpu, kF32, DType::kBF16, 64),
      variant("cpu bf16, bf16 state every 64", kCpu, kBF16, DType::kBF16, 64),
  };
}

double allowed_difference(const Variant& variant, const ModelConfig& config,
                          const Evaluation& reference) {
  const auto bytes = static_cast<double>(reference.logits.rows());
  const Eigen::ArrayXXd logits = reference.logits.cast<double>().array();
  const double rms = std::sqrt((logits.colwise() - logits.rowwise().mean()).square().mean());
  const double error = variant.output_error * std::sqrt(static_cast<double>(config.n_layers)) * rms;
  const double nats = 3 * std::numbers::sqrt2 * error / std::sqrt(bytes) + error * error / 2;
  return nats / std::numbers::ln2;
}

double max_logit_difference(const Matrix& a, const Matrix& b) {
  const Eigen::MatrixXd difference = a.cast<double>() - b.cast<double>();
  return (difference.colwise() - difference.rowwise().mean()).cwiseAbs().maxCoeff();
}

}  // namespace flash_kda::lm
