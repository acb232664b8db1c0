// The CUDA backend: asks the runtime what device there is, plans, and launches.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <utility>

#include "core/backend.hpp"
#include "cuda/bind_params.hpp"
#include "cuda/planner/two_kernel_plan.hpp"
#include "cuda/sm90/bind_fused.hpp"
#include "cuda/sm90/checkpoint_layout.hpp"
#include "cuda/sm90/fused_plan.hpp"
#include "cuda/two_kernel/launch.hpp"
#include "fmt/format.h"

namespace flash_kda {
namespace {

using namespace cuda;  // NOLINT(google-build-using-namespace): the backend is its only user

constexpr int kMinCapability = 80;

Status device_error(const char* what, cudaError_t error) {
  return {StatusCode::kDeviceError,
          fmt::format("{}: {} ({})", what, cudaGetErrorName(error), cudaGetErrorString(error))};
}

Result<DeviceLimits> current_device() {
  int device = 0;
  int multiprocessors = 0;
  int major = 0;
  int minor = 0;
  cudaError_t error = cudaGetDevice(&device);
  const auto query = [&](int& value, cudaDeviceAttr attribute) {
    if (error == cudaSuccess) error = cudaDeviceGetAttribute(&value, attribute, device);
  };
  query(multiprocessors, cudaDevAttrMultiProcessorCount);
  query(major, cudaDevAttrComputeCapabilityMajor);
  query(minor, cudaDevAttrComputeCapabilityMinor);
  if (error != cudaSuccess) return device_error("no CUDA device", error);
  return DeviceLimits{.multiprocessors = multiprocessors, .capability = 10 * major + minor};
}

// Kernels would end the whole context on an address of the host, which is an easy slip to make.
Status check_device_memory(const char* name, const void* data) {
  cudaPointerAttributes attributes{};
  const cudaError_t error = cudaPointerGetAttributes(&attributes, data);
  if (error != cudaSuccess) return device_error(name, error);
  if (attributes.type != cudaMemoryTypeUnregistered) return {};
  int device = 0;
  int pageable = 0;  // some machines let the GPU reach all memory of the host
  if (cudaGetDevice(&device) == cudaSuccess) {
    cudaDeviceGetAttribute(&pageable, cudaDevAttrPageableMemoryAccess, device);
  }
  if (pageable != 0) return {};
  return Status::invalid_argument(fmt::format(
      "{}: expected memory of the GPU, got memory of the host (run_from_host takes host tensors, "
      "and so do plans for the backend cpu)",
      name));
}

// The pointers that tell a call with host tensors from others; each costs a question to the driver.
Status check_memory(const Plan& plan, const Tensors& tensors, const Workspace& workspace) {
  for (const auto& [name, view] : {std::pair("q", &tensors.q), std::pair("out", &tensors.out)}) {
    if (view->num_elements() == 0) continue;
    if (Status status = check_device_memory(name, view->data); !status.ok()) return status;
  }
  return plan.workspace_bytes == 0 ? Status() : check_device_memory("workspace", workspace.data);
}

class CudaBackend final : public Backend {
 public:
  BackendKind kind() const override { return BackendKind::kCuda; }
  bool reads_host_memory() const override { return false; }

  BackendInfo info() const override {
    BackendInfo info{.kind = BackendKind::kCuda,
                     .description = "two kernels on tensor cores, chunks of 16 tokens",
                     .available = false,
                     .unavailable_reason = "",
                     .targets = ""};
    const Result<DeviceLimits> device = current_device();
    if (!device.ok()) {
      info.unavailable_reason = device.status().message();
    } else if (device->capability < kMinCapability) {
      info.unavailable_reason = fmt::format("compute capability: expected 8.0 or above, got {}.{}",
                                            device->capability / 10, device->capability % 10);
    } else {
      info.available = true;
      info.targets = fmt::format("sm_{}", device->capability);
    }
    return info;
  }

  Support supports(const Problem& problem) const override {
    std::string reason = why_unsupported(problem);
    return {reason.empty(), std::move(reason)};
  }

  Result<Plan> plan(const Problem& problem, const PlanOptions& options) const override {
    const Result<DeviceLimits> device = current_device();
    if (!device.ok()) return device.status();
    Plan plan;
    plan.problem = problem;
    plan.config = choose_config(problem, options, *device);
    const Result<Config> chosen = sm90::choose_fused(problem, options, *device, plan.config);
    if (!chosen.ok()) return chosen.status();
    plan.config = *chosen;
    plan.workspace_bytes = plan.config.algorithm == Algorithm::kFused
                               ? sm90::fused_workspace_bytes(problem, plan.config)
                               : lay_out_workspace(problem, plan.config).bytes;
    if (plan.config.algorithm == Algorithm::kFused && sm90::may_cut_chains(problem, plan.config)) {
      plan.cut_counts_offset = sm90::lay_out_handover(problem, plan.config).counts;
    }
    return plan;
  }

  Status run(const Plan& plan, const Tensors& tensors, Workspace workspace,
             StreamHandle stream) const override {
    const Result<DeviceLimits> device = current_device();
    if (!device.ok()) return device.status();
    if (plan.problem.sequences() == 0) return {};
    if (Status status = check_memory(plan, tensors, workspace); !status.ok()) return status;
    const LaunchContext context = {
        .stream = static_cast<cudaStream_t>(stream),
        .overlap = kernels_wait_for_predecessors() && device->capability >= 90
                       ? Overlap::kProgrammatic
                       : Overlap::kNone};
    auto* bytes = static_cast<std::byte*>(workspace.data);
    const std::size_t rows = plan.config.algorithm == Algorithm::kFused
                                 ? sm90::lay_out_checkpoints(plan.problem, plan.config).rows
                                 : 0;
    if (Status status = count_checkpoint_rows(plan, tensors, bytes + rows, context); !status.ok()) {
      return status;
    }
    if (plan.config.algorithm == Algorithm::kFused) {
      return run_fused(plan, tensors, bytes, *device, context);
    }
    return plan.config.algorithm == Algorithm::kRecurrent
               ? run_recurrent(plan, tensors, bytes, context)
               : run_chunked(plan, tensors, bytes, context, /*chains=*/nullptr, FusedEnd{});
  }

