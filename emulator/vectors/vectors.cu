// Results of the instructions whose exact bits the PTX ISA leaves open, as one text line a case, to
// be produced on a GPU and in the emulator and compared (compare.py).
//
//   nvcc -std=c++20 -gencode arch=compute_90a,code=sm_90a vectors.cu -o vectors && ./vectors >
//   gpu.txt
#include <cuda_runtime.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

namespace {

constexpr int kInputs = 4096;

enum Function : int { kEx2, kLg2, kRcp, kRsqrt, kSqrt, kSin, kCos, kTanh, kFunctions };
const char* const kNames[kFunctions] = {"ex2", "lg2", "rcp", "rsqrt", "sqrt", "sin", "cos", "tanh"};

__device__ float apply(int function, float x) {
  float y = 0.0f;
  switch (function) {
    case kEx2:
      asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
      break;
    case kLg2:
      asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
      break;
    case kRcp:
      asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
      break;
    case kRsqrt:
      asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
      break;
    case kSqrt:
      asm("sqrt.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
      break;
    case kSin:
      asm("sin.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
      break;
    case kCos:
      asm("cos.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
      break;
    default:
      asm("tanh.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
      break;
  }
  return y;
}

__global__ void functions(const float* x, float* y) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < kInputs) y[blockIdx.y * kInputs + i] = apply(static_cast<int>(blockIdx.y), x[i]);
}

// One product of 16 x 8 x 16 whose row 0, column 0 is sum_k a[k] b[k] + c; the rest is zero.
__global__ void product(const std::uint16_t* a, const std::uint16_t* b, const float* c, float* d) {
  const int lane = static_cast<int>(threadIdx.x);
  const std::uint16_t* row = a + 16 * blockIdx.x;
  const std::uint16_t* column = b + 16 * blockIdx.x;
  std::uint32_t a0 = 0, a2 = 0, b0 = 0, b1 = 0;
  if (lane < 4) {
    a0 = row[2 * lane] | static_cast<std::uint32_t>(row[2 * lane + 1]) << 16;
    a2 = row[8 + 2 * lane] | static_cast<std::uint32_t>(row[9 + 2 * lane]) << 16;
    b0 = column[2 * lane] | static_cast<std::uint32_t>(column[2 * lane + 1]) << 16;
    b1 = column[8 + 2 * lane] | static_cast<std::uint32_t>(column[9 + 2 * lane]) << 16;
  }
  float d0 = lane == 0 ? c[blockIdx.x] : 0.0f, d1 = 0.0f, d2 = 0.0f, d3 = 0.0f;
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d0), "+f"(d1), "+f"(d2), "+f"(d3)
      : "r"(a0), "r"(0), "r"(a2), "r"(0), "r"(b0), "r"(b1));
  if (lane == 0) d[blockIdx.x] = d0;
}

// The same by wgmma: the first warp of the warpgroup holds row 0, shared memory column 0.
__global__ void warpgroup_product(const std::uint16_t* a, const std::uint16_t* b, const float* c,
                                  float* d) {
  // [8 columns][16], K-major without swizzle: two tiles of 8 rows of 16 bytes.
  __shared__ __align__(128) std::uint16_t columns[2][8][8];
  const int thread = static_cast<int>(threadIdx.x);
  (&columns[0][0][0])[thread] = 0;
  __syncthreads();
  const std::uint16_t* row = a + 16 * blockIdx.x;
  if (thread < 16) columns[thread / 8][0][thread % 8] = b[16 * blockIdx.x + thread];
  std::uint32_t a0 = 0, a2 = 0;
  if (thread < 4) {
    a0 = row[2 * thread] | static_cast<std::uint32_t>(row[2 * thread + 1]) << 16;
    a2 = row[8 + 2 * thread] | static_cast<std::uint32_t>(row[9 + 2 * thread]) << 16;
  }
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  __syncthreads();
  const std::uint64_t address = __cvta_generic_to_shared(columns);
  constexpr std::uint64_t kTileBytes = 128;
  const std::uint64_t descriptor = address >> 4 | (kTileBytes >> 4) << 16 | (kTileBytes >> 4) << 32;
  float d0 = thread == 0 ? c[blockIdx.x] : 0.0f, d1 = 0.0f, d2 = 0.0f, d3 = 0.0f;
  asm volatile(
      "wgmma.fence.sync.aligned;\n"
      "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%0, %1, %2, %3}, {%4, %5, %6, %7}, %8, "
      "1, 1, 1, 0;\n"
      "wgmma.commit_group.sync.aligned;\n"
      "wgmma.wait_group.sync.aligned 0;\n"
      : "+f"(d0), "+f"(d1), "+f"(d2), "+f"(d3)
      : "r"(a0), "r"(0), "r"(a2), "r"(0), "l"(descriptor)
      : "memory");
  if (thread == 0) d[blockIdx.x] = d0;
}

std::uint32_t bits_of(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  return bits;
}
float float_of(std::uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof(x));
  return x;
}
std::uint16_t bf16_of(float x) { return static_cast<std::uint16_t>(bits_of(x) >> 16); }

