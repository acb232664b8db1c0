// mbarrier, cp.async and cp.async.bulk (without tensor maps).
#include "support/async_case.hpp"
#include "support/ptx.cuh"

namespace emulator_tests {
namespace {

__device__ uint32_t pending_count(uint64_t state) {
  uint32_t count;
  asm volatile("mbarrier.pending_count.b64 %0, %1;" : "=r"(count) : "l"(state));
  return count;
}

#define ARRIVE(instruction, ...)                                                   \
  asm volatile("mbarrier." instruction ".shared::cta.b64 %0, [%1]" __VA_ARGS__ ";" \
               : "=l"(state)                                                       \
               : "r"(address), "r"(argument)                                       \
               : "memory");                                                        \
  result = pending_count(state)

#define TEST(instruction, constraint, value)                                                     \
  asm volatile("{.reg .pred p; mbarrier." instruction ".b64 p, [%1], %2; selp.b32 %0, 1, 0, p;}" \
               : "=r"(result)                                                                    \
               : "r"(address), constraint(value)                                                 \
               : "memory")

}  // namespace

__global__ void mbarrier_script(const MbarrierStep* steps, uint32_t* results, int count) {
  __shared__ uint64_t barrier;
  const uint32_t address = ptx::shared_address(&barrier);
  uint64_t state = 0;
  for (int i = 0; i < count; ++i) {
    const uint32_t argument = steps[i].argument;
    uint32_t result = 0;
    switch (steps[i].op) {
      case MbarrierOp::kInit:
        asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(address), "r"(argument) : "memory");
        break;
      case MbarrierOp::kArrive:
        ARRIVE("arrive");
        break;
      case MbarrierOp::kArriveCount:
        ARRIVE("arrive.release.cta", ", %2");
        break;
      case MbarrierOp::kArriveNoComplete:
        ARRIVE("arrive.noComplete", ", %2");
        break;
      case MbarrierOp::kArriveDrop:
        ARRIVE("arrive_drop", ", %2");
        break;
      case MbarrierOp::kArriveDropNoComplete:
        ARRIVE("arrive_drop.noComplete", ", %2");
        break;
      case MbarrierOp::kExpectTx:
        asm volatile("mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%0], %1;" ::"r"(address),
                     "r"(argument)
                     : "memory");
        break;
      case MbarrierOp::kCompleteTx:
        asm volatile("mbarrier.complete_tx.shared::cta.b64 [%0], %1;" ::"r"(address), "r"(argument)
                     : "memory");
        break;
      case MbarrierOp::kArriveExpectTx:
        ARRIVE("arrive.expect_tx", ", %2");
        break;
      case MbarrierOp::kArriveSink:
        asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0], %1;" ::"r"(address), "r"(argument)
                     : "memory");
        break;
      case MbarrierOp::kTestLastState:
        TEST("test_wait.shared", "l", state);
        break;
      case MbarrierOp::kTestParity0:
        TEST("test_wait.parity.acquire.cta.shared::cta", "r", 0);
        break;
      case MbarrierOp::kTestParity1:
        TEST("test_wait.parity.shared::cta", "r", 1);
        break;
      case MbarrierOp::kTryParity0:
        asm volatile(
            "{.reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2, 20; "
            "selp.b32 %0, 1, 0, p;}"
            : "=r"(result)
            : "r"(address), "r"(0)
            : "memory");
        break;
      case MbarrierOp::kTryParity1:
        TEST("try_wait.parity.acquire.cta.shared::cta", "r", 1);
        break;
    }
    results[i] = result;
  }
  asm volatile("mbarrier.inval.shared.b64 [%0];" ::"r"(address) : "memory");
}

__global__ void mbarrier_ping_pong(uint32_t* out, int rounds) {
  __shared__ uint64_t full;
  __shared__ uint64_t empty;
  __shared__ uint32_t mailbox[64];
  const uint32_t thread = threadIdx.x;
  if (thread == 0) {
    ptx::mbarrier_init(&full, 64);
    ptx::mbarrier_init(&empty, 64);
  }
  __syncthreads();
  uint32_t sum = 0;
  for (int round = 0; round < rounds; ++round) {
    if (thread < 64) {
      if (round > 0) ptx::wait_parity(&empty, (round - 1) & 1);
      mailbox[thread] = round * 1000 + thread;
      asm volatile("mbarrier.arrive.shared.b64 _, [%0];" ::"r"(ptx::shared_address(&full))
                   : "memory");
    } else {
      ptx::wait_parity(&full, round & 1);
      sum += mailbox[127 - thread];
      asm volatile("mbarrier.arrive.shared.b64 _, [%0];" ::"r"(ptx::shared_address(&empty))
                   : "memory");
    }
  }
  if (thread >= 64) out[thread - 64] = sum;
}

