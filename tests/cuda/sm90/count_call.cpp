// One call of the fused kernel by one block, or of its split form by one cluster, for counting what
// it executes:
//
//   EMULATOR_COUNTERS=file fused_count_call bounded|general|split TOKENS
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <vector>

#include "flash_kda/prefill.hpp"
#include "verification/inputs.hpp"

namespace {

using namespace flash_kda;

Status run_call(std::string_view form, std::int64_t tokens) {
  const bool split = form == "split";
  verification::Case c;
  c.name = "count";
  Problem& p = c.problem;
  p.tokens = tokens;
  p.qk_heads = p.v_heads = 1;
  p.head_dim_k = p.head_dim_v = 128;
  p.gate.kind = form == "general" ? GateKind::kSoftplus : GateKind::kLowerBound;
  p.out_dtype = DType::kBF16;
  const Result<Plan> plan = make_plan(p, {.backend = BackendKind::kCuda,
                                          .algorithm = Algorithm::kFused,
                                          .multiprocessors = split ? 2 : 1,
                                          .cuts = Cuts::kExact,
                                          .v_panel = split ? 64 : 0});
  if (!plan.ok()) return plan.status();
  verification::CaseData data(c, /*seed=*/1);
  return run_from_host(*plan, data.tensors(), data.make_workspace(plan->workspace_bytes));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s bounded|general|split TOKENS\n", argv[0]);
    return 2;
  }
  const Status status = run_call(argv[1], std::atoll(argv[2]));
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.message().c_str());
  return status.ok() ? 0 : 1;
}
