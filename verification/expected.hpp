// What the definition (E0, fp64) gives for a call. It must be computed before the call, which may
// overwrite its own initial states.
#pragma once

#include <cstdint>
#include <vector>

#include "flash_kda/prefill.hpp"
#include "verification/places.hpp"

namespace flash_kda::verification {

struct ExpectedCheckpoint {
  std::int64_t offset = 0;
  std::vector<double> state;  // [K, V]
};

struct ExpectedHead {
  std::vector<double> out;  // [length, V]
  // [length] RMS that the row of `out` would have for a query of random direction:
  // |scale| |q| RMS(S). Below it the row is small because its terms cancel.
  std::vector<double> out_size;
  std::vector<double> final_state;              // [K, V]
  std::vector<ExpectedCheckpoint> checkpoints;  // ascending, each offset once
  // Largest RMS that the state of this head had after any token, the initial state included.
  double peak_state_rms = 0.0;
};

struct Expected {
  std::vector<SequencePlaces> places;
  std::vector<ExpectedHead> heads;  // [N, HV]

  const ExpectedHead& head(std::int64_t n, std::int64_t v_head, std::int64_t v_heads) const {
    return heads[static_cast<std::size_t>(n * v_heads + v_head)];
  }
};

Expected expect(const Problem& problem, const Tensors& tensors);

}  // namespace flash_kda::verification
