// Sizes and roles of the fused kernel (docs/hopper_kernel.md). One block owns an SM.
#pragma once

#include <cstdint>

#include "flash_kda/problem.hpp"

#if defined(__CUDACC__)
#define FLASH_KDA_HOST_DEVICE __host__ __device__
#else
#define FLASH_KDA_HOST_DEVICE
#endif

namespace flash_kda::cuda::sm90 {

inline constexpr int kDim = 128;              // K and V
inline constexpr int kSplitPanel = kDim / 2;  // values of a block of the split form
inline constexpr int kChunk = 32;             // C
inline constexpr int kSub = 16;    // tokens of a sub-chunk: decays are referenced inside it
inline constexpr int kStages = 5;  // chunks in flight between HBM and the recurrence
inline constexpr int kPairs = 2;   // score buffers; kGeneral: pairs of warps, each on its own chunk

// kBounded: warps that prepare, each 16 channels of every chunk.
inline constexpr int kPrepareWarps = 8;
// The recurrence multiplies the scores of a chunk this many chunks ahead, its two warpgroups in
// turns.
inline constexpr int kScoresAhead = 2;

// Packed sequences are taken longest first when there are at most this many.
inline constexpr int kMaxSorted = 512;

// Pieces of work of a block that are looked up before it begins.
inline constexpr int kListedItems = 16;

// Threads that find a block's work, and run all of kGeneral.
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
// Where the last chunk before a cut leaves more than that, nobody looks at the others: at this pace
// it would take 20 of them.
inline constexpr float kHopelessLeft = 0.5f;

// Named barriers; 0 is that of __syncthreads.
inline constexpr int kFirstPairBarrier = 1;  // kGeneral: of each pair of warps that prepare
inline constexpr int kMergeBarrier = kFirstPairBarrier + kPairs;  // of the warps that merge

// Warps of warpgroup 0. Warpgroup 1 prepares, 2 and 3 run the recurrence of 64 value rows each;
// under kBounded warpgroup 4 prepares too.
enum class IoWarp : std::int32_t {
  kTransfers = 0,
  kFirstScalars = 1,  // of sub-chunk 0
  kSecondScalars = 2,
  kInverse = 3
};

// How the gate is computed and where decays of a chunk are referenced (docs/numerics.md).
enum class GateForm : std::int32_t {
  // kLowerBound with lower_bound >= -5: 2^(16 * 5 * log2 e) = 2^115.4 fits bf16, so one reference
  // serves the whole chunk.
  kBounded,
  // Any gate: decays are floored at -9 nats a token and referenced to the 8th token.
  kGeneral,
};
inline constexpr float kBoundedLimit = -5.0f;
constexpr bool is_bounded(const GateSpec& gate) {
  return gate.kind == GateKind::kLowerBound && gate.lower_bound >= kBoundedLimit;
}

// Registers a thread of each role after setmaxnreg. A launch gives every thread the same number, a
// multiple of 8; what some roles give back, others take.
struct RoleRegisters {
  int launch;
  int io;
  int prepare;
  int recurrence;
};

// kBounded has a second warpgroup for prepare, so that two of its warps share a scheduler: one
// alone waits for its own latencies most of the time. kGeneral sums scores in registers and needs
// more of them.
template <GateForm kForm>
inline constexpr int kPrepareGroups = kForm == GateForm::kBounded ? 2 : 1;
static_assert(kPrepareWarps == kPrepareGroups<GateForm::kBounded> * kWarpgroup / 32);
template <GateForm kForm>
inline constexpr int kThreadsOf = (3 + kPrepareGroups<kForm>)*kWarpgroup;
template <GateForm kForm>
inline constexpr RoleRegisters kRegistersOf =
    kForm == GateForm::kBounded
        ? RoleRegisters{.launch = 96, .io = 48, .prepare = 48, .recurrence = 168}
        : RoleRegisters{.launch = 128, .io = 40, .prepare = 136, .recurrence = 168};

template <GateForm kForm>
constexpr bool registers_fit() {
  constexpr RoleRegisters r = kRegistersOf<kForm>;
  constexpr int kGroups = kThreadsOf<kForm> / kWarpgroup;
  return kGroups * r.launch * kWarpgroup <= 64 * 1024 &&
         r.io + kPrepareGroups<kForm> * r.prepare + 2 * r.recurrence <= kGroups * r.launch;
}
static_assert(registers_fit<GateForm::kBounded>() && registers_fit<GateForm::kGeneral>());

// What the roles of a kernel's blocks walk through: their shares, or segments of the chains that
// are left too.
enum class Work : std::int32_t { kShares, kSharesAndSegments };

// Of a role through such work: before the first it may rehearse.
enum class Pass : std::int32_t { kFirst, kLater };

// Value rows that a thread of merge_role.cuh carries through the segments of a chain at a time.
inline constexpr int kMergeRows = 8;
// A chain is cut in that many parts of value rows at most, to be merged by as many blocks.
inline constexpr int kMaxMergeParts = kDim / kMergeRows;
// And in that many at least: the rows of a part lie in shared memory.
inline constexpr int kMinMergeParts = 4;

// Chains that are left to another form are bits of one word.
inline constexpr int kMaxLeft = 64;

// Which states of a sequence a call keeps.
enum class Keeps : std::int32_t { kFinalState, kCheckpoints };

}  // namespace flash_kda::cuda::sm90