 private:
  static Status count_checkpoint_rows(const Plan& plan, const Tensors& tensors,
                                      std::byte* workspace, const LaunchContext& context) {
    if (!needs_checkpoint_rows(plan.problem)) return {};
    const cudaError_t error =
        launch_checkpoint_rows(bind_checkpoint_rows(plan, tensors, workspace), context);
    return error == cudaSuccess ? Status() : device_error("launch of checkpoint_rows", error);
  }

  static Status run_fused(const Plan& plan, const Tensors& tensors, std::byte* workspace,
                          [[maybe_unused]] const DeviceLimits& device,
                          const LaunchContext& context) {
#if defined(FLASH_KDA_HAVE_SM90)
    const Result<sm90::FusedParams> bound = sm90::bind_fused(plan, tensors, workspace);
    if (!bound.ok()) return bound.status();
    const sm90::FusedParams& params = *bound;
    const int blocks = sm90::count_blocks(plan.problem, plan.config);
    if (params.handover.states != nullptr) {
      const cudaError_t error = sm90::launch_find_shares(params, blocks, context);
      if (error != cudaSuccess) return device_error("launch of find_shares", error);
    }
    if (Status status = launch_fused(plan, params, tensors, blocks, context); !status.ok()) {
      return status;
    }
    if (params.handover.unproven == nullptr) return {};
    const FusedEnd fused_end = {.ended = params.handover.ended,
                                .blocks = static_cast<std::uint32_t>(blocks)};
    Plan rest = plan;
    rest.config = sm90::two_kernel_part(plan.config);
    std::byte* second = workspace + sm90::fused_workspace_bytes(plan.problem, plan.config) -
                        lay_out_workspace(plan.problem, rest.config).bytes;
    if (Status status = count_checkpoint_rows(rest, tensors, second, context); !status.ok()) {
      return status;
    }
    return run_chunked(rest, tensors, second, context, params.handover.unproven, fused_end);
#else
    return Status::unsupported(sm90::why_not_fused(plan.problem, device));
#endif
  }

#if defined(FLASH_KDA_HAVE_SM90)
  // In the form, or with the form for chains without proof, that the plan says.
  static Status launch_fused(const Plan& plan, const sm90::FusedParams& params,
                             const Tensors& tensors, int blocks, const LaunchContext& context) {
    cudaError_t error = cudaSuccess;
    if (sm90::is_split(plan.config)) {
      error = sm90::launch_split(params, blocks, context);
    } else if (plan.config.unproven == Unproven::kSplit) {
      const Result<sm90::FusedThenSplitParams> both = sm90::bind_both(params, plan, tensors);
      if (!both.ok()) return both.status();
      error = sm90::launch_fused_then_split(*both, blocks, context);
    } else if (plan.config.unproven == Unproven::kSegments) {
      error = sm90::launch_fused_then_segments(params, blocks, context);
    } else {
      error = sm90::launch_fused(params, blocks, context);
    }
    return error == cudaSuccess ? Status() : device_error("launch of the fused kernel", error);
  }
#endif

  static Status run_recurrent(const Plan& plan, const Tensors& tensors, std::byte* workspace,
                              const LaunchContext& context) {
    const cudaError_t error = launch_recurrent(bind_recurrent(plan, tensors, workspace),
                                               static_cast<int>(plan.problem.head_dim_k), context);
    return error == cudaSuccess ? Status() : device_error("launch of recurrent", error);
  }

  static Status run_chunked(const Plan& plan, const Tensors& tensors, std::byte* workspace,
                            const LaunchContext& context, ChainSet chains, FusedEnd fused_end) {
    const Problem& p = plan.problem;
    const auto head_dim_k = static_cast<int>(p.head_dim_k);
    const auto panel = static_cast<int>(plan.config.v_panel);
    const Places places = count_places(p, plan.config.segment_tokens);
    PrepareParams prepare = bind_prepare(plan, tensors, workspace);
    RecurrenceParams recurrence = bind_recurrence(plan, tensors, workspace);
    prepare.chains = recurrence.chains = chains;
    recurrence.fused_end = fused_end;

    cudaError_t error =
        launch_prepare(prepare, head_dim_k, places.chunks + places.side_chunks, context);
    if (error != cudaSuccess) return device_error("launch of prepare", error);
    if (places.segments > 0) {
      error = launch_summaries(recurrence, head_dim_k, panel, places.segments, context);
      if (error != cudaSuccess) return device_error("launch of segment summaries", error);
      error = launch_merge(recurrence, head_dim_k, context);
      if (error != cudaSuccess) return device_error("launch of merge_segments", error);
    }
    error = launch_recurrence(recurrence, head_dim_k, panel,
                              places.segments > 0 ? places.segments : p.sequences(), context);
    return error == cudaSuccess ? Status() : device_error("launch of recurrence", error);
  }
};

}  // namespace

const Backend& cuda_backend() {
  static const CudaBackend backend;
  return backend;
}

}  // namespace flash_kda
