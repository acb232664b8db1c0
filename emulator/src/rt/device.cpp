// The device as the runtime describes it.
#include "exec/device.hpp"

#include <cuda_runtime_api.h>

#include <cstdio>

#include "rt/state.hpp"

using namespace emulator::rt;
using emulator::device;
using emulator::DeviceProperties;

namespace {

constexpr int kDriverVersion = 13000;

bool attribute(cudaDeviceAttr a, int& v) {
  const DeviceProperties& d = device();
  const bool hopper = d.major >= 9;
  switch (a) {
    case cudaDevAttrMaxThreadsPerBlock:
      v = 1024;
      return true;
    case cudaDevAttrMaxBlockDimX:
    case cudaDevAttrMaxBlockDimY:
      v = 1024;
      return true;
    case cudaDevAttrMaxBlockDimZ:
      v = 64;
      return true;
    case cudaDevAttrMaxGridDimX:
      v = 0x7fffffff;
      return true;
    case cudaDevAttrMaxGridDimY:
    case cudaDevAttrMaxGridDimZ:
      v = 65535;
      return true;
    case cudaDevAttrMaxSharedMemoryPerBlock:
      v = static_cast<int>(d.shared_per_block);
      return true;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      v = static_cast<int>(d.shared_per_block_optin);
      return true;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
      v = static_cast<int>(d.shared_per_sm);
      return true;
    case cudaDevAttrReservedSharedMemoryPerBlock:
      v = static_cast<int>(d.shared_reserved);
      return true;
    case cudaDevAttrTotalConstantMemory:
      v = 65536;
      return true;
    case cudaDevAttrWarpSize:
      v = 32;
      return true;
    case cudaDevAttrMaxRegistersPerBlock:
    case cudaDevAttrMaxRegistersPerMultiprocessor:
      v = static_cast<int>(d.registers_per_sm);
      return true;
    case cudaDevAttrClockRate:
      v = static_cast<int>(d.clock_khz);
      return true;
    case cudaDevAttrMemoryClockRate:
      v = static_cast<int>(d.memory_clock_khz);
      return true;
    case cudaDevAttrGlobalMemoryBusWidth:
      v = static_cast<int>(d.bus_bits);
      return true;
    case cudaDevAttrL2CacheSize:
      v = static_cast<int>(d.l2_bytes);
      return true;
    case cudaDevAttrMultiProcessorCount:
      v = static_cast<int>(d.sms);
      return true;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
      v = static_cast<int>(d.threads_per_sm);
      return true;
    case cudaDevAttrMaxBlocksPerMultiprocessor:
      v = static_cast<int>(d.blocks_per_sm);
      return true;
    case cudaDevAttrComputeCapabilityMajor:
      v = static_cast<int>(d.major);
      return true;
    case cudaDevAttrComputeCapabilityMinor:
      v = static_cast<int>(d.minor);
      return true;
    case cudaDevAttrClusterLaunch:
      v = hopper;
      return true;
    case cudaDevAttrCooperativeLaunch:
    case cudaDevAttrConcurrentKernels:
    case cudaDevAttrUnifiedAddressing:
    case cudaDevAttrManagedMemory:
    case cudaDevAttrCanMapHostMemory:
    case cudaDevAttrStreamPrioritiesSupported:
    case cudaDevAttrMemoryPoolsSupported:
      v = 1;
      return true;
    case cudaDevAttrAsyncEngineCount:
      v = 2;
      return true;
    case cudaDevAttrTextureAlignment:
      v = 512;
      return true;
    case cudaDevAttrMaxPitch:
      v = 0x7fffffff;
      return true;
    default:
      v = 0;
      return true;
  }
}

}  // namespace

