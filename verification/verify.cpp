#include "verification/verify.hpp"

#include <chrono>

#include "verification/inputs.hpp"

namespace flash_kda::verification {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Plans. False: the row says why not.
bool make_row_plan(const Problem& problem, const VerifyOptions& options, VerifyRow& row,
                   Plan& plan) {
  const Support support = supports(problem, row.backend);
  if (!support.supported) {
    row.outcome = Outcome::kUnsupported;
    row.detail = support.reason;
    return false;
  }
  Result<Plan> made = make_plan(problem, {.backend = row.backend,
                                          .precision = row.precision,
                                          .threads = options.threads,
                                          .algorithm = options.algorithm,
                                          .multiprocessors = options.multiprocessors,
                                          .cuts = options.cuts,
                                          .v_panel = options.v_panel});
  if (!made.ok()) {
    row.outcome =
        made.status().code() == StatusCode::kUnsupported ? Outcome::kUnsupported : Outcome::kFailed;
    row.detail = made.status().message();
    return false;
  }
  plan = *std::move(made);
  if (options.adjust != nullptr) options.adjust(plan);
  row.config = plan.config;
  // The CUDA backend has one arithmetic per algorithm and says which.
  if (row.backend == BackendKind::kCuda) row.precision = plan.config.precision;
  return true;
}

// Runs and compares.
void run_row(const Plan& plan, const Tensors& tensors, Workspace workspace, VerifyRow& row) {
  Clock::time_point start = Clock::now();
  const Expected expected = expect(plan.problem, tensors);
  row.reference_seconds = seconds_since(start);
  start = Clock::now();
  const Status status = run_from_host(plan, tensors, workspace);
  row.backend_seconds = seconds_since(start);
  if (!status.ok()) {
    row.detail = std::string(to_string(status.code())) + ": " + status.message();
    return;
  }
  const Tolerance of_out = out_tolerance(plan.problem, row.backend, row.precision, row.distribution,
                                         plan.config.algorithm);
  const Tolerance of_state = state_tolerance(plan.problem, row.backend, row.precision,
                                             row.distribution, plan.config.algorithm);
  row.out = compare_out(plan.problem, tensors, expected, of_out);
  row.final_state = compare_final_states(plan.problem, tensors, expected, of_state);
  row.checkpoints = compare_checkpoints(plan.problem, tensors, expected, of_state);
  row.detail = row.out.failure("out");
  if (row.detail.empty()) row.detail = row.final_state.failure("final_state");
  if (row.detail.empty()) row.detail = row.checkpoints.failure("checkpoints");
  row.outcome = row.detail.empty() ? Outcome::kPassed : Outcome::kFailed;
}

}  // namespace

const char* to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::kPassed:
      return "passed";
    case Outcome::kFailed:
      return "failed";
    case Outcome::kUnsupported:
      return "unsupported";
  }
  return "unknown";
}

VerifyRow run_case(const Case& c, BackendKind backend, Precision precision,
                   const VerifyOptions& options) {
  VerifyRow row{.case_name = c.name,
                .backend = backend,
                .precision = precision,
                .distribution = distribution(c)};
  Plan plan;
  if (!make_row_plan(c.problem, options, row, plan)) return row;
  CaseData data(c, options.seed);
  const Workspace workspace = data.make_workspace(plan.workspace_bytes);
  data.expect_changes_at_results();
  run_row(plan, data.tensors(), workspace, row);
  row.stray_writes = data.stray_writes();
  if (row.outcome == Outcome::kPassed && !row.stray_writes.empty()) {
    row.outcome = Outcome::kFailed;
    row.detail = row.stray_writes.front();
  }
  return row;
}

VerifyRow verify_tensors(const std::string& name, const Problem& problem, const Tensors& tensors,
                         Distribution distribution, BackendKind backend, Precision precision,
                         const VerifyOptions& options) {
  VerifyRow row{
      .case_name = name, .backend = backend, .precision = precision, .distribution = distribution};
  Plan plan;
  if (!make_row_plan(problem, options, row, plan)) return row;
  GuardedBuffer workspace("workspace", plan.workspace_bytes, 0);
  run_row(plan, tensors, {workspace.data(), workspace.bytes()}, row);
  return row;
}

}  // namespace flash_kda::verification
