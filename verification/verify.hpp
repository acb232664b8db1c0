// One case on one backend against the fp64 definition: a row of `flash-kda verify`, an assertion of
// the tests.
#pragma once

#include <string>
#include <vector>

#include "flash_kda/prefill.hpp"
#include "verification/cases.hpp"
#include "verification/compare.hpp"

namespace flash_kda::verification {

struct VerifyOptions {
  std::uint64_t seed = 1;
  int threads = 0;  // as PlanOptions
  Algorithm algorithm = Algorithm::kAuto;
  int multiprocessors = 0;  // as PlanOptions
  Cuts cuts = Cuts::kAuto;
  int v_panel = 0;  // as PlanOptions
  // What a test makes of the plan, or null.
  void (*adjust)(Plan& plan) = nullptr;
};

enum class Outcome {
  kPassed,
  kFailed,       // `detail` says what missed
  kUnsupported,  // the backend does not take this problem; `detail` has its reason
};
const char* to_string(Outcome outcome);

struct VerifyRow {
  std::string case_name{};
  BackendKind backend = BackendKind::kReference;
  Precision precision = Precision::kF32;
  Distribution distribution = Distribution::kPublished;
  Config config{};
  Outcome outcome = Outcome::kFailed;
  std::string detail{};  // empty when passed
  ErrorSummary out{}, final_state{}, checkpoints{};
  // Bytes outside the results that the call changed: guard bands, gaps, inputs, unused slots.
  std::vector<std::string> stray_writes{};
  double reference_seconds = 0.0;
  double backend_seconds = 0.0;
};

VerifyRow run_case(const Case& c, BackendKind backend, Precision precision,
                   const VerifyOptions& options = {});

// The same for a caller's own tensors, such as a captured layer. Results are written to them.
// Guard bands do not apply.
VerifyRow verify_tensors(const std::string& name, const Problem& problem, const Tensors& tensors,
                         Distribution distribution, BackendKind backend, Precision precision,
                         const VerifyOptions& options = {});

}  // namespace flash_kda::verification
