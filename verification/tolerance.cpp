#include "verification/tolerance.hpp"

#include <algorithm>
#include <cmath>

namespace flash_kda::verification {
namespace {

// Unit roundoff: half a unit in the last place at 1.
double unit_roundoff(DType dtype) {
  switch (dtype) {
    case DType::kBF16:
      return 0x1p-8;
    case DType::kF16:
      return 0x1p-11;
    default:
      return 0x1p-24;
  }
}

// RMS error of rounding a tensor once is at most u / sqrt(3) = 0.58 u, where every value lies at
// the bottom of its binade; 0.65 u leaves 12 % for tensors of few elements.
constexpr double kRoundingRms = 0.65;
// Measured for values of all binades, and for normal ones: what an inner product sees.
constexpr double kOperandRms = 0.42 * 0x1p-8;

// E_f32 of docs/numerics.md, the sum of its bounds per stage.
constexpr double kF32Error = 1e-6;
// E_bf16: five rounded operands reach a result with weight 1.
const double kBF16Error = std::sqrt(5.0) * kOperandRms;
// The reference against E0: fp64 sums of up to 256 terms over the tokens of the table.
constexpr double kReferenceError = 1e-12;
// What the project promises for bf16 in, bf16 out on the published distribution.
constexpr double kPublishedBF16Limit = 4e-3;

// The most that is granted to the CUDA backend: eight operands, 0.5 u each. The fused kernel is
// held to this.
const double kCudaMostError = std::sqrt(8.0) * 0.5 * 0x1p-8;
// Heads that a run compares: thousands. Five standard deviations are exceeded by one in 10^6.
constexpr double kDeviations = 5.0;
// Its token-by-token form computes in fp32, with special functions of 2^-22, not 2^-24.
constexpr double kCudaF32Error = 4e-6;
constexpr double kCudaChunk = 16.0;

// Error that every token repeats along one key, with weight 2 beta <= 4, undamped.
double undamped_error(const Problem& problem, BackendKind backend, Precision precision) {
  double of_key = kOperandRms / std::sqrt(static_cast<double>(problem.head_dim_k));
  // Rows of the rounded inverse, C entries of size 2 each, repeat theirs.
  if (backend == BackendKind::kCuda) of_key = 2.0 * kOperandRms / std::sqrt(kCudaChunk);
  if (precision == Precision::kF32) of_key = 1e-7;
  return 4.0 * static_cast<double>(problem.tokens) * of_key;
}

enum class Quantity { kOut, kState };

// Squared roundings of bf16 operands that reach an output (docs/cuda_two_kernel.md, Rounding).
// Three are of a token's scores, which all value columns share: a head has few, and they scatter.
double cuda_roundings_of_out(const Problem& problem, Distribution distribution) {
  const auto tokens = static_cast<double>(std::max<std::int64_t>(problem.tokens, 1));
  const double of_scores = 3.0 * (1.0 + kDeviations * 2.0 / std::sqrt(tokens));
  if (distribution == Distribution::kPublished) return of_scores + 2.3;
  return std::max(7.9, of_scores + 2.9);
}

// The same for a state: k_to_end, U and W of the last tokens, and what they have erased.
double cuda_roundings_of_state(const Problem& problem, Distribution distribution) {
  const auto columns = static_cast<double>(std::min(problem.head_dim_k, problem.head_dim_v));
  const double of_one_token = 3.0 * (1.0 + kDeviations * std::sqrt(2.0 / (1.36 * columns))) + 0.1;
  return distribution == Distribution::kPublished ? of_one_token : std::max(5.7, of_one_token);
}

double cuda_chunk_error(const Problem& problem, Quantity quantity, Distribution distribution,
                        Algorithm algorithm) {
  const bool is_out = quantity == Quantity::kOut;
  const double roundings = is_out ? cuda_roundings_of_out(problem, distribution)
                                  : cuda_roundings_of_state(problem, distribution);
  double error = std::min(std::sqrt(roundings) * kOperandRms, kCudaMostError);
  // Packed sequences may be of any length.
  if ((is_out && problem.is_varlen()) || algorithm == Algorithm::kFused) error = kCudaMostError;
  return distribution == Distribution::kHostile ? 2.0 * error : error;
}

// RMS error of the arithmetic per head, before the result is rounded to its storage type.
double arithmetic_error(const Problem& problem, Quantity quantity, BackendKind backend,
                        Precision precision, Distribution distribution, Algorithm algorithm) {
  if (backend == BackendKind::kReference) return kReferenceError;
  if (distribution == Distribution::kUndamped) return undamped_error(problem, backend, precision);
  if (backend == BackendKind::kCuda) {
    return precision == Precision::kF32
               ? kCudaF32Error
               : cuda_chunk_error(problem, quantity, distribution, algorithm);
  }
  if (precision == Precision::kF32) return kF32Error;
  return distribution == Distribution::kHostile ? 2.0 * kBF16Error : kBF16Error;
}

Tolerance from_head(BackendKind backend, double head) {
  // The CUDA backend's error of an element is a sum of many roundings, normal and independent of
  // the element's own normal size: of 10^7 such products the largest is about ln(10^7) = 16.
  if (backend == BackendKind::kCuda) {
    return {.head = head, .block = 2.0 * head, .element = 16.0 * head};
  }
  // A block of 16 rows is a smaller sample of the same errors: twice. A single element may be 5 RMS
  // large, and its rounding error 5 u = 7.7 * 0.65 u then: 8 times.
  return {.head = head, .block = 2.0 * head, .element = 8.0 * head};
}

double with_storage(double arithmetic, DType storage) {
  return std::hypot(arithmetic, kRoundingRms * unit_roundoff(storage));
}

}  // namespace

Tolerance out_tolerance(const Problem& problem, BackendKind backend, Precision precision,
                        Distribution distribution, Algorithm algorithm) {
  const double head = with_storage(
      arithmetic_error(problem, Quantity::kOut, backend, precision, distribution, algorithm),
      problem.out_dtype);
  // The CUDA backend's five roundings and that of the result exceed what the CPU promises.
  const bool published = distribution == Distribution::kPublished && backend != BackendKind::kCuda;
  return from_head(backend, published ? std::min(head, kPublishedBF16Limit) : head);
}

Tolerance state_tolerance(const Problem& problem, BackendKind backend, Precision precision,
                          Distribution distribution, Algorithm algorithm) {
  return from_head(backend, with_storage(arithmetic_error(problem, Quantity::kState, backend,
                                                          precision, distribution, algorithm),
                                         problem.state.dtype));
}

}  // namespace flash_kda::verification
