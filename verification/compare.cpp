#include "verification/compare.hpp"

#include <algorithm>
#include <cmath>

#include "fmt/format.h"

namespace flash_kda::verification {
namespace {

constexpr std::int64_t kBlockRows = 16;
// A result that is nearly nothing beside the rest of its head is measured against this share of
// the rest: no arithmetic with fewer bits than the exponent's keeps digits of what cancelled or
// decayed away (docs/numerics.md, Measures of error).
constexpr double kFloorOfBlock = 1e-2;
constexpr double kFloorOfState = 1e-3;

bool same_kind(double got, double want) {
  if (std::isnan(want)) return std::isnan(got);
  if (std::isinf(want)) return got == want;
  return std::isfinite(got);
}

// Sums over some elements of one head.
struct Sums {
  double squared_error = 0.0;
  double squared_expected = 0.0;
  double squared_typical = 0.0;
  std::int64_t count = 0;

  // typical: RMS of such elements when nothing cancels by chance; 0 where that is not known.
  void add(double got, double want, double typical) {
    squared_error += (got - want) * (got - want);
    squared_expected += want * want;
    squared_typical += typical * typical;
    ++count;
  }
  double rms(double squares) const {
    return count == 0 ? 0.0 : std::sqrt(squares / static_cast<double>(count));
  }
  double rms_error() const { return rms(squared_error); }
  double size() const { return rms(std::max(squared_expected, squared_typical)); }
};

// 0/0 is a perfect zero; x/0 is infinitely wrong.
double ratio(double error, double size) {
  if (error == 0.0) return 0.0;
  return size == 0.0 ? HUGE_VAL : error / size;
}

void keep_worst(Worst& worst, double error, const Coordinates& at) {
  if (error > worst.error || worst.at.sequence < 0) worst = {error, at};
}

// True when both are finite and so have an error.
bool check_mask(ErrorSummary& summary, double got, double want, const Coordinates& at) {
  if (!same_kind(got, want)) {
    if (summary.mask_mismatches++ == 0) summary.first_mismatch = at;
    return false;
  }
  return std::isfinite(want);
}

// One row of a head: V values of a token, or of a channel of the state.
struct Row {
  Sums sums;
  double largest_error = 0.0;
  Coordinates largest_at;

  void add(double got, double want, double typical, const Coordinates& at) {
    sums.add(got, want, typical);
    if (std::abs(got - want) > largest_error) {
      largest_error = std::abs(got - want);
      largest_at = at;
    }
  }
};

// An element is measured against its own row where that is larger than the head's average, so that
// one large token does not have to be as exact as the rest.
void finish_head(ErrorSummary& summary, const Sums& head, const std::vector<Row>& rows, double size,
                 const Coordinates& at) {
  const double error = ratio(head.rms_error(), size);
  keep_worst(summary.head, error, at);
  summary.sum_of_squares += error * error;
  for (const Row& row : rows) {
    const double row_size = std::max(size, row.sums.size());
    keep_worst(summary.element, ratio(row.largest_error, row_size), row.largest_at);
  }
}

void compare_head_out(const Problem& p, const Tensors& t, const SequencePlaces& s,
                      const ExpectedHead& expected, Coordinates at, ErrorSummary& summary) {
  std::vector<Sums> blocks(static_cast<std::size_t>((s.length + kBlockRows - 1) / kBlockRows));
  std::vector<Row> rows(static_cast<std::size_t>(s.length));
  Sums head;
  const Coordinates of_head = at;
  for (at.token = 0; at.token < s.length; ++at.token) {
    Sums& block = blocks[static_cast<std::size_t>(at.token / kBlockRows)];
    const double typical = expected.out_size[static_cast<std::size_t>(at.token)];
    for (at.v = 0; at.v < p.head_dim_v; ++at.v) {
      const double got = read_token(t.out, s.batch_row, s.bos + at.token, at.v_head, at.v);
      const double want = expected.out[static_cast<std::size_t>(at.token * p.head_dim_v + at.v)];
      if (!check_mask(summary, got, want, at)) continue;
      head.add(got, want, typical);
      block.add(got, want, typical);
      rows[static_cast<std::size_t>(at.token)].add(got, want, typical, at);
    }
  }
  finish_head(summary, head, rows, head.size(), of_head);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    Coordinates first = of_head;
    first.token = static_cast<std::int64_t>(i) * kBlockRows;
    const double size = std::max(blocks[i].size(), kFloorOfBlock * head.size());
    keep_worst(summary.block, ratio(blocks[i].rms_error(), size), first);
  }
}

void compare_state(const Problem& p, const StatePlace& place, const std::vector<double>& expected,
                   double peak_rms, Coordinates at, ErrorSummary& summary) {
  std::vector<Row> rows(static_cast<std::size_t>(p.head_dim_k));
  Sums head;
  const Coordinates of_head = at;
  for (at.k = 0; at.k < p.head_dim_k; ++at.k) {
    for (at.v = 0; at.v < p.head_dim_v; ++at.v) {
      const double got = place.read(at.v_head, at.k, at.v);
      const double want = expected[static_cast<std::size_t>(at.k * p.head_dim_v + at.v)];
      if (!check_mask(summary, got, want, at)) continue;
      head.add(got, want, /*typical=*/0.0);
      rows[static_cast<std::size_t>(at.k)].add(got, want, /*typical=*/0.0, at);
    }
  }
  const double size = std::max(head.size(), kFloorOfState * peak_rms);
  finish_head(summary, head, rows, size, of_head);
}

const std::vector<double>& state_at(const ExpectedHead& head, std::int64_t offset) {
  return std::find_if(head.checkpoints.begin(), head.checkpoints.end(),
                      [&](const ExpectedCheckpoint& c) { return c.offset == offset; })
      ->state;
}

// Calls visit(sequence places, expected head, coordinates) for every (sequence, head).
template <typename Visit>
void for_each_head(const Problem& p, const Expected& expected, const Visit& visit) {
  for (std::size_t n = 0; n < expected.places.size(); ++n) {
    for (std::int64_t h = 0; h < p.v_heads; ++h) {
      const Coordinates at{.sequence = static_cast<std::int64_t>(n), .v_head = h};
      visit(expected.places[n], expected.head(at.sequence, h, p.v_heads), at);
    }
  }
}

}  // namespace

