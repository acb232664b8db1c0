// No exhibit of a rule but the patient of the mutation runner: loads tiles with bulk copies through
// a ring of two stages, doubles them and stores them with bulk copies. Every synchronisation
// instruction is needed.
#include <cstdio>
#include <cstdlib>

#include "ptx.cuh"

namespace gallery::pipeline {
namespace {

constexpr int kTile = 64, kTiles = 6, kStages = 2;

__global__ void pipeline(const int* in, int* out) {
  __shared__ alignas(128) int tile[kStages][kTile];
  __shared__ alignas(128) int result[kTile];
  __shared__ uint64_t full[kStages], empty[kStages];
  const bool producer = threadIdx.x == 64;
  if (producer) {
    for (int s = 0; s < kStages; ++s) {
      mbarrier_init(&full[s], 1);
      mbarrier_init(&empty[s], kTile);
    }
    fence_mbarrier_init();
  }
  __syncthreads();
  for (int i = 0; i < kTiles; ++i) {
    const int s = i % kStages, round = i / kStages;
    if (producer) {
      if (round > 0) mbarrier_wait(&empty[s], (round & 1) ^ 1);
      mbarrier_expect(&full[s], sizeof tile[s]);
      bulk_load(tile[s], in + kTile * i, sizeof tile[s], &full[s]);
    } else if (threadIdx.x < kTile) {
      mbarrier_wait(&full[s], round & 1);
      const int doubled = 2 * tile[s][threadIdx.x];
      if (i + kStages < kTiles) mbarrier_arrive(&empty[s]);
      if (i > 0) {
        if (threadIdx.x == 0) bulk_wait_read();
        asm volatile("barrier.sync.aligned 1, 64;" ::: "memory");
      }
      result[threadIdx.x] = doubled;
      fence_proxy_async();
      asm volatile("barrier.sync.aligned 1, 64;" ::: "memory");
      if (threadIdx.x == 0) {
        bulk_store(out + kTile * i, result, sizeof result);
        bulk_commit();
      }
    }
  }
  if (threadIdx.x == 0) bulk_wait_read();
}

void run(Variant) {
  int host[kTile * kTiles];
  for (int i = 0; i < kTile * kTiles; ++i) host[i] = i;
  DeviceArray<int> in(kTile * kTiles), out(kTile * kTiles);
  cudaMemcpy(in.data, host, sizeof host, cudaMemcpyHostToDevice);
  pipeline<<<1, 96>>>(in.data, out.data);
  bool right = cudaDeviceSynchronize() == cudaSuccess;
  right &= cudaMemcpy(host, out.data, sizeof host, cudaMemcpyDeviceToHost) == cudaSuccess;
  for (int i = 0; i < kTile * kTiles; ++i) right &= host[i] == 2 * i;
  if (!right) std::exit(1);
}

const Register exhibit("pipeline", "none", run);

}  // namespace
}  // namespace gallery::pipeline
