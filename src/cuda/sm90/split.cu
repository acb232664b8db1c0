// The split form of the fused kernel: roles of the two persistent blocks of a cluster, put
// together. For chains that have to be computed as wholes, of which there are too few for every
// block to have one: a chunk takes its two blocks about half as long as it takes one.
#include "cuda/sm90/begin_block.cuh"
#include "cuda/sm90/split_roles.cuh"

namespace flash_kda::cuda::sm90 {
namespace {

constexpr int kRecurrenceWarps = kWarpgroup / 32;

__device__ __forceinline__ void init_all_barriers(std::uint32_t shared) {
  init_barriers(shared, SharedPlan::kRaw, kOwnStages, 1);
  init_barriers(shared, SharedPlan::kNormed, kOwnStages, 2);
  init_barriers(shared, SharedPlan::kStored, kOwnStages, kPrepareWarps);
  init_barriers(shared, SharedPlan::kReady, kOwnStages, 3);
  init_barriers(shared, SplitPlan::kSentReady, kSentStages, 1);
  init_barriers(shared, SplitPlan::kValueFull, kValueSlots, 1);
  init_barriers(shared, SharedPlan::kEmpty, kOwnStages, 2);
  init_barriers(shared, SharedPlan::kScoreFull, kPairs, 2);
  init_barriers(shared, SharedPlan::kScoreEmpty, kPairs, 1);
  init_barriers(shared, SplitPlan::kOutFull, kOutSlots, kRecurrenceWarps);
  init_barriers(shared, SplitPlan::kOutEmpty, kOutSlots, 1);
  init_barriers(shared, SharedPlan::kWritten, 1, kRecurrenceWarps);
  publish_barriers();
}

// The whole chains of a set, in turns, as the share of this block; listed by its threads. The host
// takes no more than can be listed.
__device__ __forceinline__ void take_left_chains(const FusedParams& p) {
  unsigned long long chains = *p.chains;
  const int round = static_cast<int>(threadIdx.x);
  const int rounds = count_turns(__popcll(chains));
  if (round == 0) {
    block_share() = {};
    block_share().rounds = rounds;
  }
  if (round >= rounds || round >= kListedItems) return;
  for (int place = place_in_round(round); place > 0; --place) chains &= chains - 1;
  const int chain = __ffsll(static_cast<long long>(chains)) - 1;
  const int n = chain / p.inputs.v_heads;
  listed_item(round) = whole_chain(p, n, chain - n * p.inputs.v_heads);
}

// Everything before the roles; false if nothing is left to this launch.
__device__ __forceinline__ bool begin_block(const FusedParams& p) {
  if (!begin_chains(p.chains, p.fused_end)) return false;
  const std::uint32_t shared = shared_address(shared_block);
  if (threadIdx.x == 0) init_all_barriers(shared);
  if (threadIdx.x == 32) prefetch_maps(p);
  // The upper right quarters of the score tiles stay zero for good: nobody writes them again.
  clear_stages<StagePlan::kInverse, StagePlan::kGamma, SplitPlan::kStageBytes>(
      shared + SplitPlan::kStage, kOwnStages);
  sync_cluster();  // before one writes to the other
  if (p.chains != nullptr) {
    take_left_chains(p);
  } else {
    take_share<2>(p, *reinterpret_cast<TakeScratch*>(shared_block), block_order(), block_share());
    __syncthreads();
    list_items(p, block_order());
  }
  publish_to_async_proxy();  // TMA and wgmma use what was written here
  sync_cluster();
  release_next_kernel();
  return true;
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
    // Where the other form has its 64 values: threads of the recurrence are those of a whole chain.
    if (warpgroup - 2 == rank) {
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
  if (!begin_block(p)) return;
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
