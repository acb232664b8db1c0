// Allocation, copies and fills.
#include "exec/memory.hpp"

#include <cuda_runtime_api.h>

#include <cstdlib>
#include <mutex>
#include <set>

#include "exec/checker.hpp"
#include "rt/state.hpp"

namespace emulator::rt {
namespace {

u64 number(const void* p) { return reinterpret_cast<u64>(p); }

cudaError_t allocate(void** out, size_t bytes, MemoryKind kind) {
  if (!out) return remember(cudaErrorInvalidValue);
  *out = nullptr;
  if (sticky_error() != cudaSuccess) return sticky_error();
  if (bytes == 0) return cudaSuccess;
  if (kind == MemoryKind::kDevice &&
      DeviceMemory::instance().allocated_bytes() + bytes > device().memory_bytes)
    return remember(cudaErrorMemoryAllocation);
  const u64 at = DeviceMemory::instance().allocate(bytes, kind);
  if (!at) return remember(cudaErrorMemoryAllocation);
  *out = reinterpret_cast<void*>(at);
  if (auto* c = checker())
    c->allocated(at, bytes,
                 kind == MemoryKind::kDevice ? check::Observer::Contents::kUndefined
                                             : check::Observer::Contents::kDefined);
  return cudaSuccess;
}

cudaError_t release(void* p) {
  if (!p) return cudaSuccess;
  if (!DeviceMemory::instance().release(number(p))) {
    explain(format_text("free of %p, which is no live allocation", p));
    return remember(cudaErrorInvalidValue);
  }
  if (auto* c = checker()) c->freed(number(p));
  return cudaSuccess;
}

// Device memory is checked; anything outside of the emulator's range is the host's business.
bool valid(const void* p, size_t bytes) {
  if (!DeviceMemory::instance().in_range(number(p))) return true;
  return DeviceMemory::instance().contains(number(p), bytes);
}

bool is_device(const void* p) {
  AllocationInfo info;
  return DeviceMemory::instance().find(number(p), info) && info.kind != MemoryKind::kHost;
}

cudaError_t check_range(const void* p, size_t bytes, const char* what) {
  if (bytes == 0 || valid(p, bytes)) return cudaSuccess;
  explain(std::string(what) + ": " + DeviceMemory::instance().explain(number(p), bytes));
  return remember(cudaErrorInvalidValue);
}

void tell_copy(const void* to, const void* from, size_t bytes) {
  auto* c = checker();
  if (!c || !bytes) return;
  const bool to_device = DeviceMemory::instance().in_range(number(to));
  const bool from_device = DeviceMemory::instance().in_range(number(from));
  if (to_device && from_device) {
    c->device_copied(number(to), number(from), bytes);
  } else if (to_device) {
    c->host_wrote(number(to), bytes);
  } else if (from_device) {
    c->host_read(number(from), bytes);
  }
}

cudaError_t check_direction(const void* to, const void* from, cudaMemcpyKind kind) {
  const bool to_device = is_device(to), from_device = is_device(from);
  if (kind == cudaMemcpyHostToDevice && !to_device) return cudaErrorInvalidValue;
  if (kind == cudaMemcpyDeviceToHost && !from_device) return cudaErrorInvalidValue;
  if (kind == cudaMemcpyDeviceToDevice && !(to_device && from_device)) return cudaErrorInvalidValue;
  return cudaSuccess;
}

cudaError_t copy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                 cudaStream_t stream) {
  if (sticky_error() != cudaSuccess) return sticky_error();
  if (bytes == 0) return cudaSuccess;
  if (!to || !from) return remember(cudaErrorInvalidValue);
  if (cudaError_t e = check_direction(to, from, kind); e != cudaSuccess) {
    explain("copy: a pointer does not fit the direction");
    return remember(e);
  }
  if (cudaError_t e = check_range(to, bytes, "copy, destination"); e != cudaSuccess) return e;
  if (cudaError_t e = check_range(from, bytes, "copy, source"); e != cudaSuccess) return e;
  return submit(stream, WorkKind::kCopy, [=] {
    tell_copy(to, from, bytes);
    std::memmove(to, from, bytes);
    return cudaSuccess;
  });
}

cudaError_t copy_2d(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                    size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
  if (width > to_pitch || width > from_pitch) return remember(cudaErrorInvalidPitchValue);
  for (size_t y = 0; y < height; ++y) {
    const cudaError_t e = copy(static_cast<u8*>(to) + y * to_pitch,
                               static_cast<const u8*>(from) + y * from_pitch, width, kind, stream);
    if (e != cudaSuccess) return e;
  }
  return cudaSuccess;
}

cudaError_t fill(void* to, int value, size_t bytes, cudaStream_t stream) {
  if (sticky_error() != cudaSuccess) return sticky_error();
  if (bytes == 0) return cudaSuccess;
  if (!is_device(to)) return remember(cudaErrorInvalidValue);
  if (cudaError_t e = check_range(to, bytes, "memset"); e != cudaSuccess) return e;
  return submit(stream, WorkKind::kSet, [=] {
    if (auto* c = checker()) c->host_wrote(number(to), bytes);
    std::memset(to, value, bytes);
    return cudaSuccess;
  });
}

cudaError_t fill_2d(void* to, size_t pitch, int value, size_t width, size_t height,
                    cudaStream_t stream) {
  for (size_t y = 0; y < height; ++y) {
    const cudaError_t e = fill(static_cast<u8*>(to) + y * pitch, value, width, stream);
    if (e != cudaSuccess) return e;
  }
  return cudaSuccess;
}

cudaError_t copy_symbol(const void* symbol, const void* data, size_t bytes, size_t offset,
                        cudaMemcpyKind kind, cudaStream_t stream, bool to_symbol) {
  GlobalVariable v;
  if (!find_variable(symbol, v)) return remember(cudaErrorInvalidSymbol);
  if (offset + bytes > v.bytes) return remember(cudaErrorInvalidValue);
  void* at = reinterpret_cast<void*>(v.address + offset);
  return to_symbol ? copy(at, data, bytes, kind, stream)
                   : copy(const_cast<void*>(data), at, bytes, kind, stream);
}

}  // namespace
}  // namespace emulator::rt

