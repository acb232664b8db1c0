// Thread block clusters: mapa, distributed shared memory, remote mbarriers, multicast.
#include "support/cluster_case.hpp"
#include "support/ptx.cuh"

namespace emulator_tests {
namespace {

#define SPECIAL(name)                                      \
  [] {                                                     \
    uint32_t value;                                        \
    asm volatile("mov.u32 %0, %%" name ";" : "=r"(value)); \
    return value;                                          \
  }()

__device__ uint32_t cta_rank() { return SPECIAL("cluster_ctarank"); }

__device__ uint32_t map_to_rank(const void* pointer, uint32_t rank) {
  uint32_t address;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;"
               : "=r"(address)
               : "r"(ptx::shared_address(pointer)), "r"(rank));
  return address;
}

__device__ uint64_t map_generic_to_rank(const void* pointer, uint32_t rank) {
  uint64_t address;
  asm volatile("mapa.u64 %0, %1, %2;" : "=l"(address) : "l"(pointer), "r"(rank));
  return address;
}

__device__ void cluster_sync() {
  asm volatile("barrier.cluster.arrive.release.aligned; barrier.cluster.wait.acquire.aligned;" ::
                   : "memory");
}

__device__ void wait_parity_cluster(uint64_t* barrier, uint32_t parity) {
  asm volatile(
      "{.reg .pred p; again: mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 p, [%0], "
      "%1; @p bra done; bra again; done:}" ::"r"(ptx::shared_address(barrier)),
      "r"(parity)
      : "memory");
}

}  // namespace

__global__ void cluster_special_registers(ClusterView* out) {
  ClusterView& view = out[blockIdx.y * gridDim.x + blockIdx.x];
  if (threadIdx.x != 0) return;
  view.ctarank = SPECIAL("cluster_ctarank");
  view.nctarank = SPECIAL("cluster_nctarank");
  view.ctaid[0] = SPECIAL("cluster_ctaid.x");
  view.ctaid[1] = SPECIAL("cluster_ctaid.y");
  view.ctaid[2] = SPECIAL("cluster_ctaid.z");
  view.nctaid[0] = SPECIAL("cluster_nctaid.x");
  view.nctaid[1] = SPECIAL("cluster_nctaid.y");
  view.nctaid[2] = SPECIAL("cluster_nctaid.z");
  view.clusterid[0] = SPECIAL("clusterid.x");
  view.clusterid[1] = SPECIAL("clusterid.y");
  view.clusterid[2] = SPECIAL("clusterid.z");
  view.nclusterid[0] = SPECIAL("nclusterid.x");
  view.nclusterid[1] = SPECIAL("nclusterid.y");
  view.nclusterid[2] = SPECIAL("nclusterid.z");
  asm volatile("{.reg .pred p; mov.pred p, %%is_explicit_cluster; selp.b32 %0, 1, 0, p;}"
               : "=r"(view.is_explicit));
}

__global__ void __cluster_dims__(kClusterCtas, 1, 1)
    cluster_ring(RingTransport transport, uint32_t* out) {
  __shared__ __align__(16) uint32_t inbox[kClusterThreads];
  __shared__ __align__(16) uint32_t outbox[kClusterThreads];
  __shared__ uint64_t barrier;
  constexpr uint32_t kBytes = kClusterThreads * 4;
  const uint32_t thread = threadIdx.x;
  const uint32_t rank = cta_rank();
  const uint32_t next = (rank + 1) % kClusterCtas;
  const uint32_t previous = (rank + kClusterCtas - 1) % kClusterCtas;
  const uint32_t word = 1000 * rank + thread;
  const bool by_barrier =
      transport >= RingTransport::kAsyncStore && transport < RingTransport::kCount;
  inbox[thread] = 0;
  outbox[thread] = word;
  if (thread == 0) {
    ptx::mbarrier_init(&barrier, transport == RingTransport::kRemoteArrive ? kClusterThreads : 1);
    ptx::fence_mbarrier_init();
    if (by_barrier && transport != RingTransport::kRemoteArrive) {
      ptx::arrive_expect_tx(&barrier, kBytes);
    }
  }
  ptx::fence_proxy_async();
  cluster_sync();
  const uint32_t remote = map_to_rank(&inbox[thread], next);
  const uint32_t remote_barrier = map_to_rank(&barrier, next);
  switch (transport) {
    case RingTransport::kRemoteStore:
      asm volatile("st.shared::cluster.b32 [%0], %1;" ::"r"(remote), "r"(word) : "memory");
      break;
    case RingTransport::kRemoteVectorStore:
      if (thread % 4 == 0) {
        asm volatile("st.shared::cluster.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(remote), "r"(word),
                     "r"(word + 1), "r"(word + 2), "r"(word + 3)
                     : "memory");
      }
      break;
    case RingTransport::kRemoteLoad: {
      uint32_t value;
      asm volatile("ld.shared::cluster.b32 %0, [%1];"
                   : "=r"(value)
                   : "r"(map_to_rank(&outbox[thread], previous))
                   : "memory");
      inbox[thread] = value;
      break;
    }
    case RingTransport::kGenericStore:
      *reinterpret_cast<volatile uint32_t*>(map_generic_to_rank(&inbox[thread], next)) = word;
      break;
    case RingTransport::kGenericLoad:
      inbox[thread] =
          *reinterpret_cast<volatile uint32_t*>(map_generic_to_rank(&outbox[thread], previous));
      break;
    case RingTransport::kRemoteAtomic: {
      uint32_t old;
      asm volatile("atom.shared::cluster.add.u32 %0, [%1], %2;"
                   : "=r"(old)
                   : "r"(remote), "r"(word)
                   : "memory");
      if (old != 0) inbox[thread] = ~0u;
      break;
    }
    case RingTransport::kRemoteReduction:
      asm volatile("red.relaxed.cluster.shared::cluster.or.b32 [%0], %1;" ::"r"(remote), "r"(word)
                   : "memory");
      break;
    case RingTransport::kAsyncStore:
      asm volatile(
          "st.async.shared::cluster.mbarrier::complete_tx::bytes.b32 [%0], %1, [%2];" ::"r"(remote),
          "r"(word), "r"(remote_barrier)
          : "memory");
      break;
    case RingTransport::kAsyncVectorStore:
      if (thread % 4 == 0) {
        asm volatile(
            "st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.b32 [%0], {%1, %2, %3, %4}, "
            "[%5];" ::"r"(remote),
            "r"(word), "r"(word + 1), "r"(word + 2), "r"(word + 3), "r"(remote_barrier)
            : "memory");
      }
      break;
    case RingTransport::kAsyncReduction:
      asm volatile(
          "red.async.relaxed.cluster.shared::cluster.mbarrier::complete_tx::bytes.add.u32 "
          "[%0], %1, [%2];" ::"r"(remote),
          "r"(word), "r"(remote_barrier)
          : "memory");
      break;
    case RingTransport::kBulkCopy:
      if (thread == 0) {
        asm volatile(
            "cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [%0], [%1], "
            "%2, [%3];" ::"r"(remote),
            "r"(ptx::shared_address(outbox)), "r"(kBytes), "r"(remote_barrier)
            : "memory");
      }
      break;
    case RingTransport::kRemoteArrive:
      asm volatile("st.shared::cluster.b32 [%0], %1;" ::"r"(remote), "r"(word) : "memory");
      asm volatile(
          "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%0];" ::"r"(remote_barrier)
          : "memory");
      break;
    case RingTransport::kCount:
      break;
  }
  if (by_barrier) {
    wait_parity_cluster(&barrier, 0);
  } else {
    cluster_sync();
  }
  out[rank * kClusterThreads + thread] = inbox[thread];
  cluster_sync();
}

