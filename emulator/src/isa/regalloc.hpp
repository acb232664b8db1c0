// Packs virtual registers into a small register file: PTX is nearly SSA, so a warp would else need
// hundreds of kilobytes and miss the cache on every instruction.
#pragma once

#include <vector>

#include "isa/decoder.hpp"

namespace emulator::isa {

struct Allocation {
  std::vector<u32> offset;  // byte offset of each virtual register
  u32 bytes = 0;
  u32 pressure = 0;  // most 32-bit values of a thread alive at once
};

Allocation allocate(const std::vector<Inst>& code, const std::vector<OperandRecord>& records,
                    const std::vector<VirtualRegister>& registers);

}  // namespace emulator::isa
