// Loops with the instruction mixes that kernels have, to measure the emulator's own speed.
#include <cstdint>

#include "kernels.hpp"

namespace {

constexpr int kThreads = 256;
constexpr int kRounds = 400;

__global__ void integer_mix(uint32_t* out) {
  uint32_t a = threadIdx.x, b = blockIdx.x + 1, c = 7;
#pragma unroll 4
  for (int i = 0; i < kRounds; ++i) {
    a = a * 1664525u + 1013904223u;
    b ^= a >> 13;
    c = (c << 5) | (b & 31);
    if (b & 1) a += c;
    c = max(c, a) - min(b, 12u);
  }
  out[blockIdx.x * blockDim.x + threadIdx.x] = a ^ b ^ c;
}

__global__ void float_mix(float* out) {
  float x = threadIdx.x * 1e-3f, y = blockIdx.x * 1e-2f + 1.0f, z = 0.5f;
#pragma unroll 4
  for (int i = 0; i < kRounds; ++i) {
    x = fmaf(x, 0.99f, y);
    y = y * 0.98f + 0.01f * x;
    z = fmaxf(z, x - y);
    z = z + exp2f(-z);
    x = x - z * 0.5f;
  }
  out[blockIdx.x * blockDim.x + threadIdx.x] = x + y + z;
}

__global__ void memory_mix(float* data) {
  __shared__ float s[kThreads * 2];
  const int t = threadIdx.x;
  float v = data[blockIdx.x * blockDim.x + t];
  for (int i = 0; i < kRounds / 4; ++i) {
    s[t + (i & 1) * kThreads] = v;
    __syncthreads();
    v = s[(t + 33) % kThreads + (i & 1) * kThreads] + s[t + (i & 1) * kThreads] * 0.5f;
    const float4 q = reinterpret_cast<const float4*>(s + (i & 1) * kThreads)[t % (kThreads / 4)];
    v += q.x + q.w;
  }
  data[blockIdx.x * blockDim.x + t] = v;
}

__device__ void ldmatrix_x4(uint32_t (&r)[4], const void* p) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(static_cast<uint32_t>(__cvta_generic_to_shared(p))));
}

__device__ void mma(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// About one mma for sixteen other instructions, as a fused kernel with mma.sync has.
__global__ void mma_mix(float* out) {
  __shared__ __align__(128) uint32_t tile[8][128];
  const int t = threadIdx.x, w = t / 32, l = t % 32;
  for (int i = 0; i < 4; ++i) tile[w][l + 32 * i] = 0x3f803f80u + t;
  __syncwarp();
  float acc[2][4] = {};
  float scale = 1.0f;
  for (int i = 0; i < kRounds / 8; ++i) {
    uint32_t a[4], b[4];
    ldmatrix_x4(a, &tile[w][(l % 8) * 4 + (l / 8) * 32]);
    ldmatrix_x4(b, &tile[w][(l % 8) * 4 + (l / 8) * 32]);
    mma(acc[0], a, b[0], b[1]);
    mma(acc[1], a, b[2], b[3]);
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      acc[0][k] = fmaf(acc[0][k], 0.25f, scale);
      acc[1][k] = acc[1][k] * 0.5f - acc[0][k];
      scale = fminf(scale * 1.01f, fabsf(acc[1][k]));
    }
    __syncwarp();
    tile[w][l] = __float_as_uint(scale) >> 16 | 0x3f000000u;
    __syncwarp();
  }
  out[blockIdx.x * blockDim.x + t] = acc[0][0] + acc[1][3] + scale;
}

// wgmma m64n128k16 from shared memory, four of them for each group.
__device__ uint64_t descriptor(const void* p) {
  const uint32_t a = static_cast<uint32_t>(__cvta_generic_to_shared(p));
  return (uint64_t((a & 0x3ffff) >> 4)) | (uint64_t(1) << 16) | (uint64_t(64) << 32) |
         (uint64_t(1) << 62);
}

__global__ void __launch_bounds__(128) wgmma_mix(float* out) {
  extern __shared__ __align__(1024) uint32_t tiles[];
  uint32_t* a =
      reinterpret_cast<uint32_t*>((reinterpret_cast<uintptr_t>(tiles) + 1023) & ~uintptr_t(1023));
  uint32_t* b = a + 64 * 32;
  for (int i = threadIdx.x; i < 64 * 32 + 32 * 32; i += 128) a[i] = 0x3f803f80u;
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  __syncthreads();
  float d[16] = {};
  for (int i = 0; i < kRounds / 40; ++i) {
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#pragma unroll
    for (int k = 0; k < 4; ++k)
      asm volatile(
          "wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16 "
          "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,"
          "%12,%13,%14,%15}, %16, %17, 1, 1, 1, 0, 0;"
          : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]),
            "+f"(d[7]), "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]),
            "+f"(d[14]), "+f"(d[15])
          : "l"(descriptor(a) + 2 * k), "l"(descriptor(b) + 2 * k));
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
    asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
  }
  out[blockIdx.x * blockDim.x + threadIdx.x] = d[0] + d[15];
}

template <class T>
T* buffer(int ctas) {
  T* p = nullptr;
  cudaMalloc(&p, sizeof(T) * ctas * kThreads);
  cudaMemset(p, 0, sizeof(T) * ctas * kThreads);
  return p;
}

template <class T>
void finish(T* p) {
  cudaDeviceSynchronize();
  cudaFree(p);
}

void run_integer(int ctas) {
  auto* p = buffer<uint32_t>(ctas);
  integer_mix<<<ctas, kThreads>>>(p);
  finish(p);
}
void run_float(int ctas) {
  auto* p = buffer<float>(ctas);
  float_mix<<<ctas, kThreads>>>(p);
  finish(p);
}
void run_memory(int ctas) {
  auto* p = buffer<float>(ctas);
  memory_mix<<<ctas, kThreads>>>(p);
  finish(p);
}
void run_mma(int ctas) {
  auto* p = buffer<float>(ctas);
  mma_mix<<<ctas, kThreads>>>(p);
  finish(p);
}
void run_wgmma(int ctas) {
  auto* p = buffer<float>(ctas);
  wgmma_mix<<<ctas, 128, 16384>>>(p);
  finish(p);
}

}  // namespace

std::vector<BenchCase> bench_cases() {
  return {{"integer", &run_integer},
          {"float", &run_float},
          {"memory", &run_memory},
          {"mma", &run_mma},
          {"wgmma", &run_wgmma}};
}
