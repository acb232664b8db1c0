// The fused kernel that does in the same launch what it leaves: chains with a cut that is not
// proven are computed as wholes, in the split form, by clusters whose two blocks are done with
// their shares. Mostly there are none. A launch of its own for them would cost 4 us even then, of
// 45 for 16 heads of 2048 tokens (H200): no block of it has room before one of this kernel ends.
#include "cuda/sm90/fused_block.cuh"
#include "cuda/sm90/split_block.cuh"

namespace flash_kda::cuda::sm90 {
namespace {

// The chains that are left, in turns, as the share of this block; listed by its threads. The host
// leaves no more than can be listed.
__device__ __forceinline__ void take_left_chains(const FusedParams& p) {
  unsigned long long chains = block_left();
  const int turn = block_turn();
  const int clusters = static_cast<int>(gridDim.x) / 2;
  const int round = static_cast<int>(threadIdx.x);
  const int rounds = count_rounds(__popcll(chains), turn, clusters);
  if (round == 0) {
    block_share() = {};
    block_share().rounds = rounds;
  }
  if (round >= rounds || round >= kListedItems) return;
  for (int place = place_in_round(round, turn, clusters); place > 0; --place) {
    chains &= chains - 1;
  }
  listed_item(round) = chain_of_bit(p, __ffsll(static_cast<long long>(chains)) - 1);
}

// By every warp of both blocks, each after its role; false if nothing is left. Both blocks know of
// the same chains. They were in nobody's share, so no other block has to be waited for.
__device__ __forceinline__ bool begin_left_chains(const FusedParams& p) {
  if (block_left() == 0) return false;
  meet_other_roles(0);
  const std::uint32_t shared = shared_address(shared_block);
  if (threadIdx.x == 0) invalidate_barriers(shared, SharedPlan::kBarrier, SharedPlan::kMeeting);
  begin_split_stages(shared);
  take_left_chains(p);
  publish_to_async_proxy();
  sync_cluster();
  return true;
}

template <Keeps kKeeps>
__global__ void __launch_bounds__(kThreadsOf<GateForm::kBounded>, 1)
    fused_then_split_kernel(const __grid_constant__ FusedThenSplitParams params) {
  constexpr RoleRegisters kRegisters = kRegistersOf<GateForm::kBounded>;
  const FusedParams& p = params.fused;
  const FusedParams& left = params.split;
  begin_fused_block<GateForm::kBounded, kKeeps>(p);

  const std::uint32_t shared = shared_address(shared_block);
  const int rank = cluster_rank();
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int warpgroup = static_cast<int>(threadIdx.x) / kWarpgroup;
  if (warpgroup == 0) {
    shrink_registers<kRegisters.io>();
    switch (static_cast<IoWarp>(warp)) {
      case IoWarp::kTransfers:
        run_transfers<GateForm::kBounded, kKeeps>(p, shared);
        if (!begin_left_chains(left)) return;
        run_split_values<kKeeps>(left, shared, rank);
        break;
      case IoWarp::kFirstScalars:
      case IoWarp::kSecondScalars:
        run_scalars<GateForm::kBounded, kKeeps>(p, shared, warp - 1);
        if (!begin_left_chains(left)) return;
        run_split_scalars<kKeeps>(left, shared, warp - 1, rank);
        break;
      case IoWarp::kInverse:
        run_inverse<GateForm::kBounded, kKeeps>(p, shared);
        if (!begin_left_chains(left)) return;
        run_split_inverse<kKeeps>(left, shared, rank);
        break;
    }
  } else if (warpgroup == 2 || warpgroup == 3) {
    grow_registers<kRegisters.recurrence>();
    run_recurrence<GateForm::kBounded, kKeeps>(p, shared, warpgroup - 2);
    if (!begin_left_chains(left)) return;
    if (has_values(warpgroup - 2, rank)) {
      run_split_recurrence<kKeeps>(left, shared, rank);
    } else {
      run_split_loads<kKeeps>(left, shared, rank);
    }
  } else {
    shrink_registers<kRegisters.prepare>();
    run_prepare<kKeeps>(shared, prepare_part());
    if (!begin_left_chains(left)) return;
    // Neither kept through the loop over chunks: it would load a spilled value every chunk.
    run_split_prepare(shared_address(shared_block), prepare_part());
  }
  sync_cluster();  // the peer may still arrive at barriers of this block
}

template <Keeps kKeeps>
cudaError_t launch_form(const FusedThenSplitParams& params, int blocks,
                        const LaunchContext& context) {
  LaunchShape shape;
  shape.grid = dim3(static_cast<unsigned>(blocks));
  shape.cluster = dim3(2);
  shape.block = dim3(kThreadsOf<GateForm::kBounded>);
  shape.shared_bytes = SharedPlan::kBytes;
  return launch(fused_then_split_kernel<kKeeps>, shape, context, params);
}

}  // namespace

cudaError_t launch_fused_then_split(const FusedThenSplitParams& params, int blocks,
                                    const LaunchContext& context) {
  return params.fused.checkpoints.kind == CheckpointKind::kNone
             ? launch_form<Keeps::kFinalState>(params, blocks, context)
             : launch_form<Keeps::kCheckpoints>(params, blocks, context);
}

}  // namespace flash_kda::cuda::sm90
