// A call on two packed sequences in device memory.
#pragma once

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "flash_kda/prefill.hpp"

namespace flash_kda {

// Device memory that frees itself.
class DeviceBuffer {
 public:
  explicit DeviceBuffer(std::size_t bytes) : bytes_(bytes) {
    EXPECT_EQ(cudaMalloc(&data_, bytes), cudaSuccess);
    EXPECT_EQ(cudaMemset(data_, 0, bytes), cudaSuccess);
  }
  ~DeviceBuffer() { cudaFree(data_); }
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;

  void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  void write(const void* from) {
    ASSERT_EQ(cudaMemcpy(data_, from, bytes_, cudaMemcpyHostToDevice), cudaSuccess);
  }
  std::vector<std::byte> read() const {
    std::vector<std::byte> to(bytes_);
    EXPECT_EQ(cudaMemcpy(to.data(), data_, bytes_, cudaMemcpyDeviceToHost), cudaSuccess);
    return to;
  }

 private:
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

// Two packed sequences on the device.
struct DeviceCall {
  DeviceCall(std::int64_t num_tokens, std::int64_t head_dim) : tokens(num_tokens), dim(head_dim) {}

  static constexpr std::int64_t kHeads = 2;
  std::int64_t tokens;
  std::int64_t dim;
  GateSpec gate;
  void* initial = nullptr;  // states, as `state`
  std::size_t row_bytes = static_cast<std::size_t>(tokens * kHeads * dim * 2);
  DeviceBuffer q{row_bytes}, k{row_bytes}, v{row_bytes}, g{row_bytes}, out{row_bytes};
  DeviceBuffer beta{static_cast<std::size_t>(tokens * kHeads * 2)}, cu_seqlens{3 * 4};
  DeviceBuffer state{static_cast<std::size_t>(2 * kHeads * dim * dim * 4)};

  Problem problem() const {
    Problem p;
    p.tokens = tokens;
    p.num_sequences = 2;
    p.qk_heads = p.v_heads = kHeads;
    p.head_dim_k = p.head_dim_v = dim;
    p.gate = gate;
    return p;
  }

  Tensors tensors() const {
    Tensors t;
    const auto rows = [this](const DeviceBuffer& buffer) {
      return TensorView::contiguous(buffer.data(), DType::kBF16, {1, tokens, kHeads, dim});
    };
    t.q = rows(q);
    t.k = rows(k);
    t.v = rows(v);
    t.g = rows(g);
    t.out = rows(out);
    t.beta = TensorView::contiguous(beta.data(), DType::kBF16, {1, tokens, kHeads});
    t.cu_seqlens = TensorView::contiguous(cu_seqlens.data(), DType::kI32, {3});
    t.final_state = TensorView::contiguous(state.data(), DType::kF32, {2, kHeads, dim, dim});
    if (initial != nullptr) {
      t.initial_state = TensorView::contiguous(initial, DType::kF32, {2, kHeads, dim, dim});
    }
    return t;
  }

  // bf16 values in (-2, 2) from a small generator, and a cut between the sequences.
  void fill(std::uint32_t seed, std::int32_t cut) {
    for (DeviceBuffer* buffer : {&q, &k, &v, &g, &beta}) {
      std::vector<std::uint16_t> values(buffer->bytes() / 2);
      for (std::uint16_t& value : values) {
        seed = seed * 1664525u + 1013904223u;
        value = static_cast<std::uint16_t>(0x3e00u + (seed >> 23) + ((seed & 1u) << 15));
      }
      buffer->write(values.data());
    }
    const std::int32_t lengths[] = {0, cut, static_cast<std::int32_t>(tokens)};
    cu_seqlens.write(lengths);
  }
};

}  // namespace flash_kda
