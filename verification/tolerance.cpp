#include "verification/tolerance.hpp"

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

// RMS error of rounding a tensor once: u / sqrt(3) where every value lies at the bottom of its
// binade, which is the worst; 0.65 u leaves 12 % for tensors of few elements.
constexpr double kRoundingRms = 0.65;

// The CUDA backend (docs/cuda_two_kernel.md, Rounding): six bf16 roundings of 2^-8 / sqrt(3) at most
// lie on the way of a value through a chunk; the token-by-token kernel computes in fp32 with
// special functions of 2^-22.
double cuda_error(Precision precision, Distribution distribution) {
  if (precision == Precision::kF32) return 2e-6;
  const double chunk = std::sqrt(2.0) * 0x1p-8;  // sqrt(6) * 2^-8 / sqrt(3)
  switch (distribution) {
    case Distribution::kPublished:
      return chunk;
    case Distribution::kLongMemory:
      return std::sqrt(2.0) * chunk;
    case Distribution::kHostile:
      break;
  }
  return 2.0 * chunk;
}

// RMS error of the arithmetic per head, before the result is rounded to its storage type.
double arithmetic_error(BackendKind backend, Precision precision, Distribution distribution) {
  if (backend == BackendKind::kReference) return 1e-12;
  if (backend == BackendKind::kCuda) return cuda_error(precision, distribution);
  const bool f32 = precision == Precision::kF32;
  switch (distribution) {
    case Distribution::kPublished:
      return f32 ? 1e-6 : 3.6e-3;
    case Distribution::kLongMemory:
      return f32 ? 1e-6 : 5e-3;
    case Distribution::kHostile:
      break;
  }
  return f32 ? 2e-6 : 8e-3;
}

Tolerance with_storage(double arithmetic, DType storage) {
  const double rounding = kRoundingRms * unit_roundoff(storage);
  const double head = std::hypot(arithmetic, rounding);
  // A block of 16 rows is a smaller sample of the same errors: twice. A single element lies within
  // 5 RMS of its head, and so does its error: 25 times, the product of the two at worst.
  return {.head = head, .block = 2.0 * head, .element = 25.0 * head};
}

}  // namespace

Tolerance out_tolerance(const Problem& problem, BackendKind backend, Precision precision,
                        Distribution distribution) {
  return with_storage(arithmetic_error(backend, precision, distribution), problem.out_dtype);
}

Tolerance state_tolerance(const Problem& problem, BackendKind backend, Precision precision,
                          Distribution distribution) {
  return with_storage(arithmetic_error(backend, precision, distribution), problem.state.dtype);
}

}  // namespace flash_kda::verification
