// What the host tells the fused kernel.
#pragma once

#include <cuda.h>
#include <cuda_runtime_api.h>

#include "cuda/sm90/config.hpp"
#include "cuda/two_kernel/launch.hpp"
#include "cuda/two_kernel/params.hpp"

namespace flash_kda::cuda::sm90 {

// Whether a tensor can be moved by TMA: 16-byte aligned base, strides that are positive multiples
// of 16 bytes. Otherwise a warp moves it element by element.
enum class Transfer : std::int32_t { kBox, kElements };

struct FusedParams {
  CUtensorMap q_map, k_map, g_map, v_map, out_map;
  SequenceMap sequences;
  StateRouting states;
  TokenInputs inputs;
  RowTensor v, out;
  std::int32_t items = 0;            // (sequence, value head) pairs
  Transfer loads = Transfer::kBox;   // of q, k, g and v
  Transfer stores = Transfer::kBox;  // of out
};

// `blocks` at most `items`; each stays on its SM and takes every blocks-th item.
cudaError_t launch_fused(const FusedParams& params, int blocks, const LaunchContext& context);

}  // namespace flash_kda::cuda::sm90
