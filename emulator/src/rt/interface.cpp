// The functions of include/emulator/emulator.hpp.
#include <cstdlib>

#include "base/options.hpp"
#include "emulator/emulator.hpp"
#include "exec/checker.hpp"
#include "exec/counters.hpp"
#include "exec/launch.hpp"

namespace emulator {

Statistics statistics() {
  const Totals t = totals();
  return {t.launches, t.ctas, t.warp_insts, t.thread_insts, t.seconds, t.cpu_seconds};
}

bool set_option(const std::string& name, const std::string& value) {
  Options& o = options();
  const u64 n = std::strtoull(value.c_str(), nullptr, 0);
  if (name == "seed") {
    o.seed = n;
  } else if (name == "quantum") {
    o.quantum = static_cast<u32>(n);
  } else if (name == "async_delay") {
    o.async_delay = static_cast<u32>(n);
  } else if (name == "threads") {
    o.threads = static_cast<u32>(n);
  } else if (name == "count") {
    o.count = n != 0;
  } else if (name == "spin_limit") {
    o.spin_limit = n;
  } else if (name == "accumulate" && value == "in_order") {
    o.accumulate = AccumulatePolicy::kInOrder;
  } else if (name == "accumulate" && value == "pairwise") {
    o.accumulate = AccumulatePolicy::kPairwise;
  } else if (name == "accumulate" && value == "exact") {
    o.accumulate = AccumulatePolicy::kExact;
  } else {
    return false;
  }
  return true;
}

std::string counters() { return counters_json(); }
u64 report_count() { return checker() ? checker()->report_count() : 0; }
std::string reports() { return checker() ? checker()->text() : ""; }

}  // namespace emulator
