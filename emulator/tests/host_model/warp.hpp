// What the lanes of a warp tell each other.
#pragma once

#include <bit>
#include <cstdint>

namespace host_model {

enum class ShuffleMode { up, down, bfly, idx };

// Value * 2 + predicate, as the PTX manual's pseudocode computes them.
inline uint32_t shuffle(ShuffleMode mode, const uint32_t* a, uint32_t b, uint32_t c, int lane) {
  const int offset = static_cast<int>(b & 31);
  const int segment_mask = static_cast<int>(c >> 8 & 31);
  const int clamp = static_cast<int>(c & 31);
  const int max_lane = (lane & segment_mask) | (clamp & ~segment_mask);
  const int min_lane = lane & segment_mask;
  int source = lane;
  bool in_range = false;
  switch (mode) {
    case ShuffleMode::up:
      source = lane - offset;
      in_range = source >= max_lane;
      break;
    case ShuffleMode::down:
      source = lane + offset;
      in_range = source <= max_lane;
      break;
    case ShuffleMode::bfly:
      source = lane ^ offset;
      in_range = source <= max_lane;
      break;
    case ShuffleMode::idx:
      source = min_lane | (offset & ~segment_mask);
      in_range = source <= max_lane;
      break;
  }
  return a[in_range ? source : lane] * 2 + in_range;
}

inline uint32_t lanes_with(const uint32_t* a, uint32_t mask, uint32_t value) {
  uint32_t lanes = 0;
  for (int lane = 0; lane < 32; ++lane) lanes |= uint32_t{(a[lane] & mask) == value} << lane;
  return lanes;
}

inline uint32_t positive_lanes(const uint32_t* a) {
  uint32_t lanes = 0;
  for (int lane = 0; lane < 32; ++lane) {
    lanes |= uint32_t{static_cast<int32_t>(a[lane]) > 0} << lane;
  }
  return lanes;
}

inline int lowest_lane(uint32_t lanes) { return std::countr_zero(lanes); }

// `lanes` is not empty.
template <class Step>
uint32_t fold(const uint32_t* a, uint32_t lanes, Step step) {
  const int first = lowest_lane(lanes);
  uint32_t result = a[first];
  for (int lane = first + 1; lane < 32; ++lane) {
    if (lanes >> lane & 1) result = step(result, a[lane]);
  }
  return result;
}

}  // namespace host_model
