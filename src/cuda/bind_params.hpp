// From a checked call to kernel parameters.
#pragma once

#include "cuda/planner/two_kernel_plan.hpp"
#include "cuda/two_kernel/params.hpp"

namespace flash_kda::cuda {

PrepareParams bind_prepare(const Plan& plan, const Tensors& tensors, std::byte* workspace);
RecurrenceParams bind_recurrence(const Plan& plan, const Tensors& tensors, std::byte* workspace);
RecurrentParams bind_recurrent(const Plan& plan, const Tensors& tensors, std::byte* workspace);
CheckpointRowsParams bind_checkpoint_rows(const Plan& plan, const Tensors& tensors,
                                          std::byte* workspace);

}  // namespace flash_kda::cuda
