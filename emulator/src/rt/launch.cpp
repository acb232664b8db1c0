// Kernel launches.
#include <cuda_runtime_api.h>

#include <cstdlib>
#include <memory>
#include <vector>

#include "rt/state.hpp"

namespace emulator::rt {
namespace {

cudaError_t error_of(FaultKind kind) {
  switch (kind) {
    case FaultKind::kIllegalAddress:
      return cudaErrorIllegalAddress;
    case FaultKind::kMisalignedAddress:
      return cudaErrorMisalignedAddress;
    case FaultKind::kIllegalInstruction:
      return cudaErrorIllegalInstruction;
    case FaultKind::kTrap:
      return cudaErrorLaunchFailure;
    case FaultKind::kAssert:
      return cudaErrorAssert;
    case FaultKind::kDeadlock:
      return cudaErrorLaunchTimeout;
    case FaultKind::kHardwareRule:
      return cudaErrorIllegalInstruction;
    case FaultKind::kInternal:
      return cudaErrorUnknown;
  }
  return cudaErrorUnknown;
}

cudaError_t refuse(const Function& f, cudaError_t e, const std::string& why) {
  explain("launch of " + f.name + ": " + why);
  return remember(e);
}

// The rules that the driver checks before it launches.
cudaError_t validate(const Function& f, const LaunchConfig& c) {
  const Kernel& k = *f.kernel;
  const DeviceProperties& d = device();
  const u64 threads = u64{c.block[0]} * c.block[1] * c.block[2];
  const u32 limits[3] = {1024, 1024, 64};
  const u64 grid_limits[3] = {0x7fffffff, 65535, 65535};
  for (u32 n = 0; n < 3; ++n) {
    if (c.block[n] == 0 || c.block[n] > limits[n] || c.grid[n] == 0 || c.grid[n] > grid_limits[n])
      return refuse(f, cudaErrorInvalidConfiguration,
                    format_text("grid (%u,%u,%u) or block (%u,%u,%u) out of range", c.grid[0],
                                c.grid[1], c.grid[2], c.block[0], c.block[1], c.block[2]));
    if (c.grid[n] % c.cluster[n])
      return refuse(f, cudaErrorInvalidClusterSize,
                    format_text("grid dimension %u is %u, not a multiple of the cluster's %u", n,
                                c.grid[n], c.cluster[n]));
  }
  if (threads > 1024)
    return refuse(f, cudaErrorInvalidConfiguration,
                  format_text("%llu threads in a block", static_cast<unsigned long long>(threads)));
  const u32* most = k.bounds.max_threads;
  if (most[0] && threads > u64{most[0]} * most[1] * most[2])
    return refuse(
        f, cudaErrorInvalidValue,
        format_text("%llu threads exceed __launch_bounds__(%u)",
                    static_cast<unsigned long long>(threads), most[0] * most[1] * most[2]));
  if (c.dynamic_shared > f.max_dynamic_shared)
    return refuse(f, cudaErrorInvalidValue,
                  format_text("%u bytes of dynamic shared memory; the attribute allows %u",
                              c.dynamic_shared, f.max_dynamic_shared));
  const u32 shared = k.dynamic_shared_offset - kSharedReserved + c.dynamic_shared;
  if (shared > d.shared_per_block_optin)
    return refuse(f, cudaErrorInvalidValue,
                  format_text("%u bytes of shared memory; the device has %u", shared,
                              d.shared_per_block_optin));
  const u32 ranks = c.cluster[0] * c.cluster[1] * c.cluster[2];
  if (ranks > 1 && ranks > d.max_cluster * (f.nonportable_cluster ? 2 : 1))
    return refuse(f, cudaErrorInvalidClusterSize, format_text("cluster of %u CTAs", ranks));
  if (k.bounds.cluster[0] && c.explicit_cluster)
    for (u32 n = 0; n < 3; ++n)
      if (k.bounds.cluster[n] != c.cluster[n])
        return refuse(f, cudaErrorInvalidClusterSize, "cluster differs from __cluster_dims__");
  const u32 resident = resident_ctas_per_sm(k, d, static_cast<u32>(threads), c.dynamic_shared);
  if (resident == 0)
    return refuse(f, cudaErrorLaunchOutOfResources, "one block does not fit on an SM");
  if (c.cooperative && u64{c.grid[0]} * c.grid[1] * c.grid[2] > u64{resident} * d.sms)
    return refuse(f, cudaErrorCooperativeLaunchTooLarge,
                  format_text("%u blocks, but %u x %u are resident at most",
                              c.grid[0] * c.grid[1] * c.grid[2], resident, d.sms));
  return cudaSuccess;
}

LaunchConfig shape(const Function& f, dim3 grid, dim3 block, size_t shared) {
  LaunchConfig c;
  const u32 g[3] = {grid.x, grid.y, grid.z}, b[3] = {block.x, block.y, block.z};
  for (u32 n = 0; n < 3; ++n) {
    c.grid[n] = g[n];
    c.block[n] = b[n];
    if (f.kernel->bounds.cluster[0]) c.cluster[n] = f.kernel->bounds.cluster[n];
  }
  c.explicit_cluster = f.kernel->bounds.cluster[0] != 0;
  c.dynamic_shared = static_cast<u32>(shared);
  return c;
}

cudaError_t launch_plain(const void* host, dim3 grid, dim3 block, void** arguments, size_t shared,
                         cudaStream_t stream, bool cooperative) {
  Function* f = find_function(host);
  if (!f) return remember(load_error(host));
  LaunchConfig c = shape(*f, grid, block, shared);
  c.cooperative = cooperative;
  return launch_function(*f, c, arguments, stream);
}

struct PendingCall {
  dim3 grid, block;
  size_t shared;
  void* stream;
};
thread_local std::vector<PendingCall> pending_calls;

}  // namespace

cudaError_t launch_function(Function& f, const LaunchConfig& config, void** arguments,
                            cudaStream_t stream) {
  if (cudaError_t e = validate(f, config); e != cudaSuccess) return e;
  const Kernel* kernel = f.kernel;
  auto params = std::make_shared<std::vector<u8>>(kernel->param_bytes);
  for (size_t k = 0; k < kernel->params.size(); ++k)
    std::memcpy(params->data() + kernel->params[k].offset, arguments[k], kernel->params[k].size);
  return submit(stream, WorkKind::kKernel, [kernel, config, params] {
    const LaunchResult r = launch(*kernel, config, params->data());
    if (r.ok) return cudaSuccess;
    explain(r.message);
    set_sticky_error(error_of(r.kind));
    return cudaSuccess;  // like a device, which reports when someone synchronises
  });
}

}  // namespace emulator::rt

