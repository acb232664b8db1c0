// Runs a CUDA plan on tensors that lie in host memory: copies them to the device, runs, waits, and
// copies the results back. For verification and for programs that think on the host; a caller with
// device tensors calls run().
#pragma once

#include "flash_kda/prefill.hpp"

namespace flash_kda {

// The device workspace is allocated here and starts as NaN, so that nothing can depend on it.
Status run_staged(const Plan& plan, const Tensors& tensors);

}  // namespace flash_kda
