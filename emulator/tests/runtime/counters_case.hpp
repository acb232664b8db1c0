#pragma once

#include <cstdint>

#include "support/launch.hpp"

namespace emulator_tests {

EMULATOR_KERNEL void counted(uint32_t* out);
// A cluster of two CTAs, each of which writes its own word, at its own line.
EMULATOR_KERNEL void counted_pair(uint32_t* out);

}  // namespace emulator_tests
