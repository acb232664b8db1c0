// Launches, for the host side: one function a kernel, each returning what the runtime said.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "cuda/two_kernel/params.hpp"

namespace flash_kda::cuda {

// Whether a kernel may be brought in while the one before it still runs (compute capability 9.0 and
// above). Every kernel waits for its predecessor before it reads what that wrote.
enum class Overlap : std::int32_t { kNone, kProgrammatic };

struct LaunchContext {
  cudaStream_t stream = nullptr;
  Overlap overlap = Overlap::kNone;
};

struct LaunchShape {
  dim3 grid{1, 1, 1};
  dim3 block{1, 1, 1};
  dim3 cluster{1, 1, 1};
  std::size_t shared_bytes = 0;
};

// Dynamic shared memory above this has to be asked for, kernel by kernel.
inline constexpr std::size_t kUnaskedSharedBytes = 48 * 1024;

template <typename Params>
cudaError_t launch(void (*kernel)(Params), const LaunchShape& shape, const LaunchContext& context,
                   const Params& params) {
  if (shape.shared_bytes > kUnaskedSharedBytes) {
    const cudaError_t error = cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                                   cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                   static_cast<int>(shape.shared_bytes));
    if (error != cudaSuccess) return error;
  }
  cudaLaunchAttribute attributes[2] = {};
  unsigned used = 0;
  if (context.overlap == Overlap::kProgrammatic) {
    attributes[used].id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attributes[used++].val.programmaticStreamSerializationAllowed = 1;
  }
  if (shape.cluster.x * shape.cluster.y * shape.cluster.z > 1) {
    attributes[used].id = cudaLaunchAttributeClusterDimension;
    attributes[used].val.clusterDim.x = shape.cluster.x;
    attributes[used].val.clusterDim.y = shape.cluster.y;
    attributes[used++].val.clusterDim.z = shape.cluster.z;
  }
  cudaLaunchConfig_t config{};
  config.gridDim = shape.grid;
  config.blockDim = shape.block;
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = context.stream;
  config.attrs = attributes;
  config.numAttrs = used;
  void* arguments[] = {const_cast<Params*>(&params)};
  return cudaLaunchKernelExC(&config, reinterpret_cast<const void*>(kernel), arguments);
}

// Whether the code that runs is the one with the wait: compiled for compute capability 9.0 or
// above, not brought forward from 8.x.
bool kernels_wait_for_predecessors();

// `slots` counts chunk places and, with checkpoints off the chunk grid, the side places after them.
cudaError_t launch_prepare(const PrepareParams& params, int head_dim_k, std::int64_t slots,
                           const LaunchContext& context);

// `pieces` counts sequences, or segment places when they are split.
cudaError_t launch_recurrence(const RecurrenceParams& params, int head_dim_k, int rows_per_block,
                              std::int64_t pieces, const LaunchContext& context);
cudaError_t launch_summaries(const RecurrenceParams& params, int head_dim_k, int rows_per_block,
                             std::int64_t pieces, const LaunchContext& context);
cudaError_t launch_merge(const RecurrenceParams& params, int head_dim_k,
                         const LaunchContext& context);
cudaError_t launch_checkpoint_rows(const CheckpointRowsParams& params,
                                   const LaunchContext& context);
cudaError_t launch_recurrent(const RecurrentParams& params, int head_dim_k,
                             const LaunchContext& context);

}  // namespace flash_kda::cuda
