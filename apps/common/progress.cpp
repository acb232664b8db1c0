#include "apps/common/progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace flash_kda::apps {

using namespace std::chrono_literals;

Progress::Progress(std::string label, std::int64_t total)
    : label_(std::move(label)), total_(total) {
  if (::isatty(STDERR_FILENO)) painter_ = std::thread([this] { redraw_until_stopped(); });
}

Progress::~Progress() {
  {
    const std::lock_guard lock(mutex_);
    phase_ = Phase::kStopped;
  }
  stopped_.notify_one();
  if (painter_.joinable()) painter_.join();
}

void Progress::redraw_until_stopped() {
  std::unique_lock lock(mutex_);
  const auto is_stopped = [this] { return phase_ == Phase::kStopped; };
  if (stopped_.wait_for(lock, 1s, is_stopped)) return;
  do {
    std::fprintf(stderr, "\r\033[K%s", line().c_str());
    std::fflush(stderr);
  } while (!stopped_.wait_for(lock, 200ms, is_stopped));
  std::fputs("\r\033[K", stderr);
}

std::string Progress::line() const {
  constexpr int kWidth = 30;
  const double seconds = watch_.seconds();
  if (total_ <= 0) return fmt::format("{} {:.0f} s", label_, seconds);
  const double share = std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_));
  const int filled = static_cast<int>(share * kWidth);
  return fmt::format("{} [{:#<{}}{:.<{}}] {}/{} {:.0f} s", label_, "", filled, "", kWidth - filled,
                     done_.load(), total_, seconds);
}

}  // namespace flash_kda::apps
