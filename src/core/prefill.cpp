// Life of a call: check, choose, plan; then check the data and hand over to the backend.
#include "flash_kda/prefill.hpp"

#include <cstdlib>
#include <cstring>
#include <vector>

#include "core/backend.hpp"
#include "core/checks.hpp"
#include "core/host_call.hpp"
#include "fmt/format.h"
#if defined(FLASH_KDA_HAVE_CUDA)
#include "cuda/staged_run.hpp"
#endif

namespace flash_kda {
namespace {

constexpr const char* kBackendVariable = "FLASH_KDA_BACKEND";

Support supports_on(const Backend& backend, const Problem& problem) {
  if (Status s = check_problem(problem); !s.ok()) return {false, s.message()};
  if (const BackendInfo info = backend.info(); !info.available) {
    return {false, info.unavailable_reason};
  }
  return backend.supports(problem);
}

Status unknown_backend(BackendKind kind) {
  return Status::unsupported(
      fmt::format("backend: {} is not built into this library", to_string(kind)));
}

// The environment's choice; an unknown name is an error, not ignored.
Result<std::optional<BackendKind>> forced_backend() {
  const char* name = std::getenv(kBackendVariable);
  if (name == nullptr || *name == '\0') return std::optional<BackendKind>();
  for (const BackendKind kind : {BackendKind::kReference, BackendKind::kCpu, BackendKind::kCuda}) {
    if (std::strcmp(name, to_string(kind)) == 0) return std::optional<BackendKind>(kind);
  }
  return Status::invalid_argument(
      fmt::format("{}: expected reference, cpu or cuda, got \"{}\"", kBackendVariable, name));
}

Result<Plan> plan_on(const Backend& backend, const Problem& problem, const PlanOptions& options) {
  if (const Support support = supports_on(backend, problem); !support.supported) {
    return Status::unsupported(
        fmt::format("backend {}: {}", to_string(backend.kind()), support.reason));
  }
  return backend.plan(problem, options);
}

Result<Plan> plan_on_fastest(const Problem& problem, const PlanOptions& options) {
  std::string reasons;
  for (const Backend* backend : registry()) {
    if (backend->kind() == BackendKind::kReference) continue;
    const Support support = supports_on(*backend, problem);
    if (support.supported) return backend->plan(problem, options);
    reasons += fmt::format("{}{}: {}", reasons.empty() ? "" : "; ", to_string(backend->kind()),
                           support.reason);
  }
  return Status::unsupported(fmt::format("no backend supports this problem ({})", reasons));
}

Status check_options(const PlanOptions& options) {
  if (options.threads < 0) {
    return Status::invalid_argument(
        fmt::format("threads: expected 0 (all) or more, got {}", options.threads));
  }
  if (options.multiprocessors < 0) {
    return Status::invalid_argument(
        fmt::format("multiprocessors: expected 0 (all) or more, got {}", options.multiprocessors));
  }
  const auto cuts = static_cast<int>(options.cuts);
  if (cuts < 0 || cuts > static_cast<int>(Cuts::kExact)) {
    return Status::invalid_argument(fmt::format("cuts: expected 0 to 1, got {}", cuts));
  }
  if (options.v_panel != 0 && options.v_panel != 64 && options.v_panel != 128) {
    return Status::invalid_argument(
        fmt::format("v_panel: expected 0, 64 or 128, got {}", options.v_panel));
  }
  const auto precision = static_cast<int>(options.precision);
  if (precision < 0 || precision > static_cast<int>(Precision::kBF16)) {
    return Status::invalid_argument(fmt::format("precision: expected 0 to 1, got {}", precision));
  }
  const auto algorithm = static_cast<int>(options.algorithm);
  if (algorithm < 0 || algorithm > static_cast<int>(Algorithm::kFused)) {
    return Status::invalid_argument(fmt::format("algorithm: expected 0 to 3, got {}", algorithm));
  }
  return {};
}

Status check_workspace(const Plan& plan, Workspace workspace) {
  if (plan.workspace_bytes == 0) return {};
  if (workspace.data == nullptr || workspace.bytes < plan.workspace_bytes) {
    return {StatusCode::kWorkspaceTooSmall,
            fmt::format("workspace: expected at least {} bytes, got {}", plan.workspace_bytes,
                        workspace.data == nullptr ? 0 : workspace.bytes)};
  }
  const auto address = reinterpret_cast<std::uintptr_t>(workspace.data);
  if (address % Plan::kWorkspaceAlignment != 0) {
    return {StatusCode::kWorkspaceTooSmall,
            fmt::format("workspace: expected an address aligned to {} bytes, got 0x{:x}",
                        Plan::kWorkspaceAlignment, address)};
  }
  return {};
}

}  // namespace

Support supports(const Problem& problem, BackendKind kind) {
  const Backend* backend = find_backend(kind);
  if (backend == nullptr) return {false, unknown_backend(kind).message()};
  return supports_on(*backend, problem);
}

std::span<const BackendKind> backends() {
  static const std::vector<BackendKind> kinds = [] {
    std::vector<BackendKind> list;
    for (const Backend* backend : registry()) list.push_back(backend->kind());
    return list;
  }();
  return kinds;
}

BackendInfo backend_info(BackendKind kind) {
  if (const Backend* backend = find_backend(kind)) return backend->info();
  return {.kind = kind,
          .description = "",
          .available = false,
          .unavailable_reason = unknown_backend(kind).message(),
          .targets = ""};
}

Result<Plan> make_plan(const Problem& problem, const PlanOptions& options) {
  if (Status s = check_problem(problem); !s.ok()) return s;
  if (Status s = check_options(options); !s.ok()) return s;
  std::optional<BackendKind> kind = options.backend;
  if (!kind) {
    Result<std::optional<BackendKind>> forced = forced_backend();
    if (!forced.ok()) return forced.status();
    kind = *forced;
  }
  if (!kind) return plan_on_fastest(problem, options);
  const Backend* backend = find_backend(*kind);
  if (backend == nullptr) return unknown_backend(*kind);
  return plan_on(*backend, problem, options);
}

Status run(const Plan& plan, const Tensors& tensors, Workspace workspace, StreamHandle stream) {
  const Backend* backend = find_backend(plan.config.backend);
  if (backend == nullptr) return unknown_backend(plan.config.backend);
  if (Status s = check_tensors(plan.problem, tensors); !s.ok()) return s;
  if (Status s = check_workspace(plan, workspace); !s.ok()) return s;
  if (backend->reads_host_memory()) {
    if (Status s = HostCall::check_values(plan.problem, tensors, workspace); !s.ok()) return s;
  }
  return backend->run(plan, tensors, workspace, stream);
}

Status run_from_host(const Plan& plan, const Tensors& tensors, Workspace workspace) {
#if defined(FLASH_KDA_HAVE_CUDA)
  if (plan.config.backend == BackendKind::kCuda) return run_staged(plan, tensors);
#endif
  return run(plan, tensors, workspace);
}

}  // namespace flash_kda
