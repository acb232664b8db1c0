// Plans by problem and options, so that a repeated call costs one look-up. Used with the GIL held.
#pragma once

#include <cstddef>
#include <memory>

#include "flash_kda/flash_kda.h"

namespace flash_kda::python {

using PlanHandle = std::shared_ptr<flash_kda_plan>;

// device_index: a CUDA plan depends on the GPU that is current. Null with *status set when the plan
// is refused; flash_kda_last_error() has the message.
PlanHandle find_or_make_plan(const flash_kda_problem& problem,
                             const flash_kda_plan_options& options, int device_index,
                             flash_kda_status* status);

// This thread's scratch memory for CPU calls: grows, is reused, and is freed with the thread.
// Null when there is no memory.
void* host_workspace(std::size_t bytes);

}  // namespace flash_kda::python
