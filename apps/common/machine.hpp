// The machine under the tool, for `info` and for the head of a measurement.
#pragma once

#include <string>
#include <vector>

namespace flash_kda::apps {

struct Machine {
  std::string cpu;                 // model name, "unknown" where the system does not tell
  int logical_cpus = 1;            // that this process may run on
  std::vector<std::string> flags;  // of those that decide the vector code, the ones present
  double memory_gib = 0;
};
Machine describe_machine();

std::string compiler_name();  // "gcc 12.2.0" of this build
std::string utc_time();       // "2026-01-31T23:59:59Z"

}  // namespace flash_kda::apps
