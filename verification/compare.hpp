// How far results lie from the definition: NaN and infinity first, then errors per (sequence,
// head), with the coordinates of the worst.
#pragma once

#include <cstdint>
#include <string>

#include "flash_kda/prefill.hpp"
#include "verification/expected.hpp"
#include "verification/tolerance.hpp"

namespace flash_kda::verification {

// Where in the result. -1: does not apply.
struct Coordinates {
  std::int64_t sequence = -1;
  std::int64_t v_head = -1;
  std::int64_t token = -1;  // of `out`; of a checkpoint: its offset
  std::int64_t k = -1;      // of a state
  std::int64_t v = -1;
};
// "sequence 0 head 3 token 17 v 5"
std::string to_string(const Coordinates& at);

struct Worst {
  double error = 0.0;
  Coordinates at;
};

// Errors are relative to the size of what they belong to (docs/numerics.md, Measures of error):
//   head   RMS error of one (sequence, head) over its size
//   block  the same for 16 tokens of `out`
//   element  largest single error over the size of the head, or of its own row where that is larger
struct ErrorSummary {
  bool present = false;  // false: the call has no such result
  Worst head{}, block{}, element{};
  double sum_of_squares = 0.0;  // of the errors of all heads: less of chance than the worst one
  std::int64_t mask_mismatches = 0;  // NaN or infinity in one of the two only
  Coordinates first_mismatch{};
  Tolerance tolerance{};

  bool passed() const;
  // What missed and where; empty when passed.
  std::string failure(const char* what) const;
};

ErrorSummary compare_out(const Problem& problem, const Tensors& tensors, const Expected& expected,
                         const Tolerance& tolerance);
ErrorSummary compare_final_states(const Problem& problem, const Tensors& tensors,
                                  const Expected& expected, const Tolerance& tolerance);
ErrorSummary compare_checkpoints(const Problem& problem, const Tensors& tensors,
                                 const Expected& expected, const Tolerance& tolerance);

}  // namespace flash_kda::verification