using namespace emulator::rt;

extern "C" {

unsigned CUDARTAPI __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, void* stream) {
  pending_calls.push_back({grid, block, shared, stream});
  return 0;
}

cudaError_t CUDARTAPI __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared,
                                                 void* stream) {
  if (pending_calls.empty()) return cudaErrorInvalidConfiguration;
  const PendingCall c = pending_calls.back();
  pending_calls.pop_back();
  *grid = c.grid;
  *block = c.block;
  *shared = c.shared;
  *static_cast<void**>(stream) = c.stream;
  return cudaSuccess;
}

cudaError_t CUDARTAPI __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block,
                                         void** arguments, size_t shared, cudaStream_t stream) {
  return launch_plain(kernel, grid, block, arguments, shared, stream, false);
}

cudaError_t CUDARTAPI __cudaLaunchKernel_ptsz(cudaKernel_t kernel, dim3 grid, dim3 block,
                                              void** arguments, size_t shared,
                                              cudaStream_t stream) {
  return launch_plain(kernel, grid, block, arguments, shared, stream, false);
}

cudaError_t CUDARTAPI cudaLaunchKernel(const void* host, dim3 grid, dim3 block, void** arguments,
                                       size_t shared, cudaStream_t stream) {
  return launch_plain(host, grid, block, arguments, shared, stream, false);
}

cudaError_t CUDARTAPI cudaLaunchCooperativeKernel(const void* host, dim3 grid, dim3 block,
                                                  void** arguments, size_t shared,
                                                  cudaStream_t stream) {
  return launch_plain(host, grid, block, arguments, shared, stream, true);
}

cudaError_t CUDARTAPI cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* host,
                                          void** arguments) {
  Function* f = find_function(host);
  if (!f) return remember(load_error(host));
  emulator::LaunchConfig c = shape(*f, config->gridDim, config->blockDim, config->dynamicSmemBytes);
  for (unsigned k = 0; k < config->numAttrs; ++k) {
    const cudaLaunchAttribute& a = config->attrs[k];
    if (a.id == cudaLaunchAttributeClusterDimension && a.val.clusterDim.x) {
      c.cluster[0] = a.val.clusterDim.x;
      c.cluster[1] = a.val.clusterDim.y;
      c.cluster[2] = a.val.clusterDim.z;
      c.explicit_cluster = true;
    } else if (a.id == cudaLaunchAttributeCooperative) {
      c.cooperative = a.val.cooperative != 0;
    } else if (a.id == cudaLaunchAttributeProgrammaticStreamSerialization) {
      c.programmatic = a.val.programmaticStreamSerializationAllowed != 0;
    }
  }
  return launch_function(*f, c, arguments, config->stream);
}

