// What the entry points of the runtime share.
#pragma once

#include <cuda_runtime_api.h>

#include <functional>
#include <memory>
#include <string>

#include "exec/launch.hpp"
#include "exec/module.hpp"

namespace emulator::rt {

// Errors. A failed kernel leaves a sticky error that every later call returns, as a real context
// does; cudaDeviceReset clears it.
cudaError_t remember(cudaError_t e);  // for cudaGetLastError
cudaError_t sticky_error();
void set_sticky_error(cudaError_t e);
void clear_errors();
// An explanation that cudaError_t has no room for.
void explain(const std::string& text);

// Functions and variables of the host program.
struct Function {
  std::string name;
  void* module = nullptr;  // handle of the fat binary
  Kernel* kernel = nullptr;
  u32 max_dynamic_shared = 48 * 1024;
  bool nonportable_cluster = false;
  int carveout = -1;
};
Function* find_function(const void* host_function);  // loads the module; null when unknown
cudaError_t load_error(const void* host_function);
bool find_variable(const void* host_variable, GlobalVariable& out);
Module* module_of(void** handle);

// Work on a stream: done at once, or recorded while the stream is captured.
enum class WorkKind { kKernel, kCopy, kSet, kHost, kEmpty, kAlloc, kFree };
void keep_summary();

cudaError_t submit(cudaStream_t stream, WorkKind kind, std::function<cudaError_t()> work);

cudaError_t launch_function(Function& f, const LaunchConfig& config, void** arguments,
                            cudaStream_t stream);

}  // namespace emulator::rt
