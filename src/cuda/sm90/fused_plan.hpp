// Whether and how the fused kernel takes a problem. Host only.
#pragma once

#include <string>

#include "cuda/planner/two_kernel_plan.hpp"

namespace flash_kda::cuda::sm90 {

// Empty, or why the fused kernel cannot run this problem on this device.
std::string why_not_fused(const Problem& problem, const DeviceLimits& device);

// Whether it is expected to be faster than two kernels.
bool prefers_fused(const Problem& problem);

Config fused_config(const Problem& problem, const DeviceLimits& device);

}  // namespace flash_kda::cuda::sm90
