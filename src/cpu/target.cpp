#include "cpu/target.hpp"

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cstdlib>

#include "cpu/kernels.hpp"

namespace flash_kda::cpu {
namespace {

constexpr int kNone = -1;
std::atomic<int> last_target{kNone};

// Names that FLASH_KDA_CPU_TARGET accepts besides those of to_string.
struct Alias {
  const char* name;
  Target target;
};
constexpr Alias kAliases[] = {
    {"NEON", Target::kNeon},   {"AVX2", Target::kAvx2},          {"AVX3", Target::kAvx3},
    {"AVX512", Target::kAvx3}, {"AVX3+BF16", Target::kAvx3Bf16}, {"AVX512BF16", Target::kAvx3Bf16},
};

std::string upper_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

std::optional<Target> parse_target(const std::string& name) {
  for (const Alias& alias : kAliases) {
    if (upper_case(name) == alias.name) return alias.target;
  }
  return std::nullopt;
}

bool machine_has(Target target) {
#if defined(__x86_64__)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  const bool avx3 = avx2 && __builtin_cpu_supports("avx512f") &&
                    __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vl");
  if (target == Target::kAvx2) return avx2;
  if (target == Target::kAvx3) return avx3;
  if (target == Target::kAvx3Bf16) return avx3 && __builtin_cpu_supports("avx512bf16");
  return false;
#elif defined(__aarch64__)
  return target == Target::kNeon;
#else
  return false;
#endif
}

}  // namespace

const char* to_string(Target target) {
  switch (target) {
    case Target::kNeon:
      return "NEON";
    case Target::kAvx2:
      return "AVX2";
    case Target::kAvx3:
      return "AVX3";
    case Target::kAvx3Bf16:
      return "AVX3+BF16";
  }
  return "unknown";
}

bool is_available(Target target) { return kernels_for(target) != nullptr && machine_has(target); }

Result<Target> choose_target(Precision precision) {
  // getenv is read at plan time only, never on the hot path.
  const char* forced = std::getenv("FLASH_KDA_CPU_TARGET");
  if (forced != nullptr && *forced != '\0') {
    const std::string name = forced;
    const std::optional<Target> target = parse_target(name);
    if (!target) {
      return Status::unsupported(
          "FLASH_KDA_CPU_TARGET: expected avx2, avx3, avx512bf16 or neon, got " + name);
    }
    if (!is_available(*target)) {
      return Status::unsupported("FLASH_KDA_CPU_TARGET: " + name +
                                 " cannot run here; available: " + available_targets());
    }
    if (*target == Target::kAvx3Bf16 && precision != Precision::kBF16) {
      return Status::unsupported("FLASH_KDA_CPU_TARGET: " + name +
                                 " serves precision bf16 only, got precision fp32");
    }
    return *target;
  }
  for (Target target : {Target::kAvx3Bf16, Target::kAvx3, Target::kAvx2, Target::kNeon}) {
    if (target == Target::kAvx3Bf16 && precision != Precision::kBF16) continue;
    if (is_available(target)) return target;
  }
  return Status::unsupported(
      "the cpu backend needs AVX2 with FMA, or NEON; this machine has neither");
}

std::string available_targets() {
  std::string names;
  for (Target target : {Target::kAvx3Bf16, Target::kAvx3, Target::kAvx2, Target::kNeon}) {
    if (!is_available(target)) continue;
    if (!names.empty()) names += ", ";
    names += to_string(target);
  }
  return names;
}

void record_executed(Target target) {
  last_target.store(static_cast<int>(target), std::memory_order_relaxed);
}

std::optional<Target> last_executed() {
  const int target = last_target.load(std::memory_order_relaxed);
  if (target == kNone) return std::nullopt;
  return static_cast<Target>(target);
}

void forget_executed() { last_target.store(kNone, std::memory_order_relaxed); }

}  // namespace flash_kda::cpu
