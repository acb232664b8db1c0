// A role's first chunk takes longer than the others: each line of its loop has to be fetched first,
// about 300 cycles for eight instructions. While the first boxes are on their way, the scalars and
// prepare therefore run their loops once on stages that are not filled yet: a rehearsal. Nobody
// hears of it but the transfers, which fill these stages after it. The instructions are those of
// all other chunks; only barriers are others. It brought 3 us of 50 to 65 for 4 to 12 heads on an
// H200. A rehearsal of the recurrence brought 1 us more, and its longer loop cost 7 us of 375 for
// 96 heads.
#pragma once

#include "cuda/sm90/ptx.cuh"
#include "cuda/sm90/smem_plan.cuh"

namespace flash_kda::cuda::sm90 {

// Not with checkpoints, where a block has more to look up than to fetch, nor in the other form,
// whose prepare works in pairs.
template <GateForm kForm, Keeps kKeeps>
inline constexpr bool kRehearses = (kForm == GateForm::kBounded) && (kKeeps == Keeps::kFinalState);

// Chunk numbers of rehearsals: each has a stage of its own, and parity 0 in the ring.
inline constexpr std::uint32_t kPrepareRehearsal = 0xfffffffdu;
inline constexpr std::uint32_t kScalarsRehearsal = 0xfffffffeu;
inline constexpr std::uint32_t kFirstRehearsedStage = kPrepareRehearsal % kStages;
static_assert(kFirstRehearsedStage == 3 && kScalarsRehearsal % kStages == 4);
static_assert(kPrepareRehearsal / kStages % 2 == 0 && kScalarsRehearsal / kStages % 2 == 0);

__device__ __forceinline__ bool is_rehearsal(std::uint32_t count) {
  return count >= kPrepareRehearsal;
}

// What a role counts from: `rehearsal`, if it rehearses and its block has work, or 0.
template <GateForm kForm, Keeps kKeeps>
__device__ __forceinline__ std::uint32_t first_count(std::uint32_t rehearsal, Pass pass) {
  const bool may = kRehearses<kForm, kKeeps> && pass == Pass::kFirst;
  return may && block_share().rounds > 0 ? rehearsal : 0;
}
__device__ __forceinline__ std::uint32_t next_count(std::uint32_t count) {
  return is_rehearsal(count) ? 0 : count + 1;
}

// Arrivals at kRehearsed: two warps of the scalars, and prepare's.
inline constexpr int kRehearsedArrivals = 2 + kPrepareWarps;

// What a role waits for before chunk `count`: in a rehearsal, for what is over.
__device__ __forceinline__ std::uint32_t awaited(std::uint32_t count, std::uint32_t shared,
                                                 std::uint32_t barrier) {
  return shared + (is_rehearsal(count) ? SharedPlan::kPassed : barrier);
}
// Where it arrives after it.
__device__ __forceinline__ std::uint32_t arrival(std::uint32_t count, std::uint32_t shared,
                                                 std::uint32_t barrier) {
  return shared + (is_rehearsal(count) ? SharedPlan::kRehearsed : barrier);
}

// What rehearsals read, before the block begins: keys, queries and gates of zeros, and a head for
// prepare.
__device__ __forceinline__ void clear_rehearsed(std::uint32_t shared) {
  clear_stages<StagePlan::kKeys, StagePlan::kInverse>(
      shared + SharedPlan::kStage + kFirstRehearsedStage * StagePlan::kBytes,
      kStages - kFirstRehearsedStage);
  constexpr std::uint32_t kBoard =
      SharedPlan::kBoard + kPrepareRehearsal % kStages * BoardPlan::kBytes;
  if (threadIdx.x < kDim) {
    store_shared(shared + kBoard + BoardPlan::bias_of(threadIdx.x), 0.0f);
  }
  if (threadIdx.x == kDim) store_shared_2(shared + kBoard + BoardPlan::kSlope, -1.0f, -1.0f);
}

}  // namespace flash_kda::cuda::sm90
