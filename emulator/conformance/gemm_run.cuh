// Runs a CUTLASS device-level GEMM (2.x or 3.x) once, with a workspace of its own.
#pragma once

#include <cuda_runtime_api.h>

#include "cutlass/cutlass.h"
#include "cutlass/util/packed_stride.hpp"

namespace emulator_conformance {

template <class Device>
cudaError_t run_device_gemm(const typename Device::Arguments& arguments) {
  if (Device::can_implement(arguments) != cutlass::Status::kSuccess) return cudaErrorInvalidValue;
  void* workspace = nullptr;
  const size_t workspace_bytes = Device::get_workspace_size(arguments);
  if (workspace_bytes != 0) {
    if (const cudaError_t status = cudaMalloc(&workspace, workspace_bytes)) return status;
  }
  Device gemm;
  cutlass::Status status = gemm.initialize(arguments, workspace);
  if (status == cutlass::Status::kSuccess) status = gemm.run();
  const cudaError_t sync_status = cudaDeviceSynchronize();
  if (workspace != nullptr) cudaFree(workspace);
  if (sync_status != cudaSuccess) return sync_status;
  return status == cutlass::Status::kSuccess ? cudaSuccess : cudaErrorUnknown;
}

}  // namespace emulator_conformance