using namespace emulator::rt;
using emulator::MemoryKind;

extern "C" {

cudaError_t CUDARTAPI cudaMalloc(void** p, size_t n) { return allocate(p, n, MemoryKind::kDevice); }
cudaError_t CUDARTAPI cudaMallocHost(void** p, size_t n) {
  return allocate(p, n, MemoryKind::kHost);
}
cudaError_t CUDARTAPI cudaHostAlloc(void** p, size_t n, unsigned) {
  return allocate(p, n, MemoryKind::kHost);
}
cudaError_t CUDARTAPI cudaMallocManaged(void** p, size_t n, unsigned) {
  return allocate(p, n, MemoryKind::kManaged);
}
cudaError_t CUDARTAPI cudaMallocAsync(void** p, size_t n, cudaStream_t) {
  return allocate(p, n, MemoryKind::kDevice);
}
cudaError_t CUDARTAPI cudaMallocPitch(void** p, size_t* pitch, size_t width, size_t height) {
  *pitch = emulator::align_up(width, 512);
  return allocate(p, *pitch * height, MemoryKind::kDevice);
}
cudaError_t CUDARTAPI cudaFree(void* p) { return release(p); }
cudaError_t CUDARTAPI cudaFreeHost(void* p) { return release(p); }
cudaError_t CUDARTAPI cudaFreeAsync(void* p, cudaStream_t s) {
  return submit(s, WorkKind::kFree, [=] { return release(p); });
}
cudaError_t CUDARTAPI cudaHostGetDevicePointer(void** device, void* host, unsigned) {
  *device = host;
  return cudaSuccess;
}
cudaError_t CUDARTAPI cudaMemGetInfo(size_t* available, size_t* total) {
  *total = emulator::device().memory_bytes;
  *available = *total - emulator::DeviceMemory::instance().allocated_bytes();
  return cudaSuccess;
}

cudaError_t CUDARTAPI cudaMemcpy(void* to, const void* from, size_t n, cudaMemcpyKind kind) {
  return copy(to, from, n, kind, nullptr);
}
cudaError_t CUDARTAPI cudaMemcpyAsync(void* to, const void* from, size_t n, cudaMemcpyKind kind,
                                      cudaStream_t s) {
  return copy(to, from, n, kind, s);
}
cudaError_t CUDARTAPI cudaMemcpy2D(void* to, size_t to_pitch, const void* from, size_t from_pitch,
                                   size_t w, size_t h, cudaMemcpyKind kind) {
  return copy_2d(to, to_pitch, from, from_pitch, w, h, kind, nullptr);
}
cudaError_t CUDARTAPI cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from,
                                        size_t from_pitch, size_t w, size_t h, cudaMemcpyKind kind,
                                        cudaStream_t s) {
  return copy_2d(to, to_pitch, from, from_pitch, w, h, kind, s);
}
cudaError_t CUDARTAPI cudaMemcpyPeer(void* to, int, const void* from, int, size_t n) {
  return copy(to, from, n, cudaMemcpyDefault, nullptr);
}
cudaError_t CUDARTAPI cudaMemcpyPeerAsync(void* to, int, const void* from, int, size_t n,
                                          cudaStream_t s) {
  return copy(to, from, n, cudaMemcpyDefault, s);
}
cudaError_t CUDARTAPI cudaMemcpyToSymbol(const void* symbol, const void* from, size_t n,
                                         size_t offset, cudaMemcpyKind kind) {
  return copy_symbol(symbol, from, n, offset, kind, nullptr, true);
}
cudaError_t CUDARTAPI cudaMemcpyFromSymbol(void* to, const void* symbol, size_t n, size_t offset,
                                           cudaMemcpyKind kind) {
  return copy_symbol(symbol, to, n, offset, kind, nullptr, false);
}
cudaError_t CUDARTAPI cudaMemcpyToSymbolAsync(const void* symbol, const void* from, size_t n,
                                              size_t offset, cudaMemcpyKind kind, cudaStream_t s) {
  return copy_symbol(symbol, from, n, offset, kind, s, true);
}
cudaError_t CUDARTAPI cudaMemcpyFromSymbolAsync(void* to, const void* symbol, size_t n,
                                                size_t offset, cudaMemcpyKind kind,
                                                cudaStream_t s) {
  return copy_symbol(symbol, to, n, offset, kind, s, false);
}
cudaError_t CUDARTAPI cudaMemset(void* p, int v, size_t n) { return fill(p, v, n, nullptr); }
cudaError_t CUDARTAPI cudaMemsetAsync(void* p, int v, size_t n, cudaStream_t s) {
  return fill(p, v, n, s);
}
cudaError_t CUDARTAPI cudaMemset2D(void* p, size_t pitch, int v, size_t w, size_t h) {
  return fill_2d(p, pitch, v, w, h, nullptr);
}
cudaError_t CUDARTAPI cudaMemset2DAsync(void* p, size_t pitch, int v, size_t w, size_t h,
                                        cudaStream_t s) {
  return fill_2d(p, pitch, v, w, h, s);
}
cudaError_t CUDARTAPI cudaMemPrefetchAsync(const void*, size_t, cudaMemLocation, unsigned,
                                           cudaStream_t) {
  return cudaSuccess;
}
cudaError_t CUDARTAPI cudaMemAdvise(const void*, size_t, cudaMemoryAdvise, cudaMemLocation) {
  return cudaSuccess;
}
cudaError_t CUDARTAPI cudaHostRegister(void*, size_t, unsigned) {
  return remember(cudaErrorNotSupported);
}
cudaError_t CUDARTAPI cudaHostUnregister(void*) { return remember(cudaErrorNotSupported); }

cudaError_t CUDARTAPI cudaPointerGetAttributes(cudaPointerAttributes* out, const void* p) {
  *out = {};
  emulator::AllocationInfo info;
  if (!emulator::DeviceMemory::instance().find(number(p), info) || info.freed) {
    out->type = cudaMemoryTypeUnregistered;
    out->hostPointer = const_cast<void*>(p);
    return cudaSuccess;
  }
  out->type = info.kind == MemoryKind::kHost      ? cudaMemoryTypeHost
              : info.kind == MemoryKind::kManaged ? cudaMemoryTypeManaged
                                                  : cudaMemoryTypeDevice;
  out->devicePointer = const_cast<void*>(p);
  out->hostPointer = out->type == cudaMemoryTypeDevice ? nullptr : const_cast<void*>(p);
  return cudaSuccess;
}

}  // extern "C"
