// Two exhibits: the mbarrier expects more bytes than the copy brings (nobody ever gets past it), or
// fewer (it opens while a copy is under way).
#include "ptx.cuh"

namespace gallery::mbarrier_bytes {
namespace {

template <int kExpected>
__global__ void load_tiles(const int* in, int* out) {
  __shared__ alignas(128) int tile[128];
  __shared__ uint64_t full;
  if (threadIdx.x == 0) {
    mbarrier_init(&full, 1);
    fence_mbarrier_init();
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    mbarrier_expect(&full, kExpected);
    bulk_load(tile, in, 256, &full);
    bulk_load(tile + 64, in + 64, 256, &full);
  }
  mbarrier_wait(&full, 0);
  out[threadIdx.x] = tile[threadIdx.x] + tile[64 + threadIdx.x];
}

template <int kWrong>
void run(Variant variant) {
  DeviceArray<int> in(128), out(64);
  (variant == Variant::kBroken ? load_tiles<kWrong> : load_tiles<512>)<<<1, 64>>>(in.data,
                                                                                  out.data);
  cudaDeviceSynchronize();
}

const Register too_many("mbarrier-bytes", "mbarrier-bytes", run<1024>);
const Register too_few("mbarrier-bytes-early", "mbarrier-bytes", run<256>);

}  // namespace
}  // namespace gallery::mbarrier_bytes
