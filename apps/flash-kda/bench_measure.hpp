// Timing: variants of one shape take turns, so that a slow moment of the machine hits all alike.
#pragma once

#include <vector>

#include "apps/common/timing.hpp"
#include "apps/flash-kda/shapes.hpp"
#include "apps/flash-kda/timed_call.hpp"
#include "flash_kda/flash_kda.hpp"

namespace flash_kda::cli {

struct Effort {
  int repeats = 7;           // counted rounds at least, after one that warms up
  double min_seconds = 0.3;  // of counted time of each variant, unless 1000 rounds come first
};

struct Variant {
  PlanOptions options;
  Cache cache = Cache::kAsIs;
};

struct Measurement {
  Variant variant;
  Plan plan;
  std::vector<double> milliseconds;  // one a round
};

// All variants run on the same tensors.
Result<std::vector<Measurement>> measure(const NamedShape& shape,
                                         const std::vector<Variant>& variants,
                                         const Effort& effort);

// The same backend, precision, algorithm, gate, types and head sizes on few tokens and heads
// against the fp64 definition. No number is worth printing when this fails.
Status verify_before_measuring(const NamedShape& shape, const Plan& plan);

}  // namespace flash_kda::cli
