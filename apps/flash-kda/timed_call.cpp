#include "apps/flash-kda/timed_call.hpp"

#include "apps/common/timing.hpp"
#include "apps/flash-kda/tensor_file.hpp"
#include "apps/flash-kda/timed_device_call.hpp"

namespace flash_kda::cli {
namespace {

class TimedHostCall final : public TimedCall {
 public:
  TimedHostCall(const Plan& plan, const Tensors& tensors)
      : plan_(plan),
        tensors_(tensors),
        workspace_(DType::kU8, {static_cast<std::int64_t>(plan.workspace_bytes)}) {}

  Result<double> run_once() override {
    const Workspace workspace{workspace_.view().data, plan_.workspace_bytes};
    const apps::Stopwatch watch;
    if (Status status = run(plan_, tensors_, workspace); !status.ok()) return status;
    return watch.seconds() * 1e3;
  }

 private:
  Plan plan_;
  Tensors tensors_;
  OwnedTensor workspace_;
};

}  // namespace

Result<std::unique_ptr<TimedCall>> make_timed_call(const Plan& plan, Cache cache,
                                                   const Tensors& host) {
  if (plan.config.backend == BackendKind::kCuda) return make_timed_device_call(plan, cache, host);
  return std::unique_ptr<TimedCall>(std::make_unique<TimedHostCall>(plan, host));
}

#ifndef FLASH_KDA_HAVE_CUDA
Result<std::unique_ptr<TimedCall>> make_timed_device_call(const Plan&, Cache, const Tensors&) {
  return Status::unsupported("backend cuda: not built into this tool");
}

std::optional<Gpu> measure_gpu() { return std::nullopt; }
#endif

}  // namespace flash_kda::cli
