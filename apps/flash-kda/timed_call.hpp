// One planned call that can be run and timed again and again.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "flash_kda/flash_kda.hpp"

namespace flash_kda::cli {

// What the caches of a GPU hold when a call starts. On a CPU calls simply follow each other.
enum class Cache {
  kAsIs,
  kWarm,  // what the same call left there
  kCold,  // nothing of the call
};

class TimedCall {
 public:
  virtual ~TimedCall() = default;
  // Milliseconds of one call, by the clock of whoever runs it.
  virtual Result<double> run_once() = 0;
};

// `host` must outlive the call. A GPU gets its own copy of the tensors.
Result<std::unique_ptr<TimedCall>> make_timed_call(const Plan& plan, Cache cache,
                                                   const Tensors& host);

struct Gpu {
  std::string name;
  double copy_gbs = 0;  // bytes read plus bytes written by a copy within its memory
};
// Of the current device. Absent: built without CUDA, or no device.
std::optional<Gpu> measure_gpu();

}  // namespace flash_kda::cli
