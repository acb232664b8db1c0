// The state of a cut chain on its way from one block to the next, through L2.
#pragma once

#include "cuda/sm90/params.hpp"
#include "cuda/sm90/work.cuh"

namespace flash_kda::cuda::sm90 {

// A warp of the recurrence hands its 16 value rows to the same warp of the other block, fp32 as
// they lie in its registers: 16 coalesced accesses of 512 bytes, and one flag.
__device__ __forceinline__ float4* slot_of_thread(float* states, int slot, int thread) {
  const int first = (thread / 32) * 512 + thread % 32;
  return reinterpret_cast<float4*>(states + static_cast<std::int64_t>(slot) * kHandoverFloats) +
         first;
}
__device__ __forceinline__ void write_slot(float4* to, const float (&state)[64]) {
#pragma unroll
  for (int i = 0; i < 16; ++i) {
    to[32 * i] = {state[4 * i], state[4 * i + 1], state[4 * i + 2], state[4 * i + 3]};
  }
}
__device__ __forceinline__ void read_slot(const float4* from, float (&state)[64]) {
#pragma unroll
  for (int i = 0; i < 16; ++i) {
    const float4 x = from[32 * i];
    state[4 * i] = x.x, state[4 * i + 1] = x.y, state[4 * i + 2] = x.z, state[4 * i + 3] = x.w;
  }
}
__device__ __forceinline__ std::uint32_t* handover_flag(const Handover& h, int slot, int thread) {
  return h.sent + slot * kHandoverFlags + thread / 32;
}

__device__ __forceinline__ void send_state(const Handover& h, int slot, const float (&state)[64]) {
  const int thread = recurrence_thread();
  write_slot(slot_of_thread(h.states, slot, thread), state);
  __syncwarp();
  if (thread % 32 == 0) {
    store_release(handover_flag(h, slot, thread), 1u);
  }
}

// Until `arrivals` warps have arrived. By a warp.
__device__ __forceinline__ void wait_for_warps(const std::uint32_t* counter, int arrivals) {
  if (lane_index() == 0) {
    while (load_acquire(counter) < static_cast<std::uint32_t>(arrivals)) __nanosleep(100);
  }
  __syncwarp();
}

// Until the block before has handed over the state of its part.
__device__ __forceinline__ void wait_for_state(const Handover& h, int slot) {
  wait_for_warps(handover_flag(h, slot, recurrence_thread()), 1);
}

__device__ __forceinline__ void receive_state(const Handover& h, int slot, float (&state)[64]) {
  wait_for_state(h, slot);
  read_slot(slot_of_thread(h.states, slot, recurrence_thread()), state);
}

}  // namespace flash_kda::cuda::sm90
