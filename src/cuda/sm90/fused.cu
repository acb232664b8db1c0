// The fused kernel: roles of one persistent block, put together.
#include "cuda/sm90/fused_block.cuh"
#include "cuda/sm90/inverse_role.cuh"
#include "cuda/sm90/io_roles.cuh"
#include "cuda/sm90/prepare_pairs.cuh"
#include "cuda/sm90/prepare_role.cuh"
#include "cuda/sm90/recurrence_role.cuh"
#include "cuda/sm90/scalars_role.cuh"

namespace flash_kda::cuda::sm90 {
namespace {

template <GateForm kForm, Keeps kKeeps>
__global__ void __launch_bounds__(kThreadsOf<kForm>, 1)
    fused_kernel(const __grid_constant__ FusedParams p) {
  constexpr RoleRegisters kRegisters = kRegistersOf<kForm>;
  begin_fused_block<kForm, kKeeps>(p);

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
    run_prepare<kKeeps>(shared, prepare_part());
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
