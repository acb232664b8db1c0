// From a checked call to the parameters of the fused kernel.
#pragma once

#include <cstddef>

#include "cuda/sm90/params.hpp"
#include "flash_kda/prefill.hpp"

namespace flash_kda::cuda::sm90 {

// An error where the driver refuses a tensor map that the documented rules of TMA allow.
Result<FusedParams> bind_fused(const Plan& plan, const Tensors& tensors, std::byte* workspace);

// Of `fused`, for a plan with Unproven::kSplit, and of the split form for the chains that it
// leaves.
Result<FusedThenSplitParams> bind_both(const FusedParams& fused, const Plan& plan,
                                       const Tensors& tensors);

}  // namespace flash_kda::cuda::sm90