__global__ void cp_async_groups(const uint8_t* in, uint8_t* out, int bytes) {
  __shared__ __align__(16) uint8_t stage[3][64 * 16];
  const uint32_t thread = threadIdx.x;
  const uint32_t group_bytes = blockDim.x * bytes;
  for (int group = 0; group < 3; ++group) {
    const uint8_t* source = in + group * group_bytes + thread * bytes;
    const uint32_t target = ptx::shared_address(stage[group] + thread * bytes);
    if (bytes == 4) {
      asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(target), "l"(source)
                   : "memory");
    } else if (bytes == 8) {
      asm volatile("cp.async.ca.shared::cta.global.L2::128B [%0], [%1], 8;" ::"r"(target),
                   "l"(source)
                   : "memory");
    } else {
      asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(target), "l"(source)
                   : "memory");
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
  }
  asm volatile("cp.async.wait_group 1;" ::: "memory");
  __syncthreads();
  for (int group = 0; group < 2; ++group) {
    for (uint32_t i = thread; i < group_bytes; i += blockDim.x) {
      out[group * group_bytes + i] = stage[group][i];
    }
  }
  asm volatile("cp.async.wait_all;" ::: "memory");
  __syncthreads();
  for (uint32_t i = thread; i < group_bytes; i += blockDim.x) {
    out[2 * group_bytes + i] = stage[2][i];
  }
}

__global__ void cp_async_zero_fill(const uint8_t* in, uint8_t* out, const uint32_t* source_bytes) {
  __shared__ __align__(16) uint8_t stage[64 * 16];
  const uint32_t thread = threadIdx.x;
  const uint32_t target = ptx::shared_address(stage + thread * 16);
  asm volatile("cp.async.cg.shared.global.L2::256B [%0], [%1], 16, %2;" ::"r"(target),
               "l"(in + thread * 16), "r"(source_bytes[thread])
               : "memory");
  asm volatile("cp.async.wait_all;" ::: "memory");
  for (int i = 0; i < 16; ++i) out[thread * 16 + i] = stage[thread * 16 + i];
}

__global__ void cp_async_ignore_source(const uint8_t* in, uint8_t* out) {
  __shared__ __align__(16) uint8_t stage[64 * 8];
  const uint32_t thread = threadIdx.x;
  asm volatile(
      "{.reg .pred p; setp.eq.u32 p, %2, 0; cp.async.ca.shared.global [%0], [%1], 8, p;}" ::"r"(
          ptx::shared_address(stage + thread * 8)),
      "l"(in + thread * 8), "r"(thread % 3)
      : "memory");
  asm volatile("cp.async.commit_group; cp.async.wait_group 0;" ::: "memory");
  for (int i = 0; i < 8; ++i) out[thread * 8 + i] = stage[thread * 8 + i];
}

__global__ void cp_async_mbarrier(const uint8_t* in, uint8_t* out) {
  __shared__ __align__(16) uint8_t stage[2][64 * 16];
  __shared__ uint64_t barriers[2];
  const uint32_t thread = threadIdx.x;
  if (thread == 0) {
    // noinc counts against the expected arrivals; the plain form adds its own and takes it back.
    ptx::mbarrier_init(&barriers[0], 64);
    ptx::mbarrier_init(&barriers[1], 64);
  }
  __syncthreads();
  for (int i = 0; i < 2; ++i) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(
                     ptx::shared_address(stage[i] + thread * 16)),
                 "l"(in + i * 1024 + thread * 16)
                 : "memory");
    if (i == 0) {
      asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(
                       ptx::shared_address(&barriers[0]))
                   : "memory");
    } else {
      asm volatile(
          "cp.async.mbarrier.arrive.shared.b64 [%0];" ::"r"(ptx::shared_address(&barriers[1]))
          : "memory");
      asm volatile("mbarrier.arrive.shared.b64 _, [%0];" ::"r"(ptx::shared_address(&barriers[1]))
                   : "memory");
    }
  }
  for (int i = 0; i < 2; ++i) {
    ptx::wait_parity(&barriers[i], 0);
    const int other = 63 - thread;
    for (int j = 0; j < 16; ++j) out[i * 1024 + other * 16 + j] = stage[i][other * 16 + j];
  }
}

