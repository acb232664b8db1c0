#include "apps/flash-kda/bench_measure.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "apps/flash-kda/bench_data.hpp"
#include "apps/flash-kda/options.hpp"
#include "verification/verify.hpp"

namespace flash_kda::cli {
namespace {

constexpr int kMaxRounds = 1000;

bool is_enough(const std::vector<double>& milliseconds, const Effort& effort) {
  if (static_cast<int>(milliseconds.size()) < effort.repeats) return false;
  const double total = std::accumulate(milliseconds.begin(), milliseconds.end(), 0.0);
  return total >= effort.min_seconds * 1e3 || milliseconds.size() >= kMaxRounds;
}

}  // namespace

Result<std::vector<Measurement>> measure(const NamedShape& shape,
                                         const std::vector<Variant>& variants,
                                         const Effort& effort) {
  std::vector<Measurement> measurements;
  std::vector<std::unique_ptr<TimedCall>> calls;
  const BenchData data(shape);
  for (const Variant& variant : variants) {
    Result<Plan> plan = make_plan(shape.problem, variant.options);
    if (!plan.ok()) return plan.status();
    if (Status status = verify_before_measuring(shape, *plan); !status.ok()) return status;
    Result<std::unique_ptr<TimedCall>> call = make_timed_call(*plan, variant.cache, data.tensors());
    if (!call.ok()) return call.status();
    calls.push_back(std::move(*call));
    measurements.push_back({variant, *std::move(plan), {}});
  }
  const auto all_enough = [&] {
    return std::ranges::all_of(
        measurements, [&](const Measurement& m) { return is_enough(m.milliseconds, effort); });
  };
  for (bool warm = false; !warm || !all_enough(); warm = true) {
    for (std::size_t i = 0; i < measurements.size(); ++i) {
      const Result<double> milliseconds = calls[i]->run_once();
      if (!milliseconds.ok()) return milliseconds.status();
      if (warm) measurements[i].milliseconds.push_back(*milliseconds);
    }
  }
  return measurements;
}

Status verify_before_measuring(const NamedShape& shape, const Plan& plan) {
  verification::Case small{.name = "bench " + shape.name, .problem = shape.problem};
  // Some chunks and a tail; one key head with all its value heads.
  small.problem.batch = 1;
  small.problem.num_sequences.reset();
  small.problem.tokens = std::min<std::int64_t>(shape.problem.tokens, 75);
  small.problem.v_heads = shape.problem.v_heads / shape.problem.qk_heads;
  small.problem.qk_heads = 1;
  const verification::VerifyRow row =
      verification::run_case(small, plan.config.backend, plan.config.precision,
                             {.threads = plan.config.threads, .algorithm = plan.config.algorithm});
  if (row.outcome == verification::Outcome::kPassed) return {};
  return Status(
      StatusCode::kInternal,
      fmt::format("{} {} is wrong on {}, so nothing was measured: {}", word_of(plan.config.backend),
                  word_of(plan.config.precision), to_string(small.problem), row.detail));
}

}  // namespace flash_kda::cli
