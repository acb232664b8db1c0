// The GPU's side of timed_call.hpp.
#pragma once

#include "apps/flash-kda/timed_call.hpp"

namespace flash_kda::cli {

Result<std::unique_ptr<TimedCall>> make_timed_device_call(const Plan& plan, Cache cache,
                                                          const Tensors& host);

}  // namespace flash_kda::cli
