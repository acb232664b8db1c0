// What can be forgotten around one wgmma: the fence before it, the commit, the wait, the proxy
// fence for operands written with ordinary stores, and to keep off the operands until it is done.
#include "wgmma.cuh"

namespace gallery::wgmma_steps {
namespace {

enum class Forgotten { kNothing, kFence, kCommit, kWait, kProxyFence, kOverwrite };

template <Forgotten forgotten>
__global__ void multiply(float* out) {
  __shared__ Tiles tiles;
  fill(tiles);
  if (forgotten != Forgotten::kProxyFence) fence_proxy_async();
  __syncthreads();
  float d[4] = {};
  if (forgotten != Forgotten::kFence) wgmma_fence();
  wgmma(d, tiles.a, tiles.b);
  if (forgotten != Forgotten::kCommit) wgmma_commit();
  if (forgotten == Forgotten::kOverwrite) tiles.a[threadIdx.x] = 0;
  if (forgotten == Forgotten::kWait)
    wgmma_wait<1>();
  else
    wgmma_wait<0>();
  for (int i = 0; i < 4; ++i) out[threadIdx.x * 4 + i] = d[i];
}

template <Forgotten forgotten>
void run(Variant variant) {
  DeviceArray<float> out(512);
  (variant == Variant::kBroken ? multiply<forgotten>
                               : multiply<Forgotten::kNothing>)<<<1, 128>>>(out.data);
  cudaDeviceSynchronize();
}

const Register no_fence("wgmma-fence", "wgmma-fence", run<Forgotten::kFence>);
const Register no_commit("wgmma-commit", "wgmma-commit", run<Forgotten::kCommit>);
const Register no_wait("wgmma-wait", "wgmma-wait", run<Forgotten::kWait>);
const Register no_proxy("proxy-fence-wgmma", "proxy-fence", run<Forgotten::kProxyFence>);
const Register overwrite("async-overwrite-wgmma", "async-overwrite", run<Forgotten::kOverwrite>);

}  // namespace
}  // namespace gallery::wgmma_steps
