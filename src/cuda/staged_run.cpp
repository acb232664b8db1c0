#include "cuda/staged_run.hpp"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "fmt/format.h"

namespace flash_kda {
namespace {

// Device addresses keep their host address's remainder, so that alignment is what the caller has.
constexpr std::uintptr_t kAlignment = 128;
constexpr int kPoison = 0xff;  // every float type reads it as NaN

enum class Direction { kIn, kInOut };

// A stretch of host memory and its twin on the device.
struct Span {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  Direction direction = Direction::kIn;
  std::byte* allocation = nullptr;

  std::byte* twin(std::uintptr_t address) const {
    return allocation + begin % kAlignment + (address - begin);
  }
  std::size_t bytes() const { return end - begin; }
};

Span span_of(const TensorView& view, Direction direction) {
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

class Staging {
 public:
  ~Staging() {
    for (const Span& span : spans_) cudaFree(span.allocation);
    cudaFree(workspace_);
  }

  void add(const TensorView& view, Direction direction) {
    if (view.data != nullptr && view.num_elements() > 0) spans_.push_back(span_of(view, direction));
  }
  void add(const std::optional<TensorView>& view, Direction direction) {
    if (view) add(*view, direction);
  }

  cudaError_t copy_in(std::size_t workspace_bytes) {
    merge_overlaps();
    cudaError_t error = cudaSuccess;
    for (Span& span : spans_) {
      const std::size_t bytes = span.begin % kAlignment + span.bytes();
      error = cudaMalloc(reinterpret_cast<void**>(&span.allocation), bytes);
      if (error != cudaSuccess) return error;
      error = cudaMemcpy(span.twin(span.begin), reinterpret_cast<const void*>(span.begin),
                         span.bytes(), cudaMemcpyHostToDevice);
      if (error != cudaSuccess) return error;
    }
    if (workspace_bytes == 0) return cudaSuccess;
    error = cudaMalloc(reinterpret_cast<void**>(&workspace_), workspace_bytes);
    return error != cudaSuccess ? error : cudaMemset(workspace_, kPoison, workspace_bytes);
  }

  cudaError_t copy_out() const {
    for (const Span& span : spans_) {
      if (span.direction == Direction::kIn) continue;
      const cudaError_t error =
          cudaMemcpy(reinterpret_cast<void*>(span.begin), span.twin(span.begin), span.bytes(),
                     cudaMemcpyDeviceToHost);
      if (error != cudaSuccess) return error;
    }
    return cudaSuccess;
  }

  TensorView on_device(TensorView view) const {
    const auto address = reinterpret_cast<std::uintptr_t>(view.data);
    for (const Span& span : spans_) {
      if (address >= span.begin && address < span.end) view.data = span.twin(address);
    }
    return view;
  }
  std::optional<TensorView> on_device(const std::optional<TensorView>& view) const {
    if (!view) return std::nullopt;
    return on_device(*view);
  }
  std::byte* workspace() const { return workspace_; }

 private:
  // Tensors may be one (a state updated in place) or interleave (slices of a fused projection).
  void merge_overlaps() {
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

  std::vector<Span> spans_;
  std::byte* workspace_ = nullptr;
};

Status staging_error(const char* what, cudaError_t error) {
  return {StatusCode::kDeviceError, fmt::format("{}: {}", what, cudaGetErrorString(error))};
}

Tensors stage(const Tensors& t, const Staging& staging) {
  Tensors d = t;
  for (TensorView* view : {&d.q, &d.k, &d.v, &d.g, &d.beta, &d.out}) {
    *view = staging.on_device(*view);
  }
  for (std::optional<TensorView>* view :
       {&d.A_log, &d.dt_bias, &d.cu_seqlens, &d.initial_state, &d.final_state, &d.state_pool,
        &d.state_indices, &d.has_initial_state, &d.checkpoints, &d.checkpoint_offsets,
        &d.checkpoint_slots}) {
    *view = staging.on_device(*view);
  }
  return d;
}

}  // namespace

Status run_staged(const Plan& plan, const Tensors& t) {
  Staging staging;
  for (const TensorView* view : {&t.q, &t.k, &t.v, &t.g, &t.beta}) {
    staging.add(*view, Direction::kIn);
  }
  for (const std::optional<TensorView>* view :
       {&t.A_log, &t.dt_bias, &t.cu_seqlens, &t.initial_state, &t.state_indices,
        &t.has_initial_state, &t.checkpoint_offsets, &t.checkpoint_slots}) {
    staging.add(*view, Direction::kIn);
  }
  staging.add(t.out, Direction::kInOut);
  for (const std::optional<TensorView>* view : {&t.final_state, &t.state_pool, &t.checkpoints}) {
    staging.add(*view, Direction::kInOut);
  }
  if (const cudaError_t error = staging.copy_in(plan.workspace_bytes); error != cudaSuccess) {
    return staging_error("copy to the device", error);
  }
  const Status status =
      run(plan, stage(t, staging), {staging.workspace(), plan.workspace_bytes}, nullptr);
  if (!status.ok()) return status;
  if (const cudaError_t error = cudaDeviceSynchronize(); error != cudaSuccess) {
    return staging_error("kernel", error);
  }
  if (const cudaError_t error = staging.copy_out(); error != cudaSuccess) {
    return staging_error("copy from the device", error);
  }
  return {};
}

}  // namespace flash_kda
