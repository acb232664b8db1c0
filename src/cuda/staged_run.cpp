#include "cuda/staged_run.hpp"

#include <cuda_runtime_api.h>

#include <algorithm>

#include "fmt/format.h"

namespace flash_kda {
namespace {

// Device addresses keep their host address's remainder, so that alignment is what the caller has.
constexpr std::uintptr_t kAlignment = 128;
constexpr int kPoison = 0xff;  // every float type reads it as NaN

Status staging_status(const char* what, cudaError_t error) {
  if (error == cudaSuccess) return {};
  return {StatusCode::kDeviceError, fmt::format("{}: {}", what, cudaGetErrorString(error))};
}

// Calls visit with every tensor that a call may have.
template <typename Visit>
void for_each_view(Tensors& t, const Visit& visit) {
  for (TensorView* view : {&t.q, &t.k, &t.v, &t.g, &t.beta, &t.out}) visit(*view);
  for (std::optional<TensorView>* view :
       {&t.A_log, &t.dt_bias, &t.cu_seqlens, &t.initial_state, &t.final_state, &t.state_pool,
        &t.state_indices, &t.has_initial_state, &t.checkpoints, &t.checkpoint_offsets,
        &t.checkpoint_slots}) {
    if (*view) visit(**view);
  }
}

}  // namespace

StagedCall::~StagedCall() {
  for (const Span& span : spans_) cudaFree(span.allocation);
  cudaFree(workspace_.data);
}

std::byte* StagedCall::Span::twin(std::uintptr_t address) const {
  return allocation + begin % kAlignment + (address - begin);
}

StagedCall::Span StagedCall::span_of(const TensorView& view, Direction direction) {
  std::int64_t low = 0;
  std::int64_t high = 0;
  for (int dim = 0; dim < view.rank; ++dim) {
    const std::int64_t reach = view.strides[dim] * (view.shape[dim] - 1);
    (reach < 0 ? low : high) += reach;
  }
  const auto base = reinterpret_cast<std::uintptr_t>(view.data);
  const auto size = static_cast<std::int64_t>(size_of(view.dtype));
  return {.begin = base + static_cast<std::uintptr_t>(low * size),
          .end = base + static_cast<std::uintptr_t>((high + 1) * size),
          .direction = direction};
}

void StagedCall::add(const std::optional<TensorView>& view, Direction direction) {
  if (!view || view->data == nullptr || view->num_elements() == 0) return;
  spans_.push_back(span_of(*view, direction));
}

// Tensors may be one (a state updated in place) or interleave (slices of a fused projection).
void StagedCall::merge_overlaps() {
  std::sort(spans_.begin(), spans_.end(),
            [](const Span& a, const Span& b) { return a.begin < b.begin; });
  std::vector<Span> merged;
  for (const Span& span : spans_) {
    if (merged.empty() || span.begin >= merged.back().end) {
      merged.push_back(span);
      continue;
    }
    Span& last = merged.back();
    last.end = std::max(last.end, span.end);
    if (span.direction == Direction::kInOut) last.direction = Direction::kInOut;
  }
  spans_ = std::move(merged);
}

Status StagedCall::allocate_and_fill() {
  for (Span& span : spans_) {
    const std::size_t bytes = span.begin % kAlignment + span.bytes();
    cudaError_t error = cudaMalloc(reinterpret_cast<void**>(&span.allocation), bytes);
    if (error == cudaSuccess) {
      error = cudaMemcpy(span.twin(span.begin), reinterpret_cast<const void*>(span.begin),
                         span.bytes(), cudaMemcpyHostToDevice);
    }
    if (error != cudaSuccess) return staging_status("copy to the device", error);
  }
  return {};
}

Status StagedCall::allocate_workspace(std::size_t bytes) {
  if (bytes == 0) return {};
  cudaError_t error = cudaMalloc(&workspace_.data, bytes);
  if (error == cudaSuccess) error = cudaMemset(workspace_.data, kPoison, bytes);
  workspace_.bytes = bytes;
  return staging_status("workspace on the device", error);
}

void StagedCall::move_to_device(TensorView& view) const {
  const auto address = reinterpret_cast<std::uintptr_t>(view.data);
  for (const Span& span : spans_) {
    if (address < span.begin || address >= span.end) continue;
    view.data = span.twin(address);
    return;
  }
}

Status StagedCall::copy_in(const Plan& plan, const Tensors& host) {
  for (const TensorView* view : {&host.q, &host.k, &host.v, &host.g, &host.beta}) {
    add(*view, Direction::kIn);
  }
  for (const std::optional<TensorView>* view :
       {&host.A_log, &host.dt_bias, &host.cu_seqlens, &host.initial_state, &host.state_indices,
        &host.has_initial_state, &host.checkpoint_offsets, &host.checkpoint_slots}) {
    add(*view, Direction::kIn);
  }
  add(host.out, Direction::kInOut);
  for (const std::optional<TensorView>* view :
       {&host.final_state, &host.state_pool, &host.checkpoints}) {
    add(*view, Direction::kInOut);
  }
  merge_overlaps();
  if (Status status = allocate_and_fill(); !status.ok()) return status;
  tensors_ = host;
  for_each_view(tensors_, [this](TensorView& view) { move_to_device(view); });
  return allocate_workspace(plan.workspace_bytes);
}

Status StagedCall::copy_out() const {
  for (const Span& span : spans_) {
    if (span.direction == Direction::kIn) continue;
    const cudaError_t error = cudaMemcpy(reinterpret_cast<void*>(span.begin), span.twin(span.begin),
                                         span.bytes(), cudaMemcpyDeviceToHost);
    if (error != cudaSuccess) return staging_status("copy from the device", error);
  }
  return {};
}

Status run_staged(const Plan& plan, const Tensors& tensors) {
  StagedCall call;
  if (Status status = call.copy_in(plan, tensors); !status.ok()) return status;
  if (Status status = run(plan, call.tensors(), call.workspace()); !status.ok()) return status;
  if (Status status = staging_status("kernel", cudaDeviceSynchronize()); !status.ok()) {
    return status;
  }
  return call.copy_out();
}

}  // namespace flash_kda
