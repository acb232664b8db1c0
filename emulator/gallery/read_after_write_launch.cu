// Programmatic dependent launch: the second kernel reads before it has waited for the first.
#include "ptx.cuh"

namespace gallery::read_after_write_launch {
namespace {

__global__ void first(int* data) {
  asm volatile("griddepcontrol.launch_dependents;");
  data[threadIdx.x] = 1;
}

template <Variant variant>
__global__ void second(const int* data, int* out) {
  if (variant == Variant::kMended) asm volatile("griddepcontrol.wait;" ::: "memory");
  out[threadIdx.x] = data[threadIdx.x];
}

void run(Variant variant) {
  DeviceArray<int> data(32), out(32);
  first<<<1, 32>>>(data.data);
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = 1;
  config.blockDim = 32;
  config.attrs = &attribute;
  config.numAttrs = 1;
  cudaLaunchKernelEx(
      &config, variant == Variant::kBroken ? second<Variant::kBroken> : second<Variant::kMended>,
      static_cast<const int*>(data.data), out.data);
  cudaDeviceSynchronize();
}

const Register exhibit("read-after-write-launch", "read-after-write", run);

}  // namespace
}  // namespace gallery::read_after_write_launch
