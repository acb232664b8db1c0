// Wall-clock time, and what to say of repeated measurements.
#pragma once

#include <chrono>
#include <vector>

namespace flash_kda::apps {

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }
  void restart() { start_ = std::chrono::steady_clock::now(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

struct Quantiles {
  double p10 = 0;
  double median = 0;
  double p90 = 0;
};

// Linear between order statistics: the value at position p * (n - 1). `samples` is not empty.
double quantile(std::vector<double> samples, double p);
Quantiles quantiles(const std::vector<double>& samples);

}  // namespace flash_kda::apps