cudaError_t CUDARTAPI cudaFuncSetAttribute(const void* host, cudaFuncAttribute attribute,
                                           int value) {
  Function* f = find_function(host);
  if (!f) return remember(load_error(host));
  const emulator::DeviceProperties& d = emulator::device();
  switch (attribute) {
    case cudaFuncAttributeMaxDynamicSharedMemorySize:
      if (value < 0 || value + f->kernel->dynamic_shared_offset - emulator::kSharedReserved >
                           d.shared_per_block_optin)
        return remember(cudaErrorInvalidValue);
      f->max_dynamic_shared = static_cast<emulator::u32>(value);
      return cudaSuccess;
    case cudaFuncAttributeNonPortableClusterSizeAllowed:
      f->nonportable_cluster = value != 0;
      return cudaSuccess;
    case cudaFuncAttributePreferredSharedMemoryCarveout:
      f->carveout = value;
      return cudaSuccess;
    default:
      return cudaSuccess;
  }
}

cudaError_t CUDARTAPI cudaFuncGetAttributes(cudaFuncAttributes* out, const void* host) {
  Function* f = find_function(host);
  if (!f) return remember(load_error(host));
  *out = {};
  const emulator::Kernel& k = *f->kernel;
  out->sharedSizeBytes = k.static_shared - emulator::kSharedReserved;
  out->localSizeBytes = k.local_bytes;
  const emulator::u32* most = k.bounds.max_threads;
  out->maxThreadsPerBlock = most[0] ? static_cast<int>(most[0] * most[1] * most[2]) : 1024;
  out->numRegs = static_cast<int>(k.register_estimate);
  out->ptxVersion = out->binaryVersion =
      static_cast<int>(emulator::device().major * 10 + emulator::device().minor);
  out->maxDynamicSharedSizeBytes = static_cast<int>(f->max_dynamic_shared);
  out->preferredShmemCarveout = f->carveout;
  out->nonPortableClusterSizeAllowed = f->nonportable_cluster;
  out->clusterDimMustBeSet = k.bounds.cluster[0] != 0;
  out->requiredClusterWidth = static_cast<int>(k.bounds.cluster[0]);
  out->requiredClusterHeight = static_cast<int>(k.bounds.cluster[1]);
  out->requiredClusterDepth = static_cast<int>(k.bounds.cluster[2]);
  return cudaSuccess;
}

cudaError_t CUDARTAPI cudaFuncSetCacheConfig(const void*, cudaFuncCache) { return cudaSuccess; }

cudaError_t CUDARTAPI cudaFuncGetName(const char** name, const void* host) {
  Function* f = find_function(host);
  if (!f) return remember(load_error(host));
  *name = f->name.c_str();
  return cudaSuccess;
}

cudaError_t CUDARTAPI cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
    int* blocks, const void* host, int threads, size_t shared, unsigned) {
  Function* f = find_function(host);
  if (!f) return remember(load_error(host));
  if (threads <= 0) return remember(cudaErrorInvalidValue);
  *blocks = static_cast<int>(emulator::resident_ctas_per_sm(*f->kernel, emulator::device(),
                                                            static_cast<emulator::u32>(threads),
                                                            static_cast<emulator::u32>(shared)));
  return cudaSuccess;
}

cudaError_t CUDARTAPI cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* host,
                                                                    int threads, size_t shared) {
  return cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, host, threads, shared, 0);
}

cudaError_t CUDARTAPI cudaOccupancyAvailableDynamicSMemPerBlock(size_t* bytes, const void* host,
                                                                int blocks, int) {
  Function* f = find_function(host);
  if (!f) return remember(load_error(host));
  if (blocks <= 0) return remember(cudaErrorInvalidValue);
  const auto& d = emulator::device();
  const emulator::u32 fixed = f->kernel->dynamic_shared_offset;
  const emulator::u32 each = d.shared_per_sm / static_cast<emulator::u32>(blocks);
  *bytes = each > fixed ? std::min(each - fixed, d.shared_per_block_optin) : 0;
  return cudaSuccess;
}

cudaError_t CUDARTAPI cudaOccupancyMaxActiveClusters(int* clusters, const void* host,
                                                     const cudaLaunchConfig_t* config) {
  Function* f = find_function(host);
  if (!f) return remember(load_error(host));
  unsigned ranks = 1;
  for (unsigned k = 0; k < config->numAttrs; ++k)
    if (config->attrs[k].id == cudaLaunchAttributeClusterDimension)
      ranks = config->attrs[k].val.clusterDim.x * config->attrs[k].val.clusterDim.y *
              config->attrs[k].val.clusterDim.z;
  const dim3 b = config->blockDim;
  const auto per_sm =
      emulator::resident_ctas_per_sm(*f->kernel, emulator::device(), b.x * b.y * b.z,
                                     static_cast<emulator::u32>(config->dynamicSmemBytes));
  *clusters = static_cast<int>(per_sm * emulator::device().sms / std::max(1u, ranks));
  return cudaSuccess;
}

cudaError_t CUDARTAPI cudaOccupancyMaxPotentialClusterSize(int* size, const void* host,
                                                           const cudaLaunchConfig_t*) {
  Function* f = find_function(host);
  if (!f) return remember(load_error(host));
  *size = static_cast<int>(emulator::device().max_cluster * (f->nonportable_cluster ? 2 : 1));
  return cudaSuccess;
}

}  // extern "C"
