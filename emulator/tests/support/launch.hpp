// Kernels live in .cu files and are launched from .cpp files, which compile in a fraction of the
// time. A header declares each kernel once with EMULATOR_KERNEL: for nvcc that is the kernel, for
// the host compiler its launch stub, whose address is what the runtime knows the kernel by.
#pragma once

#include <cuda_runtime_api.h>

#ifdef __CUDACC__
#define EMULATOR_KERNEL __global__
#define EMULATOR_GRID_CONSTANT __grid_constant__
#else
#define EMULATOR_KERNEL
#define EMULATOR_GRID_CONSTANT
#endif

namespace emulator_tests {

struct LaunchShape {
  dim3 grid = dim3(1);
  dim3 block = dim3(32);
  size_t shared_bytes = 0;
  cudaStream_t stream = nullptr;
};

template <class T>
struct Identity {
  using type = T;
};

template <class... Parameters>
cudaError_t launch(void (*kernel)(Parameters...), const LaunchShape& shape,
                   typename Identity<Parameters>::type... arguments) {
  void* pointers[] = {&arguments..., nullptr};
  return cudaLaunchKernel(reinterpret_cast<const void*>(kernel), shape.grid, shape.block, pointers,
                          shape.shared_bytes, shape.stream);
}

}  // namespace emulator_tests
