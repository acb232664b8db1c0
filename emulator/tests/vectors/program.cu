// Control flow, calls, memory spaces and barriers, written in CUDA C++ where the compiler's own
// code is what is to be run.
#include "support/program_case.hpp"
#include "support/ptx.cuh"

namespace emulator_tests {

__constant__ uint32_t constant_table[kTableEntries] = {3, 1, 4, 1, 5, 9, 2, 6,
                                                       5, 3, 5, 8, 9, 7, 9, 3};
__device__ uint32_t device_table[kTableEntries] = {2, 7, 1, 8, 2, 8, 1, 8, 2, 8, 4, 5, 9, 0, 4, 5};
// An initialiser that is an address, resolved when the module is loaded.
__device__ const uint32_t* table_pointer = device_table + 1;
__constant__ uint8_t constant_bytes[kTableEntries] = "constant memory";
__constant__ double constant_doubles[2] = {0.5, -3.25};
__device__ uint32_t launch_count = 0;

namespace {

#define SPECIAL(name)                                      \
  [] {                                                     \
    uint32_t value;                                        \
    asm volatile("mov.u32 %0, %%" name ";" : "=r"(value)); \
    return value;                                          \
  }()

struct Pair {
  uint32_t sum;
  uint64_t product;
  uint8_t tag;
};

__device__ __noinline__ Pair combine(uint32_t a, uint64_t b, uint8_t tag) {
  return {static_cast<uint32_t>(a + b), a * b, static_cast<uint8_t>(tag + 1)};
}

__device__ __noinline__ void write_through(uint32_t* target, uint32_t value) { *target = value; }

__device__ __noinline__ float mixed_arguments(float x, double y, uint16_t h, bool flag) {
  return flag ? static_cast<float>(x * y) : static_cast<float>(h);
}

}  // namespace

__global__ void special_registers(uint32_t* out) {
  const uint32_t block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const uint32_t thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const uint32_t threads = blockDim.x * blockDim.y * blockDim.z;
  uint32_t* mine = out + (block * threads + thread) * 18;
  mine[0] = SPECIAL("tid.x");
  mine[1] = SPECIAL("tid.y");
  mine[2] = SPECIAL("tid.z");
  mine[3] = SPECIAL("ntid.x");
  mine[4] = SPECIAL("ntid.y");
  mine[5] = SPECIAL("ntid.z");
  mine[6] = SPECIAL("ctaid.x");
  mine[7] = SPECIAL("ctaid.y");
  mine[8] = SPECIAL("ctaid.z");
  mine[9] = SPECIAL("nctaid.x");
  mine[10] = SPECIAL("nctaid.y");
  mine[11] = SPECIAL("nctaid.z");
  mine[12] = SPECIAL("laneid");
  mine[13] = SPECIAL("warpid");
  mine[14] = SPECIAL("smid") < SPECIAL("nsmid");
  mine[15] = SPECIAL("dynamic_smem_size");
  mine[16] = SPECIAL("cluster_nctarank");
  mine[17] = SPECIAL("cluster_ctarank");
}

__global__ void divergent_control_flow(const uint32_t* in, uint32_t* out) {
  const uint32_t value = in[threadIdx.x];
  uint32_t result = 0;
  for (uint32_t i = 0; i < (value & 15); ++i) {
    if ((value >> i & 1) == 0) continue;
    for (uint32_t j = i; j < 20; j += 1 + (value & 3)) {
      result += i * j;
      if (result > 300) break;
    }
    if (result % 7 == 3) {
      result ^= value;
      break;
    }
  }
  __syncwarp();
  out[threadIdx.x] = result + __shfl_xor_sync(0xffffffff, result, 1);
}

__global__ void early_exit_then_barrier(uint32_t* out, uint32_t survivors) {
  __shared__ uint32_t count;
  if (threadIdx.x == 0) count = 0;
  __syncthreads();
  if (threadIdx.x >= survivors) return;
  atomicAdd(&count, 1u);
  __syncthreads();
  out[threadIdx.x] = count;
}

__global__ void switch_statement(const uint32_t* in, uint32_t* out) {
  const uint32_t value = in[threadIdx.x];
  uint32_t result;
  switch (value % 12) {
    case 0:
      result = value + 1;
      break;
    case 1:
      result = value * 3;
      break;
    case 2:
      result = value ^ 0x55;
      break;
    case 3:
      result = value << 2;
      break;
    case 4:
      result = value >> 1;
      break;
    case 5:
      result = ~value;
      break;
    case 6:
      result = value - 9;
      break;
    case 7:
      result = value & 0xff;
      break;
    case 8:
      result = value | 0xf00;
      break;
    case 9:
      result = value / 5;
      break;
    default:
      result = 1234;
  }
  out[threadIdx.x] = result;
}

__global__ void device_calls(const uint32_t* in, uint32_t* out) {
  const uint32_t value = in[threadIdx.x];
  const Pair pair = combine(value, uint64_t{value} << 20, static_cast<uint8_t>(value));
  uint32_t through = 0;
  if (value & 1) write_through(&through, value ^ 0xabcd);
  const float mixed = mixed_arguments(1.5f, 2.0, static_cast<uint16_t>(value), (value & 2) != 0);
  out[threadIdx.x] = pair.sum ^ static_cast<uint32_t>(pair.product >> 7) ^ pair.tag ^ through ^
                     static_cast<uint32_t>(mixed);
}

__global__ void local_arrays(const uint32_t* in, uint32_t* out) {
  uint32_t stack[24];
  uint8_t bytes[24];
  uint32_t value = in[threadIdx.x];
  for (int i = 0; i < 24; ++i) {
    stack[i] = value;
    bytes[i] = static_cast<uint8_t>(value >> 3);
    value = value * 1664525u + 1013904223u;
  }
  for (int i = 0; i < 50; ++i) {
    const uint32_t a = value >> 8 & 15;
    const uint32_t b = (value >> 16) % 24;
    const uint32_t swap = stack[a];
    stack[a] = stack[b] + bytes[a];
    stack[b] = swap;
    value = value * 1664525u + 1013904223u;
  }
  out[threadIdx.x] = stack[value % 24] ^ stack[0];
}

__global__ void wide_parameter(const __grid_constant__ WideParameter parameter,
                               const uint32_t* index, uint32_t* out) {
  out[threadIdx.x] = parameter.word[index[threadIdx.x] % 64] + parameter.word[63];
}

__global__ void module_variables(const uint32_t* index, uint32_t* out) {
  const uint32_t i = index[threadIdx.x] % kTableEntries;
  const uint32_t from_pointer = i + 1 < kTableEntries ? table_pointer[i] : 0;
  out[threadIdx.x] = constant_table[i] * 1000000 + device_table[i] * 10000 + from_pointer * 1000 +
                     constant_bytes[i] + static_cast<uint32_t>(constant_doubles[i & 1] * 4 + 20);
  if (threadIdx.x == 0) atomicAdd(&launch_count, 1u);
}

__global__ void barrier_reductions(const uint32_t* in, uint32_t* out) {
  const uint32_t value = in[threadIdx.x];
  const int odd = __syncthreads_count(value & 1);
  const int any = __syncthreads_or(value == 17);
  const int all = __syncthreads_and(value < 100);
  uint32_t first_half = 0;
  // Two disjoint halves of the CTA use two barriers at a time.
  if (threadIdx.x < 64) {
    asm volatile(
        "{.reg .pred p; setp.gt.u32 p, %1, 50; barrier.cta.red.popc.aligned.u32 %0, 3, 64, p;}"
        : "=r"(first_half)
        : "r"(value)
        : "memory");
  } else {
    asm volatile("{.reg .pred p; setp.gt.u32 p, %1, 50; bar.red.popc.u32 %0, 4, 64, p;}"
                 : "=r"(first_half)
                 : "r"(value)
                 : "memory");
  }
  out[threadIdx.x] = odd * 10000 + (any != 0) * 1000 + (all != 0) * 500 + first_half;
}

// Warp 0 fills a slot and only arrives at "full"; warps 1 and 2 wait there, read, and arrive at
// "empty", where warp 0 waits.
__global__ void named_barrier_pipeline(uint32_t* out, int rounds) {
  __shared__ uint32_t slot[32];
  const uint32_t warp = threadIdx.x / 32;
  const uint32_t lane = threadIdx.x % 32;
  uint32_t sum = 0;
  for (int round = 0; round < rounds; ++round) {
    if (warp == 0) {
      if (round > 0) asm volatile("bar.sync 2, 96;" ::: "memory");
      slot[lane] = round * 100 + lane;
      asm volatile("bar.arrive 1, 96;" ::: "memory");
    } else {
      asm volatile("barrier.sync 1, 96;" ::: "memory");
      sum += slot[31 - lane] * warp;
      if (round + 1 < rounds) asm volatile("barrier.cta.arrive 2, 96;" ::: "memory");
    }
  }
  if (warp > 0) out[threadIdx.x - 32] = sum;
}

__global__ void __launch_bounds__(384, 1) register_reallocation(uint32_t* out) {
  __shared__ uint32_t word;
  const uint32_t group = threadIdx.x / 128;
  if (threadIdx.x == 0) word = 5;
  __syncthreads();
  if (group == 0) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
  } else {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
  }
  out[threadIdx.x] = word + group;
}

