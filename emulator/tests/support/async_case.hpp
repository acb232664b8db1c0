// Kernels of vectors/async.cu.
#pragma once

#include <cstdint>

#include "launch.hpp"

namespace emulator_tests {

// One step of an mbarrier script, run by a single thread.
enum class MbarrierOp : uint32_t {
  kInit,
  kArrive,  // result: pending count of the returned state
  kArriveCount,
  kArriveNoComplete,
  kArriveDrop,
  kArriveDropNoComplete,
  kExpectTx,
  kCompleteTx,
  kArriveExpectTx,
  kArriveSink,
  kTestLastState,  // test_wait on the state of the last arrival
  kTestParity0,
  kTestParity1,
  kTryParity0,
  kTryParity1,  // try_wait may time out, so a false result is retried by the kernel once
};

struct MbarrierStep {
  MbarrierOp op;
  uint32_t argument;
};

EMULATOR_KERNEL void mbarrier_script(const MbarrierStep* steps, uint32_t* results, int count);
// Threads hand a token around through two barriers for `rounds` phases.
EMULATOR_KERNEL void mbarrier_ping_pong(uint32_t* out, int rounds);

// cp.async of `bytes` (4, 8 or 16) per thread in three groups; waits for all but the last first.
EMULATOR_KERNEL void cp_async_groups(const uint8_t* in, uint8_t* out, int bytes);
// Each thread copies its own number of source bytes, the rest of its 16 is zero-filled.
EMULATOR_KERNEL void cp_async_zero_fill(const uint8_t* in, uint8_t* out,
                                        const uint32_t* source_bytes);
EMULATOR_KERNEL void cp_async_ignore_source(const uint8_t* in, uint8_t* out);
EMULATOR_KERNEL void cp_async_mbarrier(const uint8_t* in, uint8_t* out);

EMULATOR_KERNEL void bulk_round_trip(const uint8_t* in, uint8_t* out, uint32_t bytes);
EMULATOR_KERNEL void bulk_store_groups(const uint8_t* in, uint8_t* out, uint32_t bytes);

enum class BulkReduction : int {
  kAddU32,
  kAddS32,
  kAddU64,
  kMinU32,
  kMaxS32,
  kIncU32,
  kDecU32,
  kAndB32,
  kOrB32,
  kXorB64,
  kAddF16,
  kAddBf16,
  kMinF16,
  kMaxBf16,
  kCount
};
EMULATOR_KERNEL void bulk_reduce(const uint8_t* in, uint8_t* inout, uint32_t bytes,
                                 BulkReduction reduction);

}  // namespace emulator_tests
