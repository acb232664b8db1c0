// From a checked call to the parameters of the fused kernel.
#pragma once

#include <cstddef>

#include "cuda/sm90/params.hpp"
#include "flash_kda/prefill.hpp"

namespace flash_kda::cuda::sm90 {

// An error where the driver refuses a tensor map that the documented rules of TMA allow.
Result<FusedParams> bind_fused(const Plan& plan, const Tensors& tensors, std::byte* workspace);

// Of the split form for the chains that `fused` leaves. `split`: the plan's part for them.
Result<FusedParams> bind_left(const FusedParams& fused, const Plan& split, const Tensors& tensors,
                              const FusedEnd& fused_end);

}  // namespace flash_kda::cuda::sm90
