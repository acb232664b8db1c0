// Operand values by kind: corner cases first, then random bit patterns and values of ordinary size.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "vector_case.hpp"

namespace emulator_tests {

// One operand: a corner case about every third time.
uint64_t sample(Kind kind, std::mt19937_64& random);

}  // namespace emulator_tests
