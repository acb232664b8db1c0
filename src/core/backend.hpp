// What a backend is to the rest of the library: it explains what it can do, plans, and runs.
// The call has passed every check of core/ before `run` sees it.
#pragma once

#include <span>

#include "flash_kda/prefill.hpp"

namespace flash_kda {

class Backend {
 public:
  virtual ~Backend() = default;

  virtual BackendKind kind() const = 0;
  virtual BackendInfo info() const = 0;
  // `problem` has passed check_problem.
  virtual Support supports(const Problem& problem) const = 0;
  // `problem` is supported. Fills config and workspace_bytes.
  virtual Result<Plan> plan(const Problem& problem, const PlanOptions& options) const = 0;
  // Tensors match plan.problem; the workspace is large enough and aligned. Host backends have also
  // had cu_seqlens, indices and offsets checked.
  virtual Status run(const Plan& plan, const Tensors& tensors, Workspace workspace,
                     StreamHandle stream) const = 0;
  // Whether tensors lie in memory that the host can read, so that their values can be checked.
  virtual bool reads_host_memory() const = 0;
};

// Built-in backends, fastest first. Defined where the build knows which exist (registry.cpp).
std::span<const Backend* const> registry();
// Null when this build has no such backend.
const Backend* find_backend(BackendKind kind);

// One per backend folder; registry.cpp is the only caller.
const Backend& reference_backend();
const Backend& cpu_backend();
const Backend& cuda_backend();

}  // namespace flash_kda
