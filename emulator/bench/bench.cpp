// Thread instructions per second and core of the emulator. Set EMULATOR_CHECK=1 to measure with all
// checks on. Usage: emulator_bench [REPEATS [MIX]]. Prints one JSON object for each mix: the best
// of several runs, in CPU time, since other work on the machine only slows.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "emulator/emulator.hpp"
#include "kernels.hpp"

namespace {

double cpu_seconds() {
  timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

}  // namespace

int main(int argc, char** argv) {
  const int repeats = argc > 1 ? std::atoi(argv[1]) : 5;
  const std::string only = argc > 2 ? argv[2] : "";
  emulator::set_option("threads", "1");
  for (const BenchCase& c : bench_cases()) {
    if (!only.empty() && c.name != only) continue;
    double best = 0;
    unsigned long long instructions = 0;
    for (int k = 0; k < repeats; ++k) {
      const uint64_t before = emulator::statistics().thread_instructions;
      const double begin = cpu_seconds();
      c.run(32);
      const double seconds = cpu_seconds() - begin;
      instructions = emulator::statistics().thread_instructions - before;
      best = std::max(best, static_cast<double>(instructions) / seconds);
    }
    std::printf("{\"mix\": \"%s\", \"thread_instructions\": %llu, \"million_per_second\": %.1f}\n",
                c.name.c_str(), instructions, best * 1e-6);
  }
  return 0;
}
