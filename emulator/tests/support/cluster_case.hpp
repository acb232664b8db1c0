// Kernels of vectors/cluster.cu; all run as clusters of kClusterCtas CTAs.
#pragma once

#include <cstdint>

#include "launch.hpp"

namespace emulator_tests {

inline constexpr uint32_t kClusterCtas = 4;
inline constexpr uint32_t kClusterThreads = 64;

// What a thread sees of its cluster, in the order of the special registers below.
struct ClusterView {
  uint32_t ctarank, nctarank, ctaid[3], nctaid[3], clusterid[3], nclusterid[3], is_explicit;
};
EMULATOR_KERNEL void cluster_special_registers(ClusterView* out);

// Each of these lets every CTA give kClusterThreads words to the next CTA of the ring, in one way;
// CTA c must end with word t = 1000 * (c - 1 mod ctas) + t, which it writes to out[cta][t].
enum class RingTransport {
  kRemoteStore,
  kRemoteVectorStore,
  kRemoteLoad,
  kGenericStore,
  kGenericLoad,
  kRemoteAtomic,
  kRemoteReduction,
  kAsyncStore,
  kAsyncVectorStore,
  kAsyncReduction,
  kBulkCopy,
  kRemoteArrive,
  kCount,
};
EMULATOR_KERNEL void cluster_ring(RingTransport transport, uint32_t* out);

// CTA 0 multicasts `bytes` bytes to the CTAs in `mask`; the others' memory stays zero.
EMULATOR_KERNEL void cluster_bulk_multicast(const uint8_t* in, uint8_t* out, uint32_t bytes,
                                            uint16_t mask);
// Phases of barrier.cluster: CTAs add up each other's values `rounds` times.
EMULATOR_KERNEL void cluster_barrier_rounds(uint32_t* out, int rounds);
EMULATOR_KERNEL void cluster_addresses(uint32_t* out);

}  // namespace emulator_tests
