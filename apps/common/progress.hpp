// A progress bar on stderr, if that is a terminal and the work takes more than a second. A thread
// of its own redraws it, so that one long call shows its elapsed time too.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

#include "apps/common/timing.hpp"

namespace flash_kda::apps {

class Progress {
 public:
  // total 0: the amount of work is not known, only the time is shown.
  Progress(std::string label, std::int64_t total);
  Progress(const Progress&) = delete;
  ~Progress();  // wipes the line

  void advance(std::int64_t steps = 1) { done_ += steps; }

 private:
  void redraw_until_stopped();
  std::string line() const;

  const std::string label_;
  const std::int64_t total_;
  const Stopwatch watch_;
  std::atomic<std::int64_t> done_ = 0;
  std::mutex mutex_;
  std::condition_variable stopped_;
  enum class Phase { kRunning, kStopped } phase_ = Phase::kRunning;
  std::thread painter_;  // last: uses all of the above
};

}  // namespace flash_kda::apps
