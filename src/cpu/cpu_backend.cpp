#include "core/backend.hpp"

namespace flash_kda {
namespace {

class CpuBackend final : public Backend {
 public:
  BackendKind kind() const override { return BackendKind::kCpu; }
  BackendInfo info() const override {
    return {.kind = BackendKind::kCpu,
            .description = "not built yet",
            .available = false,
            .unavailable_reason = "not built yet",
            .targets = ""};
  }
  Support supports(const Problem&) const override { return {false, "not built yet"}; }
  Result<Plan> plan(const Problem&, const PlanOptions&) const override {
    return Status::unsupported("not built yet");
  }
  Status run(const Plan&, const Tensors&, Workspace, StreamHandle) const override {
    return Status::unsupported("not built yet");
  }
  bool reads_host_memory() const override { return true; }
};

}  // namespace

const Backend& cpu_backend() {
  static const CpuBackend backend;
  return backend;
}

}  // namespace flash_kda