extern "C" {

cudaError_t CUDARTAPI cudaGetDeviceCount(int* n) {
  *n = 1;
  return cudaSuccess;
}
cudaError_t CUDARTAPI cudaGetDevice(int* d) {
  *d = 0;
  return cudaSuccess;
}
cudaError_t CUDARTAPI cudaSetDevice(int d) {
  return d == 0 ? cudaSuccess : remember(cudaErrorInvalidDevice);
}
cudaError_t CUDARTAPI cudaInitDevice(int d, unsigned, unsigned) { return cudaSetDevice(d); }
cudaError_t CUDARTAPI cudaSetDeviceFlags(unsigned) { return cudaSuccess; }
cudaError_t CUDARTAPI cudaGetDeviceFlags(unsigned* f) {
  *f = 0;
  return cudaSuccess;
}
cudaError_t CUDARTAPI cudaDeviceReset() {
  clear_errors();
  return cudaSuccess;
}
cudaError_t CUDARTAPI cudaDeviceGetAttribute(int* v, cudaDeviceAttr a, int d) {
  if (d != 0) return remember(cudaErrorInvalidDevice);
  return attribute(a, *v) ? cudaSuccess : remember(cudaErrorInvalidValue);
}
cudaError_t CUDARTAPI cudaDeviceCanAccessPeer(int* can, int, int) {
  *can = 0;
  return cudaSuccess;
}
cudaError_t CUDARTAPI cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  *least = 0;
  *greatest = -5;
  return cudaSuccess;
}
cudaError_t CUDARTAPI cudaDeviceGetPCIBusId(char* out, int length, int) {
  std::snprintf(out, static_cast<size_t>(length), "0000:00:00.0");
  return cudaSuccess;
}
cudaError_t CUDARTAPI cudaDeviceSetLimit(cudaLimit, size_t) { return cudaSuccess; }
cudaError_t CUDARTAPI cudaDeviceGetLimit(size_t* v, cudaLimit) {
  *v = 0;
  return cudaSuccess;
}
cudaError_t CUDARTAPI cudaDeviceSetCacheConfig(cudaFuncCache) { return cudaSuccess; }
cudaError_t CUDARTAPI cudaDriverGetVersion(int* v) {
  *v = kDriverVersion;
  return cudaSuccess;
}
cudaError_t CUDARTAPI cudaRuntimeGetVersion(int* v) {
  *v = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t CUDARTAPI cudaProfilerStart() { return cudaSuccess; }
cudaError_t CUDARTAPI cudaProfilerStop() { return cudaSuccess; }
cudaError_t CUDARTAPI cudaCtxResetPersistingL2Cache() { return cudaSuccess; }

cudaError_t CUDARTAPI cudaGetDeviceProperties(cudaDeviceProp* p, int index) {
  if (index != 0) return remember(cudaErrorInvalidDevice);
  const DeviceProperties& d = device();
  *p = {};
  std::snprintf(p->name, sizeof p->name, "%s (emulated)", d.name);
  p->totalGlobalMem = d.memory_bytes;
  p->sharedMemPerBlock = d.shared_per_block;
  p->sharedMemPerBlockOptin = d.shared_per_block_optin;
  p->sharedMemPerMultiprocessor = d.shared_per_sm;
  p->reservedSharedMemPerBlock = d.shared_reserved;
  p->regsPerBlock = p->regsPerMultiprocessor = static_cast<int>(d.registers_per_sm);
  p->warpSize = 32;
  p->memPitch = 0x7fffffff;
  p->maxThreadsPerBlock = 1024;
  p->maxThreadsDim[0] = p->maxThreadsDim[1] = 1024;
  p->maxThreadsDim[2] = 64;
  p->maxGridSize[0] = 0x7fffffff;
  p->maxGridSize[1] = p->maxGridSize[2] = 65535;
  p->totalConstMem = 65536;
  p->major = static_cast<int>(d.major);
  p->minor = static_cast<int>(d.minor);
  p->textureAlignment = 512;
  p->multiProcessorCount = static_cast<int>(d.sms);
  p->canMapHostMemory = p->concurrentKernels = p->unifiedAddressing = p->managedMemory = 1;
  p->cooperativeLaunch = p->streamPrioritiesSupported = p->memoryPoolsSupported = 1;
  p->clusterLaunch = d.major >= 9;
  p->memoryBusWidth = static_cast<int>(d.bus_bits);
  p->l2CacheSize = static_cast<int>(d.l2_bytes);
  p->maxThreadsPerMultiProcessor = static_cast<int>(d.threads_per_sm);
  p->maxBlocksPerMultiProcessor = static_cast<int>(d.blocks_per_sm);
  p->asyncEngineCount = 2;
  return cudaSuccess;
}

}  // extern "C"
