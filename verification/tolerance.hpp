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

Tolerance out_tolerance(const Problem& problem, BackendKind backend, Precision precision,
                        Distribution distribution);
// Final states and checkpoints.
Tolerance state_tolerance(const Problem& problem, BackendKind backend, Precision precision,
                          Distribution distribution);

}  // namespace flash_kda::verification
