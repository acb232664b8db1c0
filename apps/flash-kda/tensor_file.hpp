// A safetensors file as the tensors of one call: what `prefill` reads and `verify --input` checks.
//
//   q, k [B, T, H, K]   v [B, T, HV, V]   g [B, T, HV, K]   beta [B, T, HV]
//   optional: A_log, dt_bias, initial_state [N, HV, V, K], cu_seqlens [N + 1]
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "apps/common/safetensors.hpp"
#include "apps/flash-kda/options.hpp"
#include "flash_kda/flash_kda.hpp"

namespace flash_kda::cli {

// A contiguous tensor and its memory, 64-byte aligned, zeroed.
class OwnedTensor {
 public:
  OwnedTensor(DType dtype, const std::vector<std::int64_t>& shape);
  const TensorView& view() const { return view_; }

 private:
  struct Free {
    void operator()(void* data) const;
  };
  TensorView view_;
  std::unique_ptr<void, Free> data_;
};

struct TensorFile {
  apps::SafetensorsFile file;
  Problem problem;                    // sizes and types from the file, all else from the options
  Tensors tensors;                    // inputs only
  std::vector<std::int64_t> lengths;  // of each sequence
  std::vector<std::string> unused;    // names that mean nothing here
};
Result<TensorFile> open_tensor_file(const std::string& path, const OperationOptions& options);

// Memory for every result that the problem asks for, and the tensors completed by it.
struct Results {
  std::vector<apps::NamedTensor> named;  // out, final_state, checkpoints where asked for
  std::vector<OwnedTensor> owned;
};
Results add_results(TensorFile& input);

// run() with a workspace of its own.
Status run_once(const Plan& plan, const Tensors& tensors);

}  // namespace flash_kda::cli
