#include "base/options.hpp"

#include <cstdlib>

namespace emulator {
namespace {

u64 number(const char* name, u64 otherwise) {
  const char* text = std::getenv(name);
  return text && *text ? std::strtoull(text, nullptr, 0) : otherwise;
}

std::string word(const char* name, const std::string& otherwise) {
  const char* text = std::getenv(name);
  return text && *text ? text : otherwise;
}

Options from_environment() {
  Options o;
  o.seed = number("EMULATOR_SEED", o.seed);
  o.quantum = static_cast<u32>(number("EMULATOR_QUANTUM", o.seed ? 64 : o.quantum));
  o.async_delay = static_cast<u32>(number("EMULATOR_ASYNC_DELAY", o.seed ? 24 : 0));
  o.threads = static_cast<u32>(number("EMULATOR_THREADS", 0));
  o.check = number("EMULATOR_CHECK", 0) != 0;
  o.count = !word("EMULATOR_COUNTERS", "").empty();
  o.summary = number("EMULATOR_SUMMARY", 0) != 0;
  o.spin_limit = number("EMULATOR_SPIN_LIMIT", o.spin_limit);
  const std::string accumulate = word("EMULATOR_ACCUMULATE", "in_order");
  if (accumulate == "pairwise") o.accumulate = AccumulatePolicy::kPairwise;
  if (accumulate == "exact") o.accumulate = AccumulatePolicy::kExact;
  if (word("EMULATOR_APPROX", "nearest") == "inject") o.approx = ApproxPolicy::kInjectError;
  o.device = word("EMULATOR_DEVICE", o.device);
  o.report_file = word("EMULATOR_REPORT", "");
  return o;
}

}  // namespace

Options& options() {
  static Options* o = new Options(from_environment());  // outlives static destructors
  return *o;
}

}  // namespace emulator
