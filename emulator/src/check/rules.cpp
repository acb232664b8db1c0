#include <array>

#include "check/report.hpp"

namespace emulator::check {
namespace {

struct RuleText {
  Rule rule;
  const char* name;
  const char* explanation;
};

constexpr std::array<RuleText, static_cast<size_t>(Rule::kCount)> kRules = {{
    {Rule::kReadAfterWrite, "read-after-write",
     "a thread reads what another wrote, and nothing orders the two"},
    {Rule::kWriteAfterRead, "write-after-read",
     "a write may overtake the read of another thread, nothing orders the two"},
    {Rule::kWriteAfterWrite, "write-after-write",
     "two threads write the same bytes, and nothing orders the two"},
    {Rule::kScope, "scope", "the two synchronise, but with a scope that leaves one of them out"},
    {Rule::kProxyFence, "proxy-fence",
     "the async proxy touches bytes written through the generic proxy without fence.proxy.async "
     "between"},
    {Rule::kMbarrierInitFence, "mbarrier-init-fence",
     "mbarrier.init is not made visible to the async proxy or the cluster by "
     "fence.mbarrier_init or fence.proxy.async"},
    {Rule::kTensormapFence, "tensormap-fence",
     "a tensor map is used after a change without fence.proxy.tensormap on both sides"},
    {Rule::kMbarrierInit, "mbarrier-init",
     "an mbarrier is used that is not, or not yet, initialised"},
    {Rule::kMbarrierPhase, "mbarrier-phase",
     "the phase waited for is not the one that carries the data, or a phase got too many arrivals"},
    {Rule::kMbarrierBytes, "mbarrier-bytes",
     "the bytes an mbarrier expects are not those that the copies deliver"},
    {Rule::kAsyncNotAwaited, "async-not-awaited",
     "the result of an asynchronous copy is touched before its completion was observed"},
    {Rule::kAsyncOverwrite, "async-overwrite",
     "bytes are overwritten while an asynchronous operation may still read them"},
    {Rule::kWgmmaFence, "wgmma-fence", "registers of wgmma were touched without wgmma.fence"},
    {Rule::kWgmmaCommit, "wgmma-commit",
     "wgmma was waited for, but not committed to a group before"},
    {Rule::kWgmmaWait, "wgmma-wait",
     "registers of wgmma are touched before wgmma.wait_group has completed it"},
    {Rule::kExitInFlight, "exit-in-flight",
     "a thread or CTA exits with asynchronous work in flight"},
    {Rule::kDivergence, "divergence", "an .aligned instruction is not executed by the whole warp"},
    {Rule::kBarrier, "barrier", "wrong use of a named barrier"},
    {Rule::kDeadlock, "deadlock", "no thread can proceed"},
    {Rule::kUninitialisedShared, "uninitialised-shared", "shared memory is read that nobody wrote"},
    {Rule::kUninitialisedGlobal, "uninitialised-global", "global memory is read that nobody wrote"},
    {Rule::kOutOfBounds, "out-of-bounds", "an address outside of every allocation"},
    {Rule::kUseAfterFree, "use-after-free", "an address in memory that was freed"},
    {Rule::kMisaligned, "misaligned", "an address is not a multiple of the access size"},
    {Rule::kIllegal, "illegal", "an operand or state that the instruction does not allow"},
}};

const RuleText& find(Rule rule) {
  for (const RuleText& r : kRules)
    if (r.rule == rule) return r;
  return kRules.back();
}

}  // namespace

const char* rule_name(Rule rule) { return find(rule).name; }
const char* rule_explanation(Rule rule) { return find(rule).explanation; }

}  // namespace emulator::check
