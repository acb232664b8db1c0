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
  double seconds = 0;      // inside of launches
  double cpu_seconds = 0;  // of the host threads that execute CTAs
};

Statistics statistics();

// The settings of EMULATOR_* variables, by the variable's name without the prefix, in lower case:
// seed, quantum, async_delay, threads, spin_limit, accumulate; and "count", 0 or 1. False for an
// unknown name or value. "device", "check" and "approx" can only be set in the environment.
bool set_option(const std::string& name, const std::string& value);

// What the launches made with "count" set executed, by kernel, class, source line and opcode; JSON,
// as EMULATOR_COUNTERS=file writes it at exit.
std::string counters();

// Reports of the checker so far, equal ones counted each time, and the text of the distinct ones; 0
// and empty when checks are off.
uint64_t report_count();
std::string reports();

}  // namespace emulator
