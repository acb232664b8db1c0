// One (sequence, value head) of a checked call, as the kernels want it.
#pragma once

#include "core/host_call.hpp"
#include "cpu/kernels.hpp"

namespace flash_kda::cpu {

HeadInput head_input(const HostCall& call, const Sequence& sequence, int v_head);
MutableRows head_output(const HostCall& call, const Sequence& sequence, int v_head);
// Copies dt_bias of the head to `dt_bias` [K_pad], zeros where absent, and refers to it.
HeadParams head_params(const HostCall& call, int v_head, float* dt_bias);

// The same rows from another token and column on.
Rows rows_at(const Rows& rows, std::int64_t token, std::int64_t column);
MutableRows rows_at(const MutableRows& rows, std::int64_t token, std::int64_t column);

}  // namespace flash_kda::cpu
