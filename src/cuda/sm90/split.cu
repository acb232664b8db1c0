// The split form of the fused kernel: roles of the two persistent blocks of a cluster, put
// together. For chains that have to be computed as wholes, of which there are too few for every
// block to have one: a chunk takes its two blocks about half as long as it takes one.
#include "cuda/sm90/split_block.cuh"

namespace flash_kda::cuda::sm90 {
namespace {

// Everything before the roles.
__device__ __forceinline__ void begin_block(const FusedParams& p) {
  const std::uint32_t shared = shared_address(shared_block);
  if (threadIdx.x == 32) prefetch_maps(p);
  begin_split_stages(shared);
  wait_for_previous_kernel();
  sync_cluster();
  take_share<2>(p, *reinterpret_cast<TakeScratch*>(shared_block), block_order(), block_share());
  __syncthreads();
  list_items(p, block_order());
  publish_to_async_proxy();  // TMA and wgmma use what was written here
  sync_cluster();
  release_next_kernel();
}

template <Keeps kKeeps>
__device__ __forceinline__ void run_role(const FusedParams& p, std::uint32_t shared, int rank) {
  constexpr RoleRegisters kRegisters = kRegistersOf<GateForm::kBounded>;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int warpgroup = static_cast<int>(threadIdx.x) / kWarpgroup;
  if (warpgroup == 0) {
    shrink_registers<kRegisters.io>();
    switch (static_cast<IoWarp>(warp)) {
      case IoWarp::kTransfers:
        return run_split_values<kKeeps>(p, shared, rank);
      case IoWarp::kFirstScalars:
      case IoWarp::kSecondScalars:
        return run_split_scalars<kKeeps>(p, shared, warp - 1, rank);
      case IoWarp::kInverse:
        return run_split_inverse<kKeeps>(p, shared, rank);
    }
  } else if (warpgroup == 2 || warpgroup == 3) {
    grow_registers<kRegisters.recurrence>();
    if (has_values(warpgroup - 2, rank)) {
      run_split_recurrence<kKeeps>(p, shared, rank);
    } else {
      run_split_loads<kKeeps>(p, shared, rank);
    }
  } else {
    shrink_registers<kRegisters.prepare>();
    run_split_prepare(shared, warp % 4 + (warpgroup == 1 ? 0 : 4));
  }
}

template <Keeps kKeeps>
__global__ void __launch_bounds__(kThreadsOf<GateForm::kBounded>, 1)
    split_kernel(const __grid_constant__ FusedParams p) {
  begin_block(p);
  run_role<kKeeps>(p, shared_address(shared_block), cluster_rank());
  sync_cluster();  // the peer may still arrive at barriers of this block
}

template <Keeps kKeeps>
cudaError_t launch_form(const FusedParams& params, int clusters, const LaunchContext& context) {
  LaunchShape shape;
  // Blocks of a cluster differ in y alone, so that a share is that of blockIdx.x.
  shape.grid = dim3(static_cast<unsigned>(clusters), 2);
  shape.cluster = dim3(1, 2);
  shape.block = dim3(kThreadsOf<GateForm::kBounded>);
  shape.shared_bytes = SharedPlan::kBytes;
  return launch(split_kernel<kKeeps>, shape, context, params);
}

}  // namespace

cudaError_t launch_split(const FusedParams& params, int clusters, const LaunchContext& context) {
  return params.checkpoints.kind == CheckpointKind::kNone
             ? launch_form<Keeps::kFinalState>(params, clusters, context)
             : launch_form<Keeps::kCheckpoints>(params, clusters, context);
}

}  // namespace flash_kda::cuda::sm90
