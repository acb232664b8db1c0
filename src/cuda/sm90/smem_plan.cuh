// The block's shared memory: offsets from its start, which is aligned to 1024 bytes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/sm90/layouts.cuh"
#include "cuda/sm90/ptx.cuh"
#include "cuda/sm90/share.cuh"

namespace flash_kda::cuda::sm90 {

// One chunk on its way through the block. Regions are rewritten in place.
//   region  after TMA   after prepare, kBounded   kGeneral
//   kKeys   k           k 2^(G_i - R)             k_gamma
//   kQuery  q           q 2^(G_i - R)             q_gamma / out scale
//   kGate   g           k 2^(R - G_i)             k_to_end
//   kValue  v           v                         v
struct StagePlan {
  static constexpr std::uint32_t kKeys = 0;
  static constexpr std::uint32_t kQuery = kKeys + kHalfTile;  // their halves alternate
  static constexpr std::uint32_t kGate = kKeys + 2 * kTokenTile;
  static constexpr std::uint32_t kInverse =
      kGate + kTokenTile;  // diag(n) Akk_inv diag(1 / n), bf16
  static constexpr std::uint32_t kScoreQk = kInverse + kScoreTile;  // Aqk / (out scale n), bf16
  // Decays of channels: gamma_last; kBounded: 2^R.
  static constexpr std::uint32_t kGamma = kScoreQk + kScoreTile;  // fp32
  // Factors of a token, fp32. n is the norm factor of its key (E1).
  static constexpr std::uint32_t kNorm = kGamma + 4 * kGammaPitch;      // n
  static constexpr std::uint32_t kLength = kNorm + 4 * kChunk;          // 1 / n
  static constexpr std::uint32_t kBeta = kLength + 4 * kChunk;          // beta
  static constexpr std::uint32_t kOutScale = kBeta + 4 * kChunk;        // scale * norm factor of q
  static constexpr std::uint32_t kValueScale = kOutScale + 4 * kChunk;  // beta * n
  static constexpr std::uint32_t kKeyScale = kValueScale + 4 * kChunk;  // beta * n^2
  // kBounded: 2^(G_31 - R).
  static constexpr std::uint32_t kRest = kKeyScale + 4 * kChunk;
  static constexpr std::uint32_t kOperandBytes = kRest + 4 * kGammaPitch;
  // Last: the split form has values elsewhere.
  static constexpr std::uint32_t kValue = (kOperandBytes + 1023) / 1024 * 1024;
  static constexpr std::uint32_t kBytes = kValue + kTokenTile;
  static constexpr std::uint32_t kRawBytes = 4 * kTokenTile;  // that TMA brings
  static_assert(kBytes == 38 * 1024);
};

// kGeneral, between prepare and the inverse, one per pair of prepare warps.
struct ScorePlan {
  static constexpr std::uint32_t kDiagonal = 0;      // fp32 [16][L00 | L11], 16-byte swizzle
  static constexpr std::uint32_t kLower = 16 * 128;  // fp16 [16][16]: L10
  static constexpr std::uint32_t kBytes = kLower + 512;
};

// kBounded: what prepare has to know of a chunk's head, of one in each stage.
struct BoardPlan {
  // fp32 [kDim]: BoundedGate::bias, by step of prepare, half, warp and channel of its 8: a lane of
  // prepare then has its own at 4 (thread / 4).
  static constexpr std::uint32_t kBias = 0;
  static constexpr std::uint32_t kBiasHalf = 4 * 4 * 8;
  static constexpr std::uint32_t kBiasStep = 2 * kBiasHalf + 64;  // in other banks
  static constexpr std::uint32_t kSlope = kBias + 2 * kBiasStep;  // 0 after the last chunk
  static constexpr std::uint32_t kUnit = kSlope + 4;              // BoundedGate::unit
  static constexpr std::uint32_t kBytes = kUnit + 12;
  static __device__ __forceinline__ std::uint32_t bias_of(std::uint32_t channel) {
    return kBias + channel / 8 % 2 * kBiasStep + channel / 16 * 32 + channel % 8 * 4;
  }
};

// kBounded: products of keys with keys as they come from the accumulators, fp32 [32][32] of which
// the lower triangle is there. The 16-byte piece p of row r lies at p ^ (r % 8).
struct RawScorePlan {
  static constexpr std::uint32_t kRow = 4 * kChunk;
  static constexpr std::uint32_t kBytes = kChunk * kRow;
};

struct SharedPlan {
  static constexpr std::uint32_t kStage = 0;
  static constexpr std::uint32_t kOut = kStage + kStages * StagePlan::kBytes;  // 2 x [32][128] bf16
  static constexpr std::uint32_t kPartial = kOut + 2 * kTokenTile;  // fp32 sums of a pair's halves
  static constexpr std::uint32_t kPartialBytes = 12 * 512;
  // The other form has boards and raw scores there.
  static constexpr std::uint32_t kBoard = kPartial;
  static constexpr std::uint32_t kRawScore = kBoard + kStages * BoardPlan::kBytes;
  static_assert(kRawScore + kPairs * RawScorePlan::kBytes <= kPartial + kPairs * kPartialBytes);
  static constexpr std::uint32_t kScore = kPartial + kPairs * kPartialBytes;
  static constexpr std::uint32_t kColumns = kScore + kPairs * ScorePlan::kBytes;  // fp16 [4][8][8]
  static constexpr std::uint32_t kBias = kColumns + 512;            // fp32 [4 warps][64]; kGeneral
  static constexpr std::uint32_t kOrder = kBias + 1024;             // int16 [kMaxSorted]: sequences
  static constexpr std::uint32_t kShare = kOrder + 2 * kMaxSorted;  // of the work: share.cuh
  static constexpr std::uint32_t kOutPlace = kShare + 48;           // of the chunk in each stage
  static constexpr std::uint32_t kRound =
      kOutPlace + 16 * kStages;                                 // int32 by warp of the recurrence
  static constexpr std::uint32_t kProgress = kRound + 32;       // Progress, the same
  static constexpr std::uint32_t kChunks = kProgress + 8 * 16;  // uint32
  static constexpr std::uint32_t kTurn = kChunks + 4;           // int32
  static constexpr std::uint32_t kLeft = kChunks + 8;           // ChainSet's word
  static constexpr std::uint32_t kItems = kLeft + 8;            // WorkItem [kListedItems]
  static_assert(kLeft % 8 == 0 && kItems % 16 == 0);
  static constexpr std::uint32_t kItemBytes = 48;
  static constexpr std::uint32_t kBarrier = kItems + kListedItems * kItemBytes;

