// Sizes and roles of the fused kernel (docs/hopper_kernel.md). One block owns an SM.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define FLASH_KDA_HOST_DEVICE __host__ __device__
#else
#define FLASH_KDA_HOST_DEVICE
#endif

namespace flash_kda::cuda::sm90 {

inline constexpr int kDim = 128;   // K and V
inline constexpr int kChunk = 32;  // C
inline constexpr int kSub = 16;    // tokens of a sub-chunk: decays are referenced inside it
inline constexpr int kStages = 5;  // chunks in flight between HBM and the recurrence
inline constexpr int kPairs = 2;   // score buffers; kGeneral: pairs of warps, each on its own chunk

// Packed sequences are taken longest first when there are at most this many.
inline constexpr int kMaxSorted = 512;

inline constexpr int kThreads = 512;
inline constexpr int kWarpgroup = 128;

// Of a cut chain: one flag for each warp of the recurrence, and the state in fp32.
inline constexpr int kHandoverFlags = 8;
inline constexpr int kHandoverFloats = kDim * kDim;

// A part of a chain may start from zero this many chunks early, if at most kWarmUpLeft of the state
// from before is then left. Proven by windows of kWindow tokens (state_bound.hpp).
inline constexpr int kMaxWarmUp = 8;
inline constexpr float kWarmUpLeft = 0x1p-20f;
inline constexpr int kWindow = 16;

// Warps of warpgroup 0. Warpgroup 1 prepares, 2 and 3 run the recurrence of 64 value rows each.
enum class IoWarp : std::int32_t { kLoad = 0, kStore = 1, kScalars = 2, kInverse = 3 };

// Registers a thread after setmaxnreg: (io + prepare + 2 recurrence) * 128 threads = 64 Ki.
inline constexpr int kIoRegisters = 40;
inline constexpr int kPrepareRegisters = 136;
inline constexpr int kRecurrenceRegisters = 168;
static_assert(kIoRegisters + kPrepareRegisters + 2 * kRecurrenceRegisters == 512);

// How the gate is computed and where decays of a chunk are referenced (docs/numerics.md).
enum class GateForm : std::int32_t {
  // kLowerBound with lower_bound >= -5: 2^(16 * 5 * log2 e) = 2^115.4 fits bf16, so one reference
  // serves the whole chunk.
  kBounded,
  // Any gate: decays are floored at -9 nats a token and referenced to the 8th token.
  kGeneral,
};
inline constexpr float kBoundedLimit = -5.0f;

}  // namespace flash_kda::cuda::sm90
