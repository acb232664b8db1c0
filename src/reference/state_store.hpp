// States in fp64 [K, V], as the equations write them, from and to the caller's type and layout.
#pragma once

#include "core/host_call.hpp"
#include "reference/matrix.hpp"

namespace flash_kda::reference {

// An empty source reads as zero.
void read_state(const StateRef& src, Matrix S);
// An empty destination takes nothing.
void write_state(const StateRef& dst, Matrix S);
// To every destination that wants the state of (n, v_head) after `offset` tokens.
void write_checkpoints(const HostCall& call, std::int64_t n, std::int64_t v_head,
                       std::int64_t offset, Matrix S);

}  // namespace flash_kda::reference
