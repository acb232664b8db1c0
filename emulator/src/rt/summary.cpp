// What is printed when the program ends: totals, reports of the checker.
#include <cstdio>
#include <cstdlib>

#include "exec/checker.hpp"
#include "exec/counters.hpp"
#include "rt/state.hpp"

namespace emulator::rt {
namespace {

void write_file(const char* path, const std::string& text) {
  std::FILE* f = std::fopen(path, "w");
  if (!f) return;
  std::fwrite(text.data(), 1, text.size(), f);
  std::fclose(f);
}

void print_totals() {
  const Totals t = totals();
  std::string text = format_text(
      "[emulator] %s: %llu launches, %llu CTAs, %.3g warp and %.3g thread instructions in %.3f s, "
      "%.3f s of CPU time (%.0f M thread instructions/s and core)",
      device().name, static_cast<unsigned long long>(t.launches),
      static_cast<unsigned long long>(t.ctas), static_cast<double>(t.warp_insts),
      static_cast<double>(t.thread_insts), t.seconds, t.cpu_seconds,
      t.cpu_seconds > 0 ? static_cast<double>(t.thread_insts) / t.cpu_seconds * 1e-6 : 0.0);
  if (check::Observer* c = checker())
    text += format_text(", %llu reports", static_cast<unsigned long long>(c->report_count()));
  report_line(text);
}

void at_exit() {
  if (check::Observer* c = checker()) {
    if (c->report_count()) report_line(c->text());
    if (const char* path = std::getenv("EMULATOR_CHECK_JSON")) write_file(path, c->json());
  }
  if (const char* path = std::getenv("EMULATOR_COUNTERS")) write_file(path, counters_json());
  if (options().summary) print_totals();
}

// Runs before main(), so that the handler runs after everything that main() registers.
struct Register {
  Register() { std::atexit(&at_exit); }
} instance;

}  // namespace

// Referenced by the registration of fat binaries, so that a static library keeps this file.
void keep_summary() {}

}  // namespace emulator::rt
