// A CTA writes into the shared memory of its neighbour in the cluster, which reads it.
#include "ptx.cuh"

namespace gallery::read_after_write_cluster {
namespace {

__device__ void cluster_sync() {
  asm volatile("barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;\n" ::: "memory");
}

template <Variant variant>
__global__ void __cluster_dims__(2, 1, 1) swap(int* out) {
  __shared__ int words[32];
  words[threadIdx.x] = 0;
  cluster_sync();
  asm volatile(
      "{\n"
      ".reg .b32 there;\n"
      "mapa.shared::cluster.u32 there, %0, %1;\n"
      "st.shared::cluster.s32 [there], %2;\n"
      "}\n" ::"r"(shared_address(&words[threadIdx.x])),
      "r"(1 - static_cast<int>(blockIdx.x)), "r"(static_cast<int>(threadIdx.x))
      : "memory");
  if (variant == Variant::kMended) cluster_sync();
  out[32 * blockIdx.x + threadIdx.x] = words[threadIdx.x];
  if (variant == Variant::kBroken) cluster_sync();
}

void run(Variant variant) {
  DeviceArray<int> out(64);
  (variant == Variant::kBroken ? swap<Variant::kBroken>
                               : swap<Variant::kMended>)<<<2, 32>>>(out.data);
  cudaDeviceSynchronize();
}

const Register exhibit("read-after-write-cluster", "read-after-write,write-after-read", run);

}  // namespace
}  // namespace gallery::read_after_write_cluster
