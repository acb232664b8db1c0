// Calls on host tensors for a backend that reads device memory: copies in, runs, copies out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "flash_kda/prefill.hpp"

namespace flash_kda {

// The device's twins of a call's host tensors, and a workspace. Each gets fresh, exactly sized
// memory of the current device that keeps the host address's remainder by 128; tensors that share
// memory on the host share it on the device.
class StagedCall {
 public:
  StagedCall() = default;
  ~StagedCall();
  StagedCall(const StagedCall&) = delete;
  StagedCall& operator=(const StagedCall&) = delete;

  Status copy_in(const Plan& plan, const Tensors& host);
  // Everything that a call may write, once the device is idle.
  Status copy_out() const;

  // Valid after copy_in.
  const Tensors& tensors() const { return tensors_; }
  Workspace workspace() const { return workspace_; }

 private:
  enum class Direction { kIn, kInOut };

  // A stretch of host memory and its twin on the device.
  struct Span {
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    Direction direction = Direction::kIn;
    std::byte* allocation = nullptr;

    std::byte* twin(std::uintptr_t address) const;
    std::size_t bytes() const { return end - begin; }
  };

  static Span span_of(const TensorView& view, Direction direction);
  void add(const std::optional<TensorView>& view, Direction direction);
  void merge_overlaps();
  Status allocate_and_fill();
  Status allocate_workspace(std::size_t bytes);
  void move_to_device(TensorView& view) const;

  std::vector<Span> spans_;
  Tensors tensors_;
  Workspace workspace_;
};

Status run_staged(const Plan& plan, const Tensors& tensors);

}  // namespace flash_kda
