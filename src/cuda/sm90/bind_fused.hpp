// From a checked call to the parameters of the fused kernel.
#pragma once

#include <cstddef>

#include "cuda/sm90/params.hpp"
#include "flash_kda/prefill.hpp"

namespace flash_kda::cuda::sm90 {

// An error where the driver refuses a tensor map that the documented rules of TMA allow.
Result<FusedParams> bind_fused(const Plan& plan, const Tensors& tensors, std::byte* workspace);

}  // namespace flash_kda::cuda::sm90
