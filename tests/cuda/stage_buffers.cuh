// Device memory, conversions and swizzles for the stage kernels.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <type_traits>
#include <vector>

#include "cuda/two_kernel/chunk_image.cuh"
#include "tests/cuda/stage_kernels.hpp"

namespace flash_kda::cuda::testing {

// A failed call cannot be answered by a test: it ends the program.
inline void check(cudaError_t error) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "stage kernel: %s\n", cudaGetErrorString(error));
  std::abort();
}

template <typename T>
class DeviceArray {
 public:
  explicit DeviceArray(std::size_t count) : count_(count) {
    check(cudaMalloc(reinterpret_cast<void**>(&data_), count * sizeof(T)));
    check(cudaMemset(data_, 0xff, count * sizeof(T)));
  }
  explicit DeviceArray(const std::vector<T>& from) : DeviceArray(from.size()) {
    check(cudaMemcpy(data_, from.data(), count_ * sizeof(T), cudaMemcpyHostToDevice));
  }
  ~DeviceArray() { cudaFree(data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* data() const { return data_; }
  std::vector<T> read() const {
    check(cudaDeviceSynchronize());
    std::vector<T> to(count_);
    check(cudaMemcpy(to.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost));
    return to;
  }

 private:
  T* data_ = nullptr;
  std::size_t count_ = 0;
};

inline std::uint16_t bf16_bits(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, 4);
  return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

inline float bf16_value(std::uint16_t bits) {
  const std::uint32_t wide = static_cast<std::uint32_t>(bits) << 16;
  float x;
  std::memcpy(&x, &wide, 4);
  return x;
}

inline std::vector<std::uint16_t> to_bf16(const Floats& x) {
  std::vector<std::uint16_t> bits;
  for (const float value : x) bits.push_back(bf16_bits(value));
  return bits;
}

// A bf16 matrix of `columns` columns at `base`, by the offset that the kernels use for its units.
template <typename Offset>
void put_matrix(std::byte* base, const Floats& values, int columns, Offset offset) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const int row = static_cast<int>(i) / columns;
    const int column = static_cast<int>(i) % columns;
    const std::uint16_t bits = bf16_bits(values[i]);
    std::memcpy(base + offset(row, column / 8) + column % 8 * 2, &bits, 2);
  }
}

template <typename Offset>
Floats get_matrix(const std::byte* base, int columns, Offset offset) {
  Floats values(static_cast<std::size_t>(kTokens * columns));
  for (int i = 0; i < kTokens * columns; ++i) {
    std::uint16_t bits;
    std::memcpy(&bits, base + offset(i / columns, i % columns / 8) + i % columns % 8 * 2, 2);
    values[static_cast<std::size_t>(i)] = bf16_value(bits);
  }
  return values;
}

template <int kK>
void put_tile(std::byte* base, const Floats& values) {
  put_matrix(base, values, kK, &ChunkImage<kK>::tile_offset);
}
template <int kK>
Floats get_tile(const std::byte* base) {
  return get_matrix(base, kK, &ChunkImage<kK>::tile_offset);
}
template <int kK>
void put_square(std::byte* base, const Floats& values) {
  put_matrix(base, values, kTokens, &ChunkImage<kK>::square_offset);
}
template <int kK>
Floats get_square(const std::byte* base) {
  return get_matrix(base, kTokens, &ChunkImage<kK>::square_offset);
}

// Calls work(std::integral_constant<int, K>).
template <typename Work>
auto with_head_dim(int head_dim_k, const Work& work) {
  return head_dim_k == 128 ? work(std::integral_constant<int, 128>{})
                           : work(std::integral_constant<int, 64>{});
}

}  // namespace flash_kda::cuda::testing