// 40 + 2 * 240 registers, but a multiprocessor has 3 * 168 for threads of this CTA.
__global__ void __launch_bounds__(384, 1) too_many_registers(uint32_t* out) {
  if (threadIdx.x < 128) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
    out[threadIdx.x] = 1;
    asm volatile("bar.sync 1, 384;" ::: "memory");
  } else {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 240;");
    out[threadIdx.x] = 2;
    asm volatile("bar.sync 1, 384;" ::: "memory");
  }
}

__global__ void clocks(uint64_t* out) {
  uint64_t ns_before, ns_after;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(ns_before)::"memory");
  const uint64_t before = clock64();
  const uint32_t low = clock();
  __nanosleep(2000);
  const uint64_t after = clock64();
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(ns_after)::"memory");
  out[threadIdx.x * 3] = after > before;
  out[threadIdx.x * 3 + 1] = ns_after >= ns_before;
  out[threadIdx.x * 3 + 2] = low != 0xdeadbeef;
}

// A ring of one stage: warp 4 writes B, the warpgroup multiplies, and one thread of it gives the
// stage back for all four warps after its own wait, as pipelines do.
__global__ void __launch_bounds__(160) wgmma_ring(float* out, int rounds) {
  __shared__ __align__(128) uint32_t a[64 * 16 / 2];
  __shared__ __align__(128) uint32_t b[8 * 16 / 2];
  __shared__ uint64_t full, empty;
  const uint32_t t = threadIdx.x;
  for (uint32_t i = t; i < 64 * 16 / 2; i += 160) a[i] = 0x3f803f80;
  if (t == 0) {
    ptx::mbarrier_init(&full, 32);
    ptx::mbarrier_init(&empty, 1);
  }
  ptx::fence_proxy_async();
  __syncthreads();
  // No swizzle: core matrices are 128 bytes apart along K, 256 along M and N.
  const uint64_t strides = uint64_t{128 >> 4} << 16 | uint64_t{256 >> 4} << 32;
  const uint64_t descriptor_a = strides | ptx::shared_address(a) >> 4;
  const uint64_t descriptor_b = strides | ptx::shared_address(b) >> 4;
  float d[4] = {};
  for (int round = 0; round < rounds; ++round) {
    if (t >= 128) {
      if (round > 0) ptx::wait_parity(&empty, (round - 1) & 1);
      const uint32_t bits = __float_as_uint(static_cast<float>(round + 1));
      for (uint32_t i = t - 128; i < 8 * 16 / 2; i += 32) b[i] = bits | bits >> 16;
      ptx::fence_proxy_async();
      ptx::arrive(&full);
    } else {
      ptx::wait_parity(&full, round & 1);
      asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
      asm volatile(
          "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%0, %1, %2, %3}, %4, %5, 1, 1, 1, "
          "0, 0;"
          : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
          : "l"(descriptor_a), "l"(descriptor_b)
          : "memory");
      asm volatile("wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0;" ::
                       : "memory");
      if (t == 0) ptx::arrive(&empty);
    }
  }
  if (t < 128)
    for (int i = 0; i < 4; ++i) out[t * 4 + i] = d[i];
}

__global__ void math_library(const float* in, float* out) {
  const float x = in[threadIdx.x];
  float* mine = out + threadIdx.x * 10;
  mine[0] = expf(x);
  mine[1] = logf(fabsf(x) + 0.1f);
  mine[2] = sinf(x);
  mine[3] = cosf(x * 100.0f);
  mine[4] = tanhf(x);
  mine[5] = powf(fabsf(x), 1.7f);
  mine[6] = erff(x);
  mine[7] = rsqrtf(fabsf(x) + 0.5f);
  mine[8] = x / 3.7f;
  mine[9] = fmodf(x, 0.3f);
}

}  // namespace emulator_tests
