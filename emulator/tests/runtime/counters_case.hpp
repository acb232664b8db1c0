#pragma once

#include <cstdint>

#include "support/launch.hpp"

namespace emulator_tests {

EMULATOR_KERNEL void counted(uint32_t* out);

}  // namespace emulator_tests
