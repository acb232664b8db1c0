// What a tiled tensor map makes of a box: which element of global memory belongs to which byte of
// shared memory.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace host_model {

struct TensorDescription {
  int rank = 1;
  int element_bytes = 1;
  int64_t dimension[5] = {1, 1, 1, 1, 1};
  int64_t stride_bytes[5] = {0, 0, 0, 0, 0};  // of each dimension; the first is element_bytes
  int box[5] = {1, 1, 1, 1, 1};
  int element_stride[5] = {1, 1, 1, 1, 1};
  int swizzle_bytes = 0;  // 0, 32, 64 or 128

  // A box of `box` elements walked in steps of `element_stride` holds this many.
  int box_count(int d) const { return (box[d] + element_stride[d] - 1) / element_stride[d]; }
  int64_t box_bytes() const {
    int64_t bytes = element_bytes;
    for (int d = 0; d < rank; ++d) bytes *= box_count(d);
    return bytes;
  }
  int64_t tensor_bytes() const {
    return rank == 1 ? dimension[0] * element_bytes : dimension[rank - 1] * stride_bytes[rank - 1];
  }
};

// The hardware exchanges 16-byte units within rows of 128 bytes: unit index xor row index.
inline uint32_t swizzle(uint32_t address, int swizzle_bytes) {
  const uint32_t unit = address >> 4;
  const uint32_t row = address >> 7;
  switch (swizzle_bytes) {
    case 32:
      return (unit ^ (row & 1)) << 4 | (address & 15);
    case 64:
      return (unit ^ (row & 3)) << 4 | (address & 15);
    case 128:
      return (unit ^ (row & 7)) << 4 | (address & 15);
    default:
      return address;
  }
}

struct BoxElement {
  bool inside;            // of the tensor
  int64_t global_offset;  // bytes from the tensor's base; only if inside
  uint32_t shared_offset;
};

inline void for_each_box_element(const TensorDescription& tensor, const int (&corner)[5],
                                 const std::function<void(const BoxElement&)>& visit) {
  int64_t total = 1;
  for (int d = 0; d < tensor.rank; ++d) total *= tensor.box_count(d);
  for (int64_t linear = 0; linear < total; ++linear) {
    int64_t rest = linear;
    BoxElement element{true, 0, 0};
    for (int d = 0; d < tensor.rank; ++d) {
      const int64_t step = rest % tensor.box_count(d);
      rest /= tensor.box_count(d);
      const int64_t index = corner[d] + step * tensor.element_stride[d];
      if (index < 0 || index >= tensor.dimension[d]) element.inside = false;
      element.global_offset += index * (d == 0 ? tensor.element_bytes : tensor.stride_bytes[d]);
    }
    element.shared_offset =
        swizzle(static_cast<uint32_t>(linear * tensor.element_bytes), tensor.swizzle_bytes);
    visit(element);
  }
}

}  // namespace host_model
