// One warp's 16 value rows of a state, between the caller's memory and accumulator registers.
#pragma once

#include <cstdint>

#include "cuda/common/mma.cuh"
#include "cuda/two_kernel/params.hpp"
#include "cuda/two_kernel/sequence.cuh"

namespace flash_kda::cuda {

inline constexpr int kRowsPerWarp = 16;

// The value row, counted within the warp, that accumulator row lane / 4 (+ 8 for the upper half)
// stands for. Pairs of rows alternate between the halves, so that after transpose_tile a lane holds
// four neighbouring values of one token: 8-byte accesses, whole 32-byte sectors.
__device__ __forceinline__ int value_row(int half) {
  const int r = (static_cast<int>(threadIdx.x) & 31) / 4;
  return (r / 2) * 4 + r % 2 + 2 * half;
}

// Where one (slot, head) of a state tensor lies; data null: read as zero, not written.
struct StatePlace {
  void* data;
  DType dtype;
  Alignment alignment;
  std::int64_t at;  // element
  std::int64_t v_stride;
  std::int64_t k_stride;
};

__device__ __forceinline__ StatePlace no_state() {
  return {nullptr, DType::kF32, Alignment::kElement, 0, 0, 0};
}

__device__ __forceinline__ StatePlace place_of_state(const StateTensor& tensor, std::int64_t slot,
                                                     std::int64_t head) {
  return {tensor.data,      tensor.dtype,
          tensor.alignment, slot * tensor.slot_stride + head * tensor.head_stride,
          tensor.v_stride,  tensor.k_stride};
}

__device__ __forceinline__ bool starts_from_state(const StateRouting& routing, std::int64_t n) {
  return routing.has_initial == nullptr || routing.has_initial[n] != 0;
}

// Slot of sequence n, or -1.
__device__ __forceinline__ std::int64_t state_slot(const StateRouting& routing, std::int64_t n) {
  if (routing.indices.data == nullptr) return n;
  const std::int64_t slot = load_index(routing.indices, n);
  return slot < routing.slots ? slot : -1;
}

__device__ __forceinline__ StatePlace initial_place(const StateRouting& routing, std::int64_t n,
                                                    std::int64_t head) {
  const std::int64_t slot = state_slot(routing, n);
  if (routing.initial.data == nullptr || slot < 0 || !starts_from_state(routing, n)) {
    return no_state();
  }
  return place_of_state(routing.initial, slot, head);
}

__device__ __forceinline__ StatePlace final_place(const StateRouting& routing, std::int64_t n,
                                                  std::int64_t head) {
  const std::int64_t slot = state_slot(routing, n);
  if (routing.final.data == nullptr || slot < 0) return no_state();
  return place_of_state(routing.final, slot, head);
}

__device__ __forceinline__ float load_state_scalar(const StatePlace& place, std::int64_t v,
                                                   std::int64_t k) {
  const std::int64_t at = place.at + v * place.v_stride + k * place.k_stride;
  if (place.dtype == DType::kF32) return static_cast<const float*>(place.data)[at];
  return low_bf16(static_cast<const std::uint16_t*>(place.data)[at]);
}

__device__ __forceinline__ float2 load_state_pair(const StatePlace& place, std::int64_t v,
                                                  std::int64_t k) {
  const std::int64_t at = place.at + v * place.v_stride + k * place.k_stride;
  if (place.dtype == DType::kF32) {
    const float* p = static_cast<const float*>(place.data) + at;
    if (place.alignment == Alignment::kVector) return *reinterpret_cast<const float2*>(p);
    return {p[0], p[place.k_stride]};
  }
  const auto* p = static_cast<const std::uint16_t*>(place.data) + at;
  const std::uint32_t pair = place.alignment == Alignment::kVector
                                 ? *reinterpret_cast<const std::uint32_t*>(p)
                                 : p[0] | (static_cast<std::uint32_t>(p[place.k_stride]) << 16);
  return {low_bf16(pair), high_bf16(pair)};
}

__device__ __forceinline__ void store_state_pair(const StatePlace& place, std::int64_t v,
                                                 std::int64_t k, float x, float y) {
  const std::int64_t at = place.at + v * place.v_stride + k * place.k_stride;
  if (place.dtype == DType::kF32) {
    float* p = static_cast<float*>(place.data) + at;
    if (place.alignment == Alignment::kVector) {
      *reinterpret_cast<float2*>(p) = {x, y};
    } else {
      p[0] = x;
      p[place.k_stride] = y;
    }
    return;
  }
  auto* p = static_cast<std::uint16_t*>(place.data) + at;
  const std::uint32_t pair = pack_bf16(x, y);
  if (place.alignment == Alignment::kVector) {
    *reinterpret_cast<std::uint32_t*>(p) = pair;
  } else {
    p[0] = static_cast<std::uint16_t>(pair);
    p[place.k_stride] = static_cast<std::uint16_t>(pair >> 16);
  }
}

// Columns 8 tile .. 8 tile + 7 of the 16 rows that start at v_begin.
__device__ __forceinline__ void store_state_tile(const StatePlace& place, std::int64_t v_begin,
                                                 int tile, const Accumulator& acc) {
  const int k = 8 * tile + 2 * (static_cast<int>(threadIdx.x) & 3);
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    store_state_pair(place, v_begin + value_row(half), k, acc.d[2 * half], acc.d[2 * half + 1]);
  }
}

template <int kTiles>
__device__ __forceinline__ void load_state(const StatePlace& place, std::int64_t v_begin,
                                           Accumulator (&state)[kTiles]) {
  if (place.data == nullptr) return;
#pragma unroll
  for (int tile = 0; tile < kTiles; ++tile) {
    const int k = 8 * tile + 2 * (static_cast<int>(threadIdx.x) & 3);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float2 pair = load_state_pair(place, v_begin + value_row(half), k);
      state[tile].d[2 * half] = pair.x;
      state[tile].d[2 * half + 1] = pair.y;
    }
  }
}

template <int kTiles>
__device__ __forceinline__ void store_state(const StatePlace& place, std::int64_t v_begin,
                                            const Accumulator (&state)[kTiles]) {
  if (place.data == nullptr) return;
#pragma unroll
  for (int tile = 0; tile < kTiles; ++tile) store_state_tile(place, v_begin, tile, state[tile]);
}

}  // namespace flash_kda::cuda
