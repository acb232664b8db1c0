// The fused kernel that does in the same launch what it leaves: chains with a cut that is not
// proven are computed in segments (segments.cuh), by all blocks that are done with their shares.
// Mostly there are none. Without checkpoints: with them the recurrence would spill.
#include "cuda/sm90/fused_block.cuh"
#include "cuda/sm90/inverse_role.cuh"
#include "cuda/sm90/io_roles.cuh"
#include "cuda/sm90/merge_role.cuh"
#include "cuda/sm90/prepare_role.cuh"
#include "cuda/sm90/recurrence_role.cuh"
#include "cuda/sm90/scalars_role.cuh"

namespace flash_kda::cuda::sm90 {
namespace {

// The next job, by a warp; its items are listed.
__device__ __forceinline__ void take_job(const FusedParams& p) {
  int number = 0;
  if (lane_index() == 0) number = static_cast<int>(atomicAdd(p.segments.taken, 1u));
  const NumberedJob next = find_job(p, __shfl_sync(0xffffffffu, number, 0));
  if (lane_index() != 0) return;
  block_job() = next.job;
  block_share().rounds = list_segment(p, next);
}

// A block with an empty share begins with a job, as it would with its share. By all threads.
__device__ __forceinline__ void begin_with_job(const FusedParams& p) {
  if (block_left() == 0) return;
  const bool is_empty = block_share().rounds == 0;
  __syncthreads();  // all know
  if (!is_empty) return;
  if (threadIdx.x < 32) take_job(p);
  __syncthreads();
}

// What a role's first warp does for all between two jobs. The recurrence has registers to take one.
enum class Between : std::int32_t { kNothing, kTakesJob, kLaysBarriers };

// By every warp of the block, after its role: the next job; false if there is none.
template <Between kBetween = Between::kNothing>
__device__ __forceinline__ bool begin_job(const FusedParams& p) {
  if (block_left() == 0) return false;
  const JobKind done = block_job().kind;
  if (done == JobKind::kNone) return false;
  meet_other_roles(0);
  const std::uint32_t shared = shared_address(shared_block);
  if (done == JobKind::kMerge) clear_inverses(shared);
  if constexpr (kBetween == Between::kTakesJob) {
    if (recurrence_thread() < 32) take_job(p);
  }
  if constexpr (kBetween == Between::kLaysBarriers) {
    if (lane_index() == 0) {
      invalidate_barriers(shared, SharedPlan::kBarrier, SharedPlan::kMeeting);
      init_fused_barriers<GateForm::kBounded>(shared);
      arrive_at(shared + SharedPlan::kRehearsed, kRehearsedArrivals);  // nobody rehearses any more
      block_chunks() = ~0u;
    }
  }
  publish_to_async_proxy();  // boxes and copies will be where a merge or prepare have written
  meet_other_roles(1);
  return block_job().kind != JobKind::kNone;
}

__global__ void __launch_bounds__(kThreadsOf<GateForm::kBounded>, 1)
    fused_then_segments_kernel(const __grid_constant__ FusedParams p) {
  constexpr GateForm kForm = GateForm::kBounded;
  constexpr Keeps kKeeps = Keeps::kFinalState;
  constexpr Work kWork = Work::kSharesAndSegments;
  constexpr RoleRegisters kRegisters = kRegistersOf<kForm>;
  if (threadIdx.x == 0) block_job() = {.kind = JobKind::kShare};
  begin_fused_block<kForm, kKeeps>(p);
  begin_with_job(p);

  const std::uint32_t shared = shared_address(shared_block);
  Pass pass = Pass::kFirst;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int warpgroup = static_cast<int>(threadIdx.x) / kWarpgroup;
  if (warpgroup == 0) {
    shrink_registers<kRegisters.io>();
    switch (static_cast<IoWarp>(warp)) {
      case IoWarp::kTransfers:
        do {
          run_transfers<kForm, kKeeps, kWork>(p, shared);
        } while (begin_job<Between::kLaysBarriers>(p));
        return;
      case IoWarp::kFirstScalars:
      case IoWarp::kSecondScalars:
        do {
          run_scalars<kForm, kKeeps>(p, shared, warp - 1, pass);
          pass = Pass::kLater;
        } while (begin_job(p));
        return;
      case IoWarp::kInverse:
        // Its loop twice: in one loop more it would load a spilled value every chunk, which takes 4
        // % of long calls.
        run_inverse<kForm, kKeeps>(p, shared);
        while (begin_job(p)) run_inverse<kForm, kKeeps>(p, shared);
        return;
    }
  } else if (warpgroup == 2 || warpgroup == 3) {
    grow_registers<kRegisters.recurrence>();
    do {
      if (block_job().kind == JobKind::kMerge) {
        run_merge(p.segments, shared);
      } else {
        run_recurrence<kForm, kKeeps, kWork>(p, shared_address(shared_block),
                                             recurrence_thread() / kWarpgroup);
      }
    } while (begin_job<Between::kTakesJob>(p));
  } else {
    shrink_registers<kRegisters.prepare>();
    do {
      run_prepare<kKeeps>(shared, prepare_part(), pass);
      pass = Pass::kLater;
    } while (begin_job(p));
  }
}

}  // namespace

cudaError_t launch_fused_then_segments(const FusedParams& params, int blocks,
                                       const LaunchContext& context) {
  LaunchShape shape;
  shape.grid = dim3(static_cast<unsigned>(blocks));
  shape.block = dim3(kThreadsOf<GateForm::kBounded>);
  shape.shared_bytes = SharedPlan::kBytes;
  return launch(fused_then_segments_kernel, shape, context, params);
}

}  // namespace flash_kda::cuda::sm90