std::string to_string(const Coordinates& at) {
  std::string text;
  const auto append = [&](const char* name, std::int64_t value) {
    if (value >= 0) text += fmt::format("{}{} {}", text.empty() ? "" : " ", name, value);
  };
  append("sequence", at.sequence);
  append("head", at.v_head);
  append("token", at.token);
  append("k", at.k);
  append("v", at.v);
  return text;
}

bool ErrorSummary::passed() const {
  // Written so that a NaN error fails.
  return mask_mismatches == 0 && head.error <= tolerance.head && block.error <= tolerance.block &&
         element.error <= tolerance.element;
}

std::string ErrorSummary::failure(const char* what) const {
  if (passed()) return {};
  if (mask_mismatches > 0) {
    return fmt::format("{}: {} elements are NaN or infinite on one side only, first at {}", what,
                       mask_mismatches, to_string(first_mismatch));
  }
  const auto miss = [&](const char* kind, const Worst& worst, double limit) {
    return fmt::format("{}: {} error {:.3g} above {:.3g} at {}", what, kind, worst.error, limit,
                       to_string(worst.at));
  };
  if (!(head.error <= tolerance.head)) return miss("head", head, tolerance.head);
  if (!(block.error <= tolerance.block)) return miss("block", block, tolerance.block);
  return miss("element", element, tolerance.element);
}

ErrorSummary compare_out(const Problem& p, const Tensors& t, const Expected& expected,
                         const Tolerance& tolerance) {
  ErrorSummary summary{.present = true, .tolerance = tolerance};
  for_each_head(p, expected,
                [&](const SequencePlaces& s, const ExpectedHead& head, const Coordinates& at) {
                  compare_head_out(p, t, s, head, at, summary);
                });
  return summary;
}

ErrorSummary compare_final_states(const Problem& p, const Tensors&, const Expected& expected,
                                  const Tolerance& tolerance) {
  ErrorSummary summary{.tolerance = tolerance};
  for_each_head(p, expected,
                [&](const SequencePlaces& s, const ExpectedHead& head, const Coordinates& at) {
                  if (!s.final) return;
                  summary.present = true;
                  compare_state(p, s.final, head.final_state, head.peak_state_rms, at, summary);
                });
  return summary;
}

ErrorSummary compare_checkpoints(const Problem& p, const Tensors&, const Expected& expected,
                                 const Tolerance& tolerance) {
  ErrorSummary summary{.tolerance = tolerance};
  for_each_head(
      p, expected, [&](const SequencePlaces& s, const ExpectedHead& head, Coordinates at) {
        for (const CheckpointPlace& c : s.checkpoints) {
          if (!c.place) continue;
          summary.present = true;
          at.token = c.offset;
          compare_state(p, c.place, state_at(head, c.offset), head.peak_state_rms, at, summary);
        }
      });
  return summary;
}

}  // namespace flash_kda::verification
