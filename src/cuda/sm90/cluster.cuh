// Clusters of two blocks: what one does in the other's shared memory.
#pragma once

#include "cuda/sm90/ptx.cuh"

namespace flash_kda::cuda::sm90 {

// This block in its cluster: 0 or 1.
__device__ __forceinline__ int cluster_rank() {
  int rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}

// Where the other block has what lies at `shared` here.
__device__ __forceinline__ std::uint32_t in_peer(std::uint32_t shared) {
  std::uint32_t address;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;"
               : "=r"(address)
               : "r"(shared), "r"(cluster_rank() ^ 1));
  return address;
}

// Addresses of the four that follow are in the peer. An arrival there releases what this thread,
// and whoever it has synchronised with, has read or written of this block's shared memory, and
// nothing else: mbarrier.arrive.release.cluster would wait for global memory too, a microsecond.
__device__ __forceinline__ void arrive_at_peer(std::uint32_t barrier) {
  asm volatile(
      "fence.release.sync_restrict::shared::cta.cluster;\n"
      "mbarrier.arrive.relaxed.cluster.shared::cluster.b64 _, [%0];" ::"r"(barrier)
      : "memory");
}
// Bytes that are announced have nothing to release.
__device__ __forceinline__ void arrive_expecting_at_peer(std::uint32_t barrier,
                                                         std::uint32_t bytes) {
  asm volatile(
      "mbarrier.arrive.expect_tx.relaxed.cluster.shared::cluster.b64 _, [%0], %1;" ::"r"(barrier),
      "r"(bytes)
      : "memory");
}
__device__ __forceinline__ void copy_to_peer(std::uint32_t to, std::uint32_t shared,
                                             std::uint32_t bytes, std::uint32_t barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [%0], [%1], %2, "
      "[%3];" ::"r"(to),
      "r"(shared), "r"(bytes), "r"(barrier)
      : "memory");
}

__device__ __forceinline__ void store_at_peer(std::uint32_t word, std::uint32_t x) {
  asm volatile("st.shared::cluster.u32 [%0], %1;" ::"r"(word), "r"(x) : "memory");
}

// wait_at() for a barrier of this block at which the peer arrives too.
__device__ __forceinline__ void wait_for_both_at(std::uint32_t barrier, std::uint32_t parity) {
  std::uint32_t done = 0;
  while (done == 0) {
    asm volatile(
        "{\n"
        ".reg .pred complete;\n"
        "mbarrier.try_wait.parity.relaxed.cluster.shared::cta.b64 complete, [%1], %2;\n"
        "selp.u32 %0, 1, 0, complete;\n"
        "}"
        : "=r"(done)
        : "r"(barrier), "r"(parity)
        : "memory");
  }
  asm volatile("fence.acquire.sync_restrict::shared::cluster.cluster;" ::: "memory");
}

// All threads of both blocks.
__device__ __forceinline__ void sync_cluster() {
  asm volatile("barrier.cluster.arrive.release;" ::: "memory");
  asm volatile("barrier.cluster.wait.acquire;" ::: "memory");
}

}  // namespace flash_kda::cuda::sm90
