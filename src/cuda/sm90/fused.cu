// The fused kernel: roles of one persistent block, put together.
#include "cuda/sm90/begin_block.cuh"
#include "cuda/sm90/inverse_role.cuh"
#include "cuda/sm90/io_roles.cuh"
#include "cuda/sm90/prepare_pairs.cuh"
#include "cuda/sm90/prepare_role.cuh"
#include "cuda/sm90/recurrence_role.cuh"
#include "cuda/sm90/scalars_role.cuh"

namespace flash_kda::cuda::sm90 {
namespace {

__device__ __forceinline__ void init_all_barriers(std::uint32_t shared, int score_warps) {
  constexpr int kRecurrenceWarps = 8;
  init_barriers(shared, SharedPlan::kRehearsed, 1, kRehearsedArrivals);
  init_barriers(shared, SharedPlan::kPassed, 1, 1);
  init_barriers(shared, SharedPlan::kWritten, 1, kRecurrenceWarps);
  init_barriers(shared, SharedPlan::kRaw, kStages, 1);
  init_barriers(shared, SharedPlan::kNormed, kStages, 2);
  init_barriers(shared, SharedPlan::kStored, kStages, kPrepareWarps);
  init_barriers(shared, SharedPlan::kReady, kStages, 3);
  init_barriers(shared, SharedPlan::kEmpty, kStages, kRecurrenceWarps);
  init_barriers(shared, SharedPlan::kScoreFull, kPairs, score_warps);
  init_barriers(shared, SharedPlan::kScoreEmpty, kPairs, 1);
  init_barriers(shared, SharedPlan::kOutFull, 2, kRecurrenceWarps);
  init_barriers(shared, SharedPlan::kOutEmpty, 2, 1);
  publish_barriers();
  arrive_at(shared + SharedPlan::kPassed);
}

// Everything before the roles. What does not depend on the kernel in front comes first: it is still
// running on other multiprocessors.
template <GateForm kForm, Keeps kKeeps>
__device__ __forceinline__ void begin_block(const FusedParams& p, int score_warps) {
  const std::uint32_t shared = shared_address(shared_block);
  if (threadIdx.x == 0) {
    init_all_barriers(shared, score_warps);
    block_chunks() = ~0u;  // until prepare has seen the last
  }
  if (threadIdx.x == 32) prefetch_maps(p);
  // The upper right quarters of the score tiles stay zero for good: nobody writes them again.
  clear_stages<StagePlan::kInverse, StagePlan::kGamma>(shared + SharedPlan::kStage, kStages);
  if constexpr (kRehearses<kForm, kKeeps>) clear_rehearsed(shared);
  wait_for_previous_kernel();
  static_assert(sizeof(TakeScratch) <= StagePlan::kInverse);  // cleared above by other threads
  take_share(p, *reinterpret_cast<TakeScratch*>(shared_block), block_order(), block_share());
  __syncthreads();
  list_items(p, block_order());
  publish_to_async_proxy();  // TMA and wgmma use what was written here
  __syncthreads();
  release_next_kernel();  // which looks at once for chains that are left to it
}

template <GateForm kForm, Keeps kKeeps>
__global__ void __launch_bounds__(kThreadsOf<kForm>, 1)
    fused_kernel(const __grid_constant__ FusedParams p) {
  constexpr RoleRegisters kRegisters = kRegistersOf<kForm>;
  // Warps that write a chunk's Akk: those with rows of keys.
  constexpr int kScoreWarps = kForm == GateForm::kBounded ? 2 : 1;
  begin_block<kForm, kKeeps>(p, kScoreWarps);

  const std::uint32_t shared = shared_address(shared_block);
  const int warpgroup = static_cast<int>(threadIdx.x) / kWarpgroup;
  if (warpgroup == 0) {
    shrink_registers<kRegisters.io>();
    switch (static_cast<IoWarp>(threadIdx.x / 32)) {
      case IoWarp::kTransfers:
        return run_transfers<kForm, kKeeps>(p, shared);
      case IoWarp::kFirstScalars:
      case IoWarp::kSecondScalars:
        return run_scalars<kForm, kKeeps>(p, shared, static_cast<int>(threadIdx.x / 32) - 1);
      case IoWarp::kInverse:
        return run_inverse<kForm, kKeeps>(p, shared);
    }
  } else if (warpgroup == 2 || warpgroup == 3) {
    grow_registers<kRegisters.recurrence>();
    run_recurrence<kForm, kKeeps>(p, shared, warpgroup - 2);
  } else if constexpr (kForm == GateForm::kBounded) {
    shrink_registers<kRegisters.prepare>();
    run_prepare<kKeeps>(shared, static_cast<int>(threadIdx.x / 32) % 4 + (warpgroup == 1 ? 0 : 4));
  } else {
    grow_registers<kRegisters.prepare>();
    run_prepare_pairs<kKeeps>(p, shared);
  }
}

template <GateForm kForm, Keeps kKeeps>
cudaError_t launch_form(const FusedParams& params, int blocks, const LaunchContext& context) {
  LaunchShape shape;
  shape.grid = dim3(static_cast<unsigned>(blocks));
  shape.block = dim3(kThreadsOf<kForm>);
  shape.shared_bytes = SharedPlan::kBytes;
  return launch(fused_kernel<kForm, kKeeps>, shape, context, params);
}

}  // namespace

cudaError_t launch_fused(const FusedParams& params, int blocks, const LaunchContext& context) {
  const bool bounded = is_bounded(params.inputs.gate);
  // Kernels of their own, so that calls without checkpoints have the registers and the small loops.
  if (params.checkpoints.kind == CheckpointKind::kNone) {
    return bounded ? launch_form<GateForm::kBounded, Keeps::kFinalState>(params, blocks, context)
                   : launch_form<GateForm::kGeneral, Keeps::kFinalState>(params, blocks, context);
  }
  return bounded ? launch_form<GateForm::kBounded, Keeps::kCheckpoints>(params, blocks, context)
                 : launch_form<GateForm::kGeneral, Keeps::kCheckpoints>(params, blocks, context);
}

}  // namespace flash_kda::cuda::sm90
