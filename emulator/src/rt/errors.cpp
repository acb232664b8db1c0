#include <atomic>

#include "rt/state.hpp"

namespace emulator::rt {
namespace {

thread_local cudaError_t last = cudaSuccess;
std::atomic<cudaError_t> sticky{cudaSuccess};

}  // namespace

cudaError_t remember(cudaError_t e) {
  if (e != cudaSuccess && e != cudaErrorNotReady) last = e;
  return e;
}
cudaError_t sticky_error() { return sticky; }
void set_sticky_error(cudaError_t e) { sticky = e; }
void clear_errors() {
  last = cudaSuccess;
  sticky = cudaSuccess;
}
void explain(const std::string& text) { report_line("[emulator] " + text); }

}  // namespace emulator::rt

using emulator::rt::sticky_error;

extern "C" {

cudaError_t CUDARTAPI cudaGetLastError() {
  const cudaError_t e = sticky_error() != cudaSuccess ? sticky_error() : emulator::rt::last;
  emulator::rt::last = cudaSuccess;
  return e;
}

cudaError_t CUDARTAPI cudaPeekAtLastError() {
  return sticky_error() != cudaSuccess ? sticky_error() : emulator::rt::last;
}

#define EMULATOR_ERRORS(X)                                                                        \
  X(cudaSuccess, "no error")                                                                      \
  X(cudaErrorInvalidValue, "invalid argument")                                                    \
  X(cudaErrorMemoryAllocation, "out of memory")                                                   \
  X(cudaErrorInitializationError, "initialization error")                                         \
  X(cudaErrorInvalidConfiguration, "invalid configuration argument")                              \
  X(cudaErrorInvalidPitchValue, "invalid pitch argument")                                         \
  X(cudaErrorInvalidSymbol, "invalid device symbol")                                              \
  X(cudaErrorInvalidDevicePointer, "invalid device pointer")                                      \
  X(cudaErrorInvalidMemcpyDirection, "invalid copy direction for memcpy")                         \
  X(cudaErrorInvalidDeviceFunction, "invalid device function")                                    \
  X(cudaErrorNoDevice, "no CUDA-capable device is detected")                                      \
  X(cudaErrorInvalidDevice, "invalid device ordinal")                                             \
  X(cudaErrorInvalidKernelImage, "device kernel image is invalid")                                \
  X(cudaErrorNoKernelImageForDevice, "no kernel image is available for execution on the device")  \
  X(cudaErrorInvalidPtx, "a PTX JIT compilation failed")                                          \
  X(cudaErrorInvalidResourceHandle, "invalid resource handle")                                    \
  X(cudaErrorSymbolNotFound, "named symbol not found")                                            \
  X(cudaErrorNotReady, "device not ready")                                                        \
  X(cudaErrorIllegalAddress, "an illegal memory access was encountered")                          \
  X(cudaErrorLaunchOutOfResources, "too many resources requested for launch")                     \
  X(cudaErrorLaunchTimeout, "the launch timed out and was terminated")                            \
  X(cudaErrorAssert, "device-side assert triggered")                                              \
  X(cudaErrorIllegalInstruction, "an illegal instruction was encountered")                        \
  X(cudaErrorMisalignedAddress, "misaligned address")                                             \
  X(cudaErrorLaunchFailure, "unspecified launch failure")                                         \
  X(cudaErrorCooperativeLaunchTooLarge, "too many blocks in cooperative launch")                  \
  X(cudaErrorInvalidClusterSize, "cluster misconfiguration")                                      \
  X(cudaErrorNotSupported, "operation not supported")                                             \
  X(cudaErrorStreamCaptureUnsupported, "operation not permitted when stream is capturing")        \
  X(cudaErrorStreamCaptureInvalidated, "operation failed due to a previous error during capture") \
  X(cudaErrorIllegalState, "the operation cannot be performed in the present state")              \
  X(cudaErrorUnknown, "unknown error")

const char* CUDARTAPI cudaGetErrorString(cudaError_t e) {
  switch (e) {
#define X(code, text) \
  case code:          \
    return text;
    EMULATOR_ERRORS(X)
#undef X
    default:
      return "unrecognized error code";
  }
}

const char* CUDARTAPI cudaGetErrorName(cudaError_t e) {
  switch (e) {
#define X(code, text) \
  case code:          \
    return #code;
    EMULATOR_ERRORS(X)
#undef X
    default:
      return "unrecognized error code";
  }
}

}  // extern "C"
