#include "apps/common/machine.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <fstream>
#include <sstream>
#include <thread>

namespace flash_kda::apps {
namespace {

constexpr std::array<const char*, 11> kVectorFlags{
    "avx2",        "fma",         "f16c",     "avx512f", "avx512bw", "avx512vl",
    "avx512_vnni", "avx512_bf16", "amx_bf16", "asimd",   "bf16"};

int usable_cpus() {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

// Fills model name and flags from the first processor that /proc/cpuinfo lists.
void read_cpuinfo(Machine& machine) {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line) && !line.empty();) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::string value = line.substr(std::min(colon + 2, line.size()));
    if (line.starts_with("model name")) machine.cpu = value;
    if (!line.starts_with("flags") && !line.starts_with("Features")) continue;
    std::istringstream words(value);
    for (std::string word; words >> word;) {
      if (std::ranges::find(kVectorFlags, word) != kVectorFlags.end()) {
        machine.flags.push_back(word);
      }
    }
  }
}

}  // namespace

Machine describe_machine() {
  Machine machine{.cpu = "unknown", .logical_cpus = usable_cpus(), .flags = {}, .memory_gib = 0};
  read_cpuinfo(machine);
  const double bytes =
      static_cast<double>(::sysconf(_SC_PHYS_PAGES)) * static_cast<double>(::sysconf(_SC_PAGESIZE));
  machine.memory_gib = bytes / (1 << 30);
  return machine;
}

std::string compiler_name() {
#if defined(__clang__)
  return std::string("clang ") + __clang_version__;
#else
  return std::string("gcc ") + __VERSION__;
#endif
}

std::string utc_time() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text.data();
}

}  // namespace flash_kda::apps
