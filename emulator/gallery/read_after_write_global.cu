// CTA 1 reads what CTA 0 wrote; a flag says that it is there, but it is a plain load and store.
#include "ptx.cuh"

namespace gallery::read_after_write_global {
namespace {

template <Variant variant>
__global__ void hand_over(int* data, int* flag, int* out) {
  if (blockIdx.x == 0) {
    *data = 42;
    if (variant == Variant::kMended) __threadfence();
    *static_cast<volatile int*>(flag) = 1;
  } else {
    while (*static_cast<volatile int*>(flag) == 0) {
    }
    if (variant == Variant::kMended) __threadfence();
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

const Register exhibit("read-after-write-global", "read-after-write", run);

}  // namespace
}  // namespace gallery::read_after_write_global
