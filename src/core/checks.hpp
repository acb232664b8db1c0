// The gate: every argument is checked here once, and nowhere below.
#pragma once

#include "flash_kda/prefill.hpp"

namespace flash_kda {

// Presence, dtypes, shapes, strides and pointers of every tensor against the problem. Reads no
// data.
Status check_tensors(const Problem& problem, const Tensors& tensors);

}  // namespace flash_kda
