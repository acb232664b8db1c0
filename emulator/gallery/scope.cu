// A flag between two CTAs, released and acquired with the scope of one CTA.
#include "ptx.cuh"

namespace gallery::scope {
namespace {

template <Variant variant>
__global__ void hand_over(int* data, int* flag, int* out) {
  if (blockIdx.x == 0) {
    *data = 42;
    if (variant == Variant::kMended)
      asm volatile("st.release.gpu.global.s32 [%0], 1;" ::"l"(flag) : "memory");
    else
      asm volatile("st.release.cta.global.s32 [%0], 1;" ::"l"(flag) : "memory");
  } else {
    int seen = 0;
    while (seen == 0)
      asm volatile("ld.acquire.gpu.global.s32 %0, [%1];" : "=r"(seen) : "l"(flag) : "memory");
    *out = *data;
  }
}

void run(Variant variant) {
  DeviceArray<int> data(1), flag(1), out(1);
  const auto kernel =
      variant == Variant::kBroken ? hand_over<Variant::kBroken> : hand_over<Variant::kMended>;
  kernel<<<2, 1>>>(data.data, flag.data, out.data);
  cudaDeviceSynchronize();
}

const Register exhibit("scope", "scope", run);

}  // namespace
}  // namespace gallery::scope
