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

// The CUDA backend (docs/cuda_two_kernel.md, Rounding). Its chunked form rounds eight operands on
// the way to an output. Half a u each: the scores of a token are shared by all its value columns,
// so a short head has few of them, and their RMS lies anywhere up to 0.58 u.
const double kCudaChunkError = std::sqrt(8.0) * 0.5 * 0x1p-8;
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

// RMS error of the arithmetic per head, before the result is rounded to its storage type.
double arithmetic_error(const Problem& problem, BackendKind backend, Precision precision,
                        Distribution distribution) {
  if (backend == BackendKind::kReference) return kReferenceError;
  if (distribution == Distribution::kUndamped) return undamped_error(problem, backend, precision);
  if (backend == BackendKind::kCuda) {
    if (precision == Precision::kF32) return kCudaF32Error;
    return distribution == Distribution::kHostile ? 2.0 * kCudaChunkError : kCudaChunkError;
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
                        Distribution distribution) {
  const double head =
      with_storage(arithmetic_error(problem, backend, precision, distribution), problem.out_dtype);
  // The CUDA backend's eight roundings alone exceed what the CPU promises.
  const bool published = distribution == Distribution::kPublished && backend != BackendKind::kCuda;
  return from_head(backend, published ? std::min(head, kPublishedBF16Limit) : head);
}

Tolerance state_tolerance(const Problem& problem, BackendKind backend, Precision precision,
                          Distribution distribution) {
  return from_head(backend,
                   with_storage(arithmetic_error(problem, backend, precision, distribution),
                                problem.state.dtype));
}

}  // namespace flash_kda::verification