__global__ void bulk_round_trip(const uint8_t* in, uint8_t* out, uint32_t bytes) {
  extern __shared__ __align__(128) uint8_t stage[];
  __shared__ uint64_t barrier;
  if (threadIdx.x == 0) {
    ptx::mbarrier_init(&barrier, 1);
    ptx::fence_mbarrier_init();
    asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(in), "r"(bytes) : "memory");
    ptx::arrive_expect_tx(&barrier, bytes);
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, "
        "[%3];" ::"r"(ptx::shared_address(stage)),
        "l"(in), "r"(bytes), "r"(ptx::shared_address(&barrier))
        : "memory");
  }
  __syncthreads();
  ptx::wait_parity(&barrier, 0);
  for (uint32_t i = threadIdx.x; i < bytes; i += blockDim.x) stage[i] = ~stage[i];
  ptx::fence_proxy_async();
  __syncthreads();
  if (threadIdx.x == 0) {
    asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(out),
                 "r"(ptx::shared_address(stage)), "r"(bytes)
                 : "memory");
    ptx::bulk_commit_and_wait();
  }
}

// Three groups of stores; a stage is rewritten once its group's reads are done.
__global__ void bulk_store_groups(const uint8_t* in, uint8_t* out, uint32_t bytes) {
  extern __shared__ __align__(128) uint8_t stage[];
  for (int group = 0; group < 3; ++group) {
    if (threadIdx.x == 0 && group == 2) {
      asm volatile("cp.async.bulk.wait_group.read 1;" ::: "memory");
    }
    __syncthreads();
    uint8_t* buffer = stage + (group % 2) * bytes;
    for (uint32_t i = threadIdx.x; i < bytes; i += blockDim.x) buffer[i] = in[group * bytes + i];
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncthreads();
    if (threadIdx.x == 0) {
      asm volatile(
          "cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(out + group * bytes),
          "r"(ptx::shared_address(buffer)), "r"(bytes)
          : "memory");
      asm volatile("cp.async.bulk.commit_group;" ::: "memory");
    }
  }
  if (threadIdx.x == 0) asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
}

#define REDUCE(text)                                                      \
  asm volatile("cp.reduce.async.bulk.global.shared::cta.bulk_group." text \
               " [%0], [%1], %2;" ::"l"(inout),                           \
               "r"(ptx::shared_address(stage)), "r"(bytes)                \
               : "memory")

__global__ void bulk_reduce(const uint8_t* in, uint8_t* inout, uint32_t bytes,
                            BulkReduction reduction) {
  extern __shared__ __align__(128) uint8_t stage[];
  for (uint32_t i = threadIdx.x; i < bytes; i += blockDim.x) stage[i] = in[i];
  ptx::fence_proxy_async();
  __syncthreads();
  if (threadIdx.x != 0) return;
  switch (reduction) {
    case BulkReduction::kAddU32:
      REDUCE("add.u32");
      break;
    case BulkReduction::kAddS32:
      REDUCE("add.s32");
      break;
    case BulkReduction::kAddU64:
      REDUCE("add.u64");
      break;
    case BulkReduction::kMinU32:
      REDUCE("min.u32");
      break;
    case BulkReduction::kMaxS32:
      REDUCE("max.s32");
      break;
    case BulkReduction::kIncU32:
      REDUCE("inc.u32");
      break;
    case BulkReduction::kDecU32:
      REDUCE("dec.u32");
      break;
    case BulkReduction::kAndB32:
      REDUCE("and.b32");
      break;
    case BulkReduction::kOrB32:
      REDUCE("or.b32");
      break;
    case BulkReduction::kXorB64:
      REDUCE("xor.b64");
      break;
    case BulkReduction::kAddF16:
      REDUCE("add.noftz.f16");
      break;
    case BulkReduction::kAddBf16:
      REDUCE("add.noftz.bf16");
      break;
    case BulkReduction::kMinF16:
      REDUCE("min.f16");
      break;
    case BulkReduction::kMaxBf16:
      REDUCE("max.bf16");
      break;
    case BulkReduction::kCount:
      break;
  }
  ptx::bulk_commit_and_wait();
}

}  // namespace emulator_tests
