#include "apps/common/timing.hpp"

#include <algorithm>
#include <cmath>

namespace flash_kda::apps {

double quantile(std::vector<double> samples, double p) {
  std::ranges::sort(samples);
  const double position = p * static_cast<double>(samples.size() - 1);
  const double below = std::floor(position);
  const auto index = static_cast<std::size_t>(below);
  const std::size_t next = std::min(index + 1, samples.size() - 1);
  return samples[index] + (position - below) * (samples[next] - samples[index]);
}

Quantiles quantiles(const std::vector<double>& samples) {
  return {quantile(samples, 0.1), quantile(samples, 0.5), quantile(samples, 0.9)};
}

}  // namespace flash_kda::apps
