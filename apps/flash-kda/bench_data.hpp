// The tensors of a measured call: the published input distribution, contiguous, in place states.
#pragma once

#include <vector>

#include "apps/flash-kda/shapes.hpp"
#include "apps/flash-kda/tensor_file.hpp"

namespace flash_kda::cli {

class BenchData {
 public:
  explicit BenchData(const NamedShape& shape);
  const Tensors& tensors() const { return tensors_; }

 private:
  TensorView new_tensor(DType dtype, const std::vector<std::int64_t>& shape);
  TensorView random_tensor(DType dtype, const std::vector<std::int64_t>& shape);

  Tensors tensors_;
  std::vector<OwnedTensor> owned_;
};

// What a call has to do at least, whatever the algorithm.
struct Work {
  std::int64_t tokens = 0;       // of all sequences
  std::int64_t token_heads = 0;  // tokens * HV
  // 7 * K * V a token and head: decay (1), S k (2), the rank-one update (2), S q (2).
  double flop = 0;
  // q, k, v, g, beta and out once; of every sequence and head, the state once in and once out.
  double bytes = 0;
};
Work work_of(const NamedShape& shape);

}  // namespace flash_kda::cli
