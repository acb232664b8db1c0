// The fat binary that nvcc puts into host objects.
#pragma once

#include <string>

#include "base/types.hpp"

namespace emulator::rt {

struct FatbinChoice {
  std::string ptx;    // empty: nothing usable
  std::string error;  // why
};

// The PTX for the newest architecture that the device can run.
FatbinChoice choose_ptx(const void* fatbin_wrapper, u32 major, u32 minor);

}  // namespace emulator::rt
