// The few driver calls that libraries reach for, also through cudaGetDriverEntryPoint.
#include "rt/driver.hpp"

#include <cuda_runtime_api.h>

#include <cstring>
#include <map>
#include <string_view>

#include "exec/memory.hpp"
#include "rt/state.hpp"

namespace {

CUresult result_of(cudaError_t e) { return static_cast<CUresult>(e); }

}  // namespace

extern "C" {

CUresult CUDAAPI cuInit(unsigned) { return CUDA_SUCCESS; }
CUresult CUDAAPI cuDriverGetVersion(int* v) { return result_of(cudaDriverGetVersion(v)); }
CUresult CUDAAPI cuDeviceGetCount(int* n) { return result_of(cudaGetDeviceCount(n)); }
CUresult CUDAAPI cuDeviceGet(CUdevice* d, int) {
  *d = 0;
  return CUDA_SUCCESS;
}
CUresult CUDAAPI cuDeviceGetAttribute(int* v, CUdevice_attribute a, CUdevice d) {
  return result_of(cudaDeviceGetAttribute(v, static_cast<cudaDeviceAttr>(a), d));
}
CUresult CUDAAPI cuDeviceGetName(char* name, int length, CUdevice) {
  std::strncpy(name, emulator::device().name, static_cast<size_t>(length));
  return CUDA_SUCCESS;
}
CUresult CUDAAPI cuCtxGetCurrent(CUcontext* c) {
  static int context;
  *c = reinterpret_cast<CUcontext>(&context);
  return CUDA_SUCCESS;
}
CUresult CUDAAPI cuCtxSetCurrent(CUcontext) { return CUDA_SUCCESS; }
CUresult CUDAAPI cuCtxGetDevice(CUdevice* d) {
  *d = 0;
  return CUDA_SUCCESS;
}
CUresult CUDAAPI cuCtxSynchronize() { return result_of(cudaDeviceSynchronize()); }
CUresult CUDAAPI cuGetErrorString(CUresult e, const char** text) {
  *text = cudaGetErrorString(static_cast<cudaError_t>(e));
  return CUDA_SUCCESS;
}
CUresult CUDAAPI cuGetErrorName(CUresult e, const char** text) {
  *text = cudaGetErrorName(static_cast<cudaError_t>(e));
  return CUDA_SUCCESS;
}
CUresult CUDAAPI cuMemAlloc(CUdeviceptr* p, size_t n) {
  return result_of(cudaMalloc(reinterpret_cast<void**>(p), n));
}
CUresult CUDAAPI cuMemFree(CUdeviceptr p) {
  return result_of(cudaFree(reinterpret_cast<void*>(p)));
}
CUresult CUDAAPI cuMemcpyHtoD(CUdeviceptr to, const void* from, size_t n) {
  return result_of(cudaMemcpy(reinterpret_cast<void*>(to), from, n, cudaMemcpyHostToDevice));
}
CUresult CUDAAPI cuMemcpyDtoH(void* to, CUdeviceptr from, size_t n) {
  return result_of(cudaMemcpy(to, reinterpret_cast<const void*>(from), n, cudaMemcpyDeviceToHost));
}
CUresult CUDAAPI cuStreamSynchronize(CUstream s) { return result_of(cudaStreamSynchronize(s)); }
CUresult CUDAAPI cuPointerGetAttribute(void* out, CUpointer_attribute a, CUdeviceptr p) {
  emulator::AllocationInfo info;
  if (!emulator::DeviceMemory::instance().find(p, info) || info.freed)
    return CUDA_ERROR_INVALID_VALUE;
  if (a == CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL) {
    *static_cast<int*>(out) = 0;
    return CUDA_SUCCESS;
  }
  if (a == CU_POINTER_ATTRIBUTE_MEMORY_TYPE) {
    *static_cast<unsigned*>(out) =
        info.kind == emulator::MemoryKind::kHost ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
    return CUDA_SUCCESS;
  }
  return CUDA_ERROR_NOT_SUPPORTED;
}

}  // extern "C"

namespace {

void* entry_point(std::string_view name) {
  static const std::map<std::string_view, void*> table = {
      {"cuTensorMapEncodeTiled", reinterpret_cast<void*>(&emulator::rt::encode_tiled)},
      {"cuTensorMapReplaceAddress", reinterpret_cast<void*>(&emulator::rt::replace_address)},
      {"cuInit", reinterpret_cast<void*>(&cuInit)},
      {"cuDriverGetVersion", reinterpret_cast<void*>(&cuDriverGetVersion)},
      {"cuDeviceGetCount", reinterpret_cast<void*>(&cuDeviceGetCount)},
      {"cuDeviceGet", reinterpret_cast<void*>(&cuDeviceGet)},
      {"cuDeviceGetAttribute", reinterpret_cast<void*>(&cuDeviceGetAttribute)},
      {"cuDeviceGetName", reinterpret_cast<void*>(&cuDeviceGetName)},
      {"cuCtxGetCurrent", reinterpret_cast<void*>(&cuCtxGetCurrent)},
      {"cuCtxSetCurrent", reinterpret_cast<void*>(&cuCtxSetCurrent)},
      {"cuCtxGetDevice", reinterpret_cast<void*>(&cuCtxGetDevice)},
      {"cuCtxSynchronize", reinterpret_cast<void*>(&cuCtxSynchronize)},
      {"cuGetErrorString", reinterpret_cast<void*>(&cuGetErrorString)},
      {"cuGetErrorName", reinterpret_cast<void*>(&cuGetErrorName)},
      {"cuPointerGetAttribute", reinterpret_cast<void*>(&cuPointerGetAttribute)},
      {"cuStreamSynchronize", reinterpret_cast<void*>(&cuStreamSynchronize)},
  };
  auto it = table.find(name);
  return it == table.end() ? nullptr : it->second;
}

}  // namespace

extern "C" {

cudaError_t CUDARTAPI cudaGetDriverEntryPointByVersion(const char* name, void** out, unsigned,
                                                       unsigned long long,
                                                       cudaDriverEntryPointQueryResult* status) {
  *out = entry_point(name);
  if (status) *status = *out ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
  return cudaSuccess;
}

cudaError_t CUDARTAPI cudaGetDriverEntryPoint(const char* name, void** out,
                                              unsigned long long flags,
                                              cudaDriverEntryPointQueryResult* status) {
  return cudaGetDriverEntryPointByVersion(name, out, CUDART_VERSION, flags, status);
}

}  // extern "C"