std::uint64_t state = 0x9e3779b97f4a7c15ull;
std::uint32_t random_bits() {
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return static_cast<std::uint32_t>(state >> 32);
}

// Magnitudes from 2^-20 to 2^6, both signs, and the special values.
std::vector<float> inputs() {
  std::vector<float> x = {0.0f,
                          -0.0f,
                          1.0f,
                          -1.0f,
                          0.5f,
                          2.0f,
                          126.0f,
                          -126.0f,
                          150.0f,
                          -150.0f,
                          float_of(0x7f800000),
                          float_of(0xff800000),
                          float_of(0x7fc00000),
                          float_of(1),
                          float_of(0x00800000)};
  while (x.size() < kInputs) {
    const std::uint32_t r = random_bits();
    x.push_back(float_of((r & 0x807fffffu) | (107u + random_bits() % 26u) << 23));
  }
  return x;
}

struct Products {
  std::vector<std::uint16_t> a, b;
  std::vector<float> c;

  void add(const float (&terms)[16], float addend) {
    for (float term : terms) {
      a.push_back(bf16_of(term));
      b.push_back(bf16_of(1.0f));
    }
    c.push_back(addend);
  }
  // What tells the order of sums, the width of the accumulator and its rounding apart.
  void add_probes() {
    for (int shift = 20; shift < 30; ++shift) {
      for (int at = 0; at < 16; at += 5) {
        float terms[16] = {};
        terms[at] = 1.0f;
        terms[(at + 1) % 16] = float_of((127u - shift) << 23);  // 2^-shift
        add(terms, 0.0f);
        add(terms, float_of((127u - shift) << 23));
        terms[(at + 9) % 16] = -1.0f;
        add(terms, 0.0f);
        add(terms, 1.0f);
      }
    }
    for (int i = 0; i < 1000; ++i) {
      float terms[16];
      for (float& term : terms) {
        term = float_of((random_bits() & 0x807f0000u) | (117u + random_bits() % 20u) << 23);
      }
      add(terms, float_of((random_bits() & 0x807fffffu) | (117u + random_bits() % 20u) << 23));
    }
  }
};

int failures = 0;
void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(error));
  ++failures;
}

template <typename T>
T* to_device(const std::vector<T>& host) {
  T* device = nullptr;
  check(cudaMalloc(reinterpret_cast<void**>(&device), host.size() * sizeof(T)), "cudaMalloc");
  check(cudaMemcpy(device, host.data(), host.size() * sizeof(T), cudaMemcpyHostToDevice), "copy");
  return device;
}
std::vector<float> to_host(const float* device, std::size_t count) {
  std::vector<float> host(count);
  check(cudaMemcpy(host.data(), device, count * sizeof(float), cudaMemcpyDeviceToHost), "copy");
  return host;
}

void print_functions() {
  const std::vector<float> x = inputs();
  float* y = to_device(std::vector<float>(kFunctions * kInputs));
  functions<<<dim3(kInputs / 256, kFunctions), 256>>>(to_device(x), y);
  check(cudaGetLastError(), "functions");
  const std::vector<float> results = to_host(y, kFunctions * kInputs);
  for (int f = 0; f < kFunctions; ++f) {
    for (int i = 0; i < kInputs; ++i) {
      std::printf("%s %08x %08x\n", kNames[f], bits_of(x[i]), bits_of(results[f * kInputs + i]));
    }
  }
}

using ProductKernel = void (*)(const std::uint16_t*, const std::uint16_t*, const float*, float*);

void print_products(const char* name, const Products& p, ProductKernel kernel, unsigned threads) {
  float* d = to_device(std::vector<float>(p.c.size()));
  kernel<<<static_cast<unsigned>(p.c.size()), threads>>>(to_device(p.a), to_device(p.b),
                                                         to_device(p.c), d);
  check(cudaGetLastError(), name);
  const std::vector<float> results = to_host(d, p.c.size());
  for (std::size_t i = 0; i < p.c.size(); ++i) {
    std::printf("%s", name);
    for (int k = 0; k < 16; ++k) std::printf(" %04x", p.a[16 * i + k]);
    std::printf(" %08x %08x\n", bits_of(p.c[i]), bits_of(results[i]));
  }
}

}  // namespace

int main() {
  print_functions();
  Products p;
  p.add_probes();
  print_products("mma", p, product, 32);
  print_products("wgmma", p, warpgroup_product, 128);
  return failures == 0 ? 0 : 1;
}
