// The checker of the process, if checks are on.
#pragma once

#include "check/observer.hpp"
#include "exec/kernel.hpp"

namespace emulator {

check::Observer* checker();  // null: checks are off
// Numbers the instructions of a kernel over all modules, for reports.
void register_sites(Kernel& kernel);

}  // namespace emulator
