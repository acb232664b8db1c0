// What a program linked with the emulator may ask it. Everything else goes through the CUDA runtime
// interface, so that the same program also links with the real one.
#pragma once

#include <cstdint>
#include <string>

namespace emulator {

struct Statistics {
  uint64_t launches = 0;
  uint64_t ctas = 0;
  uint64_t warp_instructions = 0;
  uint64_t thread_instructions = 0;
  double seconds = 0;  // inside of launches
};

Statistics statistics();

// The settings of EMULATOR_* variables, by the variable's name without the prefix, in lower case:
// seed, quantum, async_delay, threads, spin_limit, accumulate. False for an unknown name or value.
// "device", "check" and "approx" can only be set in the environment.
bool set_option(const std::string& name, const std::string& value);

// Distinct reports of the checker so far, and their text; 0 and empty when checks are off.
uint64_t report_count();
std::string reports();

}  // namespace emulator