  // Barriers, 8 bytes each. Arrivals in brackets.
  static constexpr std::uint32_t kRaw = kBarrier;                  // [1 + bytes] tiles have landed
  static constexpr std::uint32_t kNormed = kRaw + 8 * kStages;     // [2] scalars are there
  static constexpr std::uint32_t kStored = kNormed + 8 * kStages;  // [8] tiles are there; kBounded
  static constexpr std::uint32_t kReady = kStored + 8 * kStages;   // [3] operands are there
  static constexpr std::uint32_t kEmpty = kReady + 8 * kStages;    // [8] stage may be refilled
  static constexpr std::uint32_t kScoreFull = kEmpty + 8 * kStages;      // [1 or 2] by score buffer
  static constexpr std::uint32_t kScoreEmpty = kScoreFull + 8 * kPairs;  // [1]
  static constexpr std::uint32_t kOutFull = kScoreEmpty + 8 * kPairs;    // [8] by output buffer
  static constexpr std::uint32_t kOutEmpty = kOutFull + 8 * 2;           // [1]
  // Of rehearsals (rehearsal.cuh).
  static constexpr std::uint32_t kRehearsed = kOutEmpty + 8 * 2;  // [10] their stages may be filled
  static constexpr std::uint32_t kPassed = kRehearsed + 8;        // [1] its phase 0 is over
  static constexpr std::uint32_t kWritten = kPassed + 8;  // [8] the recurrence's states are written
  static constexpr std::uint32_t kMeeting = kWritten + 8;  // [all warps] roles are over
  static constexpr std::uint32_t kBytes = kMeeting + 8;
};
static_assert(SharedPlan::kOut % 1024 == 0);
static_assert(SharedPlan::kBytes <= 227 * 1024, "shared memory of an SM90 block");

extern __shared__ __align__(1024) std::byte shared_block[];

// By all threads: zeros into bytes [begin, end) of `stages` stages, a pitch apart.
template <std::uint32_t kBegin, std::uint32_t kEnd, std::uint32_t kPitch = StagePlan::kBytes>
__device__ __forceinline__ void clear_stages(std::uint32_t first_stage, std::uint32_t stages) {
  constexpr std::uint32_t kPieces = (kEnd - kBegin) / 16;
  for (std::uint32_t i = threadIdx.x; i < stages * kPieces; i += blockDim.x) {
    store_shared_bits(first_stage + i / kPieces * kPitch + kBegin + i % kPieces * 16, {0, 0, 0, 0});
  }
}

// Packed sequences, longest first.
__device__ __forceinline__ std::uint16_t* block_order() {
  return reinterpret_cast<std::uint16_t*>(shared_block + SharedPlan::kOrder);
}

__device__ __forceinline__ Share& block_share() {
  static_assert(sizeof(Share) <= 48);
  return *reinterpret_cast<Share*>(shared_block + SharedPlan::kShare);
}

__device__ __forceinline__ volatile int& block_round(int recurrence_warp) {
  return reinterpret_cast<volatile int*>(shared_block + SharedPlan::kRound)[recurrence_warp];
}

// How many chunks this block sees, once prepare has seen the last of them.
__device__ __forceinline__ volatile std::uint32_t& block_chunks() {
  return *reinterpret_cast<volatile std::uint32_t*>(shared_block + SharedPlan::kChunks);
}

// Chains that this block has left out of its share, because a cut of theirs is not proven.
__device__ __forceinline__ unsigned long long& block_left() {
  return *reinterpret_cast<unsigned long long*>(shared_block + SharedPlan::kLeft);
}

// Where this block's cluster comes when they take those chains in turns.
__device__ __forceinline__ int& block_turn() {
  return *reinterpret_cast<int*>(shared_block + SharedPlan::kTurn);
}

// The place of chunk number `count` (of all chunks that this block sees) in a ring.
template <int kSlots>
struct Turn {
  std::uint32_t slot;
  std::uint32_t parity;
  __device__ __forceinline__ explicit Turn(std::uint32_t count)
      : slot(count % kSlots), parity((count / kSlots) & 1) {}
};

}  // namespace flash_kda::cuda::sm90
