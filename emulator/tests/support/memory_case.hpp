// What the kernels of vectors/memory.inc look like.
#pragma once

#include <cstdint>

namespace emulator_tests {

inline constexpr int kMemoryThreads = 64;
// Every thread has 32 bytes of each buffer.
using MemoryKernel = void (*)(const uint8_t* in, uint8_t* out);

}  // namespace emulator_tests
