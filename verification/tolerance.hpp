// The thresholds of docs/numerics.md ("Thresholds"): one source for the tool and the tests.
#pragma once

#include "flash_kda/prefill.hpp"
#include "verification/cases.hpp"

namespace flash_kda::verification {

struct Tolerance {
  double head = 0.0;
  double block = 0.0;
  double element = 0.0;
};

// `algorithm` as in the plan: the fused kernel of the CUDA backend rounds more often than the
// chunked form of the same backend.
Tolerance out_tolerance(const Problem& problem, BackendKind backend, Precision precision,
                        Distribution distribution, Algorithm algorithm = Algorithm::kChunked);
// Final states and checkpoints.
Tolerance state_tolerance(const Problem& problem, BackendKind backend, Precision precision,
                          Distribution distribution, Algorithm algorithm = Algorithm::kChunked);

}  // namespace flash_kda::verification
