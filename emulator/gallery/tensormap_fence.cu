// A kernel writes a tensor map to global memory and uses it.
#include "ptx.cuh"

namespace gallery::tensormap_fence {
namespace {

template <Variant variant>
__global__ void load_tile(const __grid_constant__ CUtensorMap prototype, CUtensorMap* map,
                          int* out) {
  __shared__ alignas(128) int tile[32];
  __shared__ uint64_t full;
  reinterpret_cast<int*>(map)[threadIdx.x] = reinterpret_cast<const int*>(&prototype)[threadIdx.x];
  __syncwarp();
  if (threadIdx.x == 0) {
    if (variant == Variant::kMended) {
      asm volatile("fence.proxy.tensormap::generic.release.gpu;" ::: "memory");
      asm volatile("fence.proxy.tensormap::generic.acquire.gpu [%0], 128;" ::"l"(map) : "memory");
    }
    mbarrier_init(&full, 1);
    fence_mbarrier_init();
    mbarrier_expect(&full, sizeof tile);
    asm volatile(
        "cp.async.bulk.tensor.1d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], "
        "[%1, {%2}], [%3];" ::"r"(shared_address(tile)),
        "l"(map), "r"(0), "r"(shared_address(&full))
        : "memory");
  }
  __syncwarp();
  mbarrier_wait(&full, 0);
  out[threadIdx.x] = tile[threadIdx.x];
}

CUtensorMap map_of(int* data) {
  void* encode = nullptr;
  cudaDriverEntryPointQueryResult found;
  cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &encode, 12000, cudaEnableDefault,
                                   &found);
  CUtensorMap map{};
  const cuuint64_t size = 32, stride = 0;
  const cuuint32_t box = 32, step = 1;
  reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(encode)(
      &map, CU_TENSOR_MAP_DATA_TYPE_INT32, 1, data, &size, &stride, &box, &step,
      CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_NONE, CU_TENSOR_MAP_L2_PROMOTION_NONE,
      CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  return map;
}

void run(Variant variant) {
  DeviceArray<int> in(32), out(32);
  DeviceArray<CUtensorMap> map(1);
  const auto kernel =
      variant == Variant::kBroken ? load_tile<Variant::kBroken> : load_tile<Variant::kMended>;
  kernel<<<1, 32>>>(map_of(in.data), map.data, out.data);
  cudaDeviceSynchronize();
}

const Register exhibit("tensormap-fence", "tensormap-fence", run);

}  // namespace
}  // namespace gallery::tensormap_fence
