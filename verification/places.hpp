// Where the tensors of a call say that things are: tokens of a sequence, its states, its
// checkpoints. Written anew from docs/algorithm.md, apart from src/core, so that the two check each
// other.
#pragma once

#include <cstdint>
#include <vector>

#include "flash_kda/prefill.hpp"

namespace flash_kda::verification {

// The states of all heads of one sequence in one slot of a tensor.
struct StatePlace {
  void* data = nullptr;  // of head 0; null: zero to read, nothing to write
  DType dtype = DType::kF32;
  std::int64_t head_stride = 0, v_stride = 0, k_stride = 0;

  explicit operator bool() const { return data != nullptr; }
  double read(std::int64_t v_head, std::int64_t k, std::int64_t v) const;
  void* address(std::int64_t v_head, std::int64_t k, std::int64_t v) const;
};

struct CheckpointPlace {
  std::int64_t offset = 0;
  StatePlace place;
};

struct SequencePlaces {
  std::int64_t batch_row = 0, bos = 0, length = 0;
  StatePlace initial, final;
  std::vector<CheckpointPlace> checkpoints;
};

std::vector<SequencePlaces> find_places(const Problem& problem, const Tensors& tensors);

// Element [b, t, h, c] of a token-wise tensor.
double read_token(const TensorView& view, std::int64_t b, std::int64_t t, std::int64_t h,
                  std::int64_t c);

}  // namespace flash_kda::verification
