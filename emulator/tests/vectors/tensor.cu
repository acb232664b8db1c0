// cp.async.bulk.tensor in 1 to 5 dimensions: load, store, reduction, prefetch, multicast.
#include "support/ptx.cuh"
#include "support/tensor_case.hpp"

namespace emulator_tests {
namespace {

#define COORDINATES_1 "{%3}"
#define COORDINATES_2 "{%3, %4}"
#define COORDINATES_3 "{%3, %4, %5}"
#define COORDINATES_4 "{%3, %4, %5, %6}"
#define COORDINATES_5 "{%3, %4, %5, %6, %7}"

#define TENSOR_ASM(text, corner)                                                                \
  asm volatile(text ::"r"(ptx::shared_address(stage)), "l"(&map),                               \
               "r"(ptx::shared_address(&barrier)), "r"(corner.coordinate[0]),                   \
               "r"(corner.coordinate[1]), "r"(corner.coordinate[2]), "r"(corner.coordinate[3]), \
               "r"(corner.coordinate[4])                                                        \
               : "memory")

#define LOAD_KERNEL(name, rank, text, coordinates)                                                 \
  __global__ void name(const __grid_constant__ CUtensorMap map, BoxCorner corner,                  \
                       uint32_t box_bytes, uint8_t* out) {                                         \
    extern __shared__ __align__(1024) uint8_t stage[];                                             \
    __shared__ uint64_t barrier;                                                                   \
    if (threadIdx.x == 0) {                                                                        \
      asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory");                             \
      ptx::mbarrier_init(&barrier, 1);                                                             \
      ptx::fence_mbarrier_init();                                                                  \
      TENSOR_ASM("cp.async.bulk.prefetch.tensor." #rank "d.L2.global.tile [%1, " coordinates "];", \
                 corner);                                                                          \
      ptx::arrive_expect_tx(&barrier, box_bytes);                                                  \
      TENSOR_ASM(text, corner);                                                                    \
    }                                                                                              \
    __syncthreads();                                                                               \
    ptx::wait_parity(&barrier, 0);                                                                 \
    for (uint32_t i = threadIdx.x; i < box_bytes; i += blockDim.x) out[i] = stage[i];              \
  }
#define LOAD(rank)                                                                           \
  LOAD_KERNEL(                                                                               \
      tensor_load_##rank, rank,                                                              \
      "cp.async.bulk.tensor." #rank                                                          \
      "d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, " COORDINATES_##rank \
      "], [%2];",                                                                            \
      COORDINATES_##rank)                                                                    \
  LOAD_KERNEL(tensor_load_hinted_##rank, rank,                                               \
              "{.reg .b64 p; createpolicy.fractional.L2::evict_first.b64 p, 1.0; "           \
              "cp.async.bulk.tensor." #rank                                                  \
              "d.shared::cta.global.tile.mbarrier::complete_tx::bytes.L2::cache_hint [%0], " \
              "[%1, " COORDINATES_##rank "], [%2], p;}",                                     \
              COORDINATES_##rank)
LOAD(1)
LOAD(2)
LOAD(3)
LOAD(4)
LOAD(5)

#define STORE_KERNEL(name, text)                                                     \
  __global__ void name(const __grid_constant__ CUtensorMap map, BoxCorner corner,    \
                       uint32_t box_bytes, const uint8_t* in) {                      \
    extern __shared__ __align__(1024) uint8_t stage[];                               \
    __shared__ uint64_t barrier;                                                     \
    for (uint32_t i = threadIdx.x; i < box_bytes; i += blockDim.x) stage[i] = in[i]; \
    ptx::fence_proxy_async();                                                        \
    __syncthreads();                                                                 \
    if (threadIdx.x == 0) {                                                          \
      TENSOR_ASM(text, corner);                                                      \
      ptx::bulk_commit_and_wait();                                                   \
    }                                                                                \
  }
#define STORE(rank)                                                                        \
  STORE_KERNEL(tensor_store_##rank,                                                        \
               "cp.async.bulk.tensor." #rank                                               \
               "d.global.shared::cta.tile.bulk_group [%1, " COORDINATES_##rank "], [%0];") \
  STORE_KERNEL(tensor_reduce_##rank,                                                       \
               "cp.reduce.async.bulk.tensor." #rank                                        \
               "d.global.shared::cta.add.tile.bulk_group [%1, " COORDINATES_##rank "], [%0];")
STORE(1)
STORE(2)
STORE(3)
STORE(4)
STORE(5)

}  // namespace

const TensorLoadKernel kTensorLoad[5] = {tensor_load_1, tensor_load_2, tensor_load_3, tensor_load_4,
                                         tensor_load_5};
const TensorLoadKernel kTensorLoadHinted[5] = {tensor_load_hinted_1, tensor_load_hinted_2,
                                               tensor_load_hinted_3, tensor_load_hinted_4,
                                               tensor_load_hinted_5};
const TensorStoreKernel kTensorStore[5] = {tensor_store_1, tensor_store_2, tensor_store_3,
                                           tensor_store_4, tensor_store_5};
const TensorStoreKernel kTensorReduceAdd[5] = {tensor_reduce_1, tensor_reduce_2, tensor_reduce_3,
                                               tensor_reduce_4, tensor_reduce_5};

__global__ void __cluster_dims__(2, 1, 1)
    tensor_multicast(const __grid_constant__ CUtensorMap map, uint32_t box_bytes, uint8_t* out) {
  extern __shared__ __align__(1024) uint8_t stage[];
  __shared__ uint64_t barrier;
  uint32_t rank;
  asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  if (threadIdx.x == 0) {
    ptx::mbarrier_init(&barrier, 1);
    ptx::fence_mbarrier_init();
  }
  // No CTA may send before the other's barrier exists.
  asm volatile("barrier.cluster.arrive.release.aligned; barrier.cluster.wait.acquire.aligned;" ::
                   : "memory");
  if (threadIdx.x == 0) {
    ptx::arrive_expect_tx(&barrier, 2 * box_bytes);
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes"
        ".multicast::cluster [%0], [%1, {%3, %4}], [%2], %5;" ::"r"(
            ptx::shared_address(stage + rank * box_bytes)),
        "l"(&map), "r"(ptx::shared_address(&barrier)), "r"(0), "r"(rank * 8),
        "h"(static_cast<uint16_t>(3))
        : "memory");
  }
  ptx::wait_parity(&barrier, 0);
  for (uint32_t i = threadIdx.x; i < 2 * box_bytes; i += blockDim.x) {
    out[rank * 2 * box_bytes + i] = stage[i];
  }
  asm volatile("barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;" ::: "memory");
}

__global__ void tensor_map_edit(const __grid_constant__ CUtensorMap prototype, CUtensorMap* edited,
                                const uint32_t* data, uint32_t columns, uint32_t rows,
                                uint32_t box_bytes, uint8_t* out) {
  extern __shared__ __align__(1024) uint8_t stage[];
  __shared__ __align__(128) uint32_t map[32];
  __shared__ uint64_t barrier;
  const uint32_t address = ptx::shared_address(map);
  map[threadIdx.x] = reinterpret_cast<const uint32_t*>(&prototype)[threadIdx.x];
  __syncwarp();
  if (threadIdx.x == 0) {
    asm volatile(
        "tensormap.replace.tile.global_address.shared::cta.b1024.b64 [%0], %1;" ::"r"(address),
        "l"(data)
        : "memory");
    asm volatile(
        "tensormap.replace.tile.global_dim.shared::cta.b1024.b32 [%0], 0, %1;" ::"r"(address),
        "r"(columns)
        : "memory");
    asm volatile(
        "tensormap.replace.tile.global_dim.shared::cta.b1024.b32 [%0], 1, %1;" ::"r"(address),
        "r"(rows)
        : "memory");
    asm volatile(
        "tensormap.replace.tile.global_stride.shared::cta.b1024.b64 [%0], 0, %1;" ::"r"(address),
        "l"(uint64_t{256})
        : "memory");
    ptx::mbarrier_init(&barrier, 1);
    ptx::fence_mbarrier_init();
  }
  __syncwarp();
  asm volatile(
      "tensormap.cp_fenceproxy.global.shared::cta.tensormap::generic.release.gpu.sync.aligned "
      "[%0], [%1], 128;" ::"l"(edited),
      "r"(address)
      : "memory");
  if (threadIdx.x == 0) {
    asm volatile("fence.proxy.tensormap::generic.acquire.gpu [%0], 128;" ::"l"(edited) : "memory");
    ptx::arrive_expect_tx(&barrier, box_bytes);
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], "
        "[%1, {%3, %3}], [%2];" ::"r"(ptx::shared_address(stage)),
        "l"(edited), "r"(ptx::shared_address(&barrier)), "r"(0)
        : "memory");
  }
  __syncwarp();
  ptx::wait_parity(&barrier, 0);
  for (uint32_t i = threadIdx.x; i < box_bytes; i += blockDim.x) out[i] = stage[i];
}

}  // namespace emulator_tests
