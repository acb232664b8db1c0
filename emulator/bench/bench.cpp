// Thread instructions per second and core of the emulator. Set EMULATOR_CHECK=1 to measure with all
// checks on. Prints one JSON object for each mix: the best of several runs, since noise only slows.
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "emulator/emulator.hpp"
#include "kernels.hpp"

int main(int argc, char** argv) {
  const int repeats = argc > 1 ? std::atoi(argv[1]) : 5;
  emulator::set_option("threads", "1");
  for (const BenchCase& c : bench_cases()) {
    double best = 0;
    unsigned long long instructions = 0;
    for (int k = 0; k < repeats; ++k) {
      const emulator::Statistics before = emulator::statistics();
      c.run(32);
      const emulator::Statistics after = emulator::statistics();
      instructions = after.thread_instructions - before.thread_instructions;
      best = std::max(best, static_cast<double>(instructions) / (after.seconds - before.seconds));
    }
    std::printf("{\"mix\": \"%s\", \"thread_instructions\": %llu, \"million_per_second\": %.1f}\n",
                c.name.c_str(), instructions, best * 1e-6);
  }
  return 0;
}