__global__ void __cluster_dims__(kClusterCtas, 1, 1)
    cluster_bulk_multicast(const uint8_t* in, uint8_t* out, uint32_t bytes, uint16_t mask) {
  extern __shared__ __align__(128) uint8_t stage[];
  __shared__ uint64_t barrier;
  const uint32_t rank = cta_rank();
  for (uint32_t i = threadIdx.x; i < bytes; i += blockDim.x) stage[i] = 0;
  if (threadIdx.x == 0) {
    ptx::mbarrier_init(&barrier, 1);
    ptx::fence_mbarrier_init();
    if (mask >> rank & 1) ptx::arrive_expect_tx(&barrier, bytes);
  }
  ptx::fence_proxy_async();
  cluster_sync();
  if (rank == 0 && threadIdx.x == 0) {
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster "
        "[%0], [%1], %2, [%3], %4;" ::"r"(ptx::shared_address(stage)),
        "l"(in), "r"(bytes), "r"(ptx::shared_address(&barrier)), "h"(mask)
        : "memory");
  }
  if (mask >> rank & 1) ptx::wait_parity(&barrier, 0);
  for (uint32_t i = threadIdx.x; i < bytes; i += blockDim.x) out[rank * bytes + i] = stage[i];
  cluster_sync();
}

__global__ void __cluster_dims__(kClusterCtas, 1, 1)
    cluster_barrier_rounds(uint32_t* out, int rounds) {
  __shared__ uint32_t value[2];
  const uint32_t rank = cta_rank();
  if (threadIdx.x == 0) value[0] = rank + 1;
  for (int round = 0; round < rounds; ++round) {
    asm volatile("barrier.cluster.arrive.release;" ::: "memory");
    asm volatile("barrier.cluster.wait.acquire;" ::: "memory");
    if (threadIdx.x == 0) {
      uint32_t sum = 0;
      for (uint32_t other = 0; other < kClusterCtas; ++other) {
        uint32_t theirs;
        asm volatile("ld.shared::cluster.u32 %0, [%1];"
                     : "=r"(theirs)
                     : "r"(map_to_rank(&value[round % 2], other))
                     : "memory");
        sum += theirs * (other + 1);
      }
      value[1 - round % 2] = sum;
    }
    __syncwarp();
  }
  asm volatile("barrier.cluster.arrive.relaxed.aligned; barrier.cluster.wait.aligned;" ::
                   : "memory");
  if (threadIdx.x == 0) out[blockIdx.x] = value[rounds % 2];
}

__global__ void __cluster_dims__(kClusterCtas, 1, 1) cluster_addresses(uint32_t* out) {
  __shared__ uint32_t word;
  const uint32_t rank = cta_rank();
  const uint32_t next = (rank + 1) % kClusterCtas;
  if (threadIdx.x != 0) return;
  uint32_t seen;
  asm volatile("getctarank.shared::cluster.u32 %0, %1;"
               : "=r"(seen)
               : "r"(map_to_rank(&word, next)));
  uint32_t seen_generic;
  asm volatile("getctarank.u64 %0, %1;"
               : "=r"(seen_generic)
               : "l"(map_generic_to_rank(&word, next)));
  uint32_t spaces;
  asm volatile(
      "{.reg .pred p, q; .reg .b32 t; isspacep.shared::cluster p, %1; isspacep.shared::cta q, %1; "
      "selp.b32 %0, 1, 0, p; selp.b32 t, 2, 0, q; or.b32 %0, %0, t;}"
      : "=r"(spaces)
      : "l"(map_generic_to_rank(&word, next)));
  out[rank] = seen * 100 + seen_generic * 10 + spaces;
}

}  // namespace emulator_tests
