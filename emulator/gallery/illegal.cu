// A bulk copy of 24 bytes: sizes must be multiples of 16.
#include "ptx.cuh"

namespace gallery::illegal {
namespace {

__global__ void load_tile(const int* in, int bytes) {
  __shared__ alignas(128) int tile[32];
  __shared__ uint64_t full;
  mbarrier_init(&full, 1);
  fence_mbarrier_init();
  mbarrier_expect(&full, bytes);
  bulk_load(tile, in, bytes, &full);
  mbarrier_wait(&full, 0);
}

void run(Variant variant) {
  DeviceArray<int> in(32);
  load_tile<<<1, 1>>>(in.data, variant == Variant::kBroken ? 24 : 32);
  cudaDeviceSynchronize();
}

const Register exhibit("illegal", "illegal", run);

}  // namespace
}  // namespace gallery::illegal
