// Chains that are left, computed exactly in segments by all blocks of a launch (E13, E14).
//
// A segment's effect on the state before it is affine: S M + F. So its blocks find F and M side by
// side (summaries: one run from zero, one from the identity with values of zero), then the states
// before all segments are made of them (merges, each of some value rows), and then segments run
// once more, from these states (reruns). The first segment of a chain starts from the caller's
// state and needs to run but once, so it is twice as long as the others; of the last nobody asks
// for F and M.
//
// Jobs stand in one line: all summaries, all merges, all reruns. A block that is done with its
// share takes the next job again and again, by a counter. A job waits for jobs before it alone,
// which are in the hands of blocks that run: no block has to be resident for another.
#pragma once

#include <cstdint>

#include "cuda/sm90/handover.cuh"
#include "cuda/sm90/work.cuh"

namespace flash_kda::cuda::sm90 {

enum class JobKind : std::int32_t {
  kShare,      // the block's share, before all jobs
  kNone,       // the line is over
  kSummaries,  // one or two items: F, then M
  kMerge,      // no items
  kRerun,      // one item
};

// What a block is at.
struct SegmentJob {
  JobKind kind;
  std::int32_t chain;     // bit in the set of those that are left
  std::int32_t slot;      // of the chain's first segment
  std::int32_t segments;  // of the chain
  std::int32_t part;      // kMerge
};
__device__ __forceinline__ SegmentJob& block_job() {
  static_assert(sizeof(SegmentJob) <= ScorePlan::kBytes);  // where the general form has scores
  return *reinterpret_cast<SegmentJob*>(shared_block + SharedPlan::kScore);
}

// Segments of a chain of so many chunks: the first has 2 L of them, each other L.
__device__ __forceinline__ int count_segments(const Segments& s, int chunks) {
  return max((chunks + s.chunks - 1) / s.chunks - 1, 1);
}
// Chunks of a chain before a segment.
__device__ __forceinline__ int begin_of_segment(const Segments& s, int segment) {
  return segment == 0 ? 0 : (segment + 1) * s.chunks;
}

// A row of a line in which a lane has the jobs of two chains, 2 lane and 2 lane + 1.
struct JobsOfChains {
  int of[2];
};
struct PlaceInLine {
  int chain;  // -1: not in this line
  int index;  // among the jobs of this chain
  int total;  // of the line
};
// The number of jobs of all lanes before this one. By a warp, as the two that follow.
__device__ __forceinline__ int count_before(const JobsOfChains& jobs) {
  const int own = jobs.of[0] + jobs.of[1];
  int inclusive = own;
  for (int step = 1; step < 32; step *= 2) {
    const int other = __shfl_up_sync(0xffffffffu, inclusive, step);
    if (lane_index() >= step) inclusive += other;
  }
  return inclusive - own;
}
__device__ __forceinline__ PlaceInLine find_in_line(const JobsOfChains& jobs, int number) {
  const int before = count_before(jobs);
  const int end = before + jobs.of[0] + jobs.of[1];
  const int second = number - before - jobs.of[0];  // among those of the lane's second chain
  const std::uint32_t owners = __ballot_sync(0xffffffffu, number >= before && number < end);
  const int owner = max(__ffs(static_cast<int>(owners)) - 1, 0);
  const int chain = 2 * lane_index() + (second >= 0 ? 1 : 0);
  const int index = second >= 0 ? second : number - before;
  return {.chain = owners == 0 ? -1 : __shfl_sync(0xffffffffu, chain, owner),
          .index = __shfl_sync(0xffffffffu, index, owner),
          .total = __shfl_sync(0xffffffffu, end, 31)};
}
// What belongs to chain `chain`, if the lane of each two has `x`.
__device__ __forceinline__ int value_of_chain(const JobsOfChains& x, int chain) {
  const int mine = chain % 2 == 0 ? x.of[0] : x.of[1];
  return __shfl_sync(0xffffffffu, mine, chain / 2);
}

// Job number `number`, and the index of its segment. By a warp.
struct NumberedJob {
  SegmentJob job;
  int segment;
};
__device__ __forceinline__ NumberedJob find_job(const FusedParams& p, int number) {
  const unsigned long long left = block_left();
  JobsOfChains segments = {};
  JobsOfChains summaries = {};
  JobsOfChains merges = {};
  JobsOfChains reruns = {};
  for (int i = 0; i < 2; ++i) {
    const int chain = 2 * lane_index() + i;
    if ((left >> chain & 1) == 0) continue;
    segments.of[i] = count_segments(p.segments, chain_of_bit(p, chain).chunks());
    reruns.of[i] = segments.of[i] - 1;
    merges.of[i] = segments.of[i] > 1 ? p.segments.parts : 0;
    summaries.of[i] = max(reruns.of[i], 1);
  }
  JobKind kind = JobKind::kSummaries;
  PlaceInLine at = find_in_line(summaries, number);
  if (at.chain < 0) {
    number -= at.total;
    kind = JobKind::kMerge;
    at = find_in_line(merges, number);
  }
  if (at.chain < 0) {
    number -= at.total;
    kind = JobKind::kRerun;
    at = find_in_line(reruns, number);
  }
  if (at.chain < 0) return {.job = {.kind = JobKind::kNone}, .segment = 0};
  // Slots are those of segments that a rerun follows.
  const int before = count_before(reruns);
  const int slot = value_of_chain({{before, before + reruns.of[0]}}, at.chain);
  return {.job = {.kind = kind,
                  .chain = at.chain,
                  .slot = slot,
                  .segments = value_of_chain(segments, at.chain),
                  .part = at.index},
          .segment = kind == JobKind::kRerun ? at.index + 1 : at.index};
}

// Lists the items of a job; how many there are. By one thread.
__device__ __forceinline__ int list_segment(const FusedParams& p, const NumberedJob& numbered) {
  const SegmentJob& job = numbered.job;
  if (job.kind == JobKind::kNone || job.kind == JobKind::kMerge) return 0;
  const int s = numbered.segment;
  WorkItem item = chain_of_bit(p, job.chain);
  const int begin = begin_of_segment(p.segments, s) * kChunk;
  const bool is_last = s + 1 == job.segments;
  item.begin = begin;
  item.first += begin;
  item.length = (is_last ? item.length : begin_of_segment(p.segments, s + 1) * kChunk) - begin;
  item.slot = job.slot + s;
  item.chain = job.chain;
  if (s > 0) item.source = Source::kSegment;
  if (!is_last) item.sink = job.kind == JobKind::kRerun ? Sink::kNowhere : Sink::kSegment;
  if (job.kind == JobKind::kRerun || s == 0) {
    listed_item(0) = item;
    return 1;
  }
  item.replay = item.chunks();  // its outputs are those of the rerun
  item.source = Source::kZero;
  listed_item(0) = item;
  item.source = Source::kIdentity;
  item.sink = Sink::kMap;
  listed_item(1) = item;
  return 2;
}

// --- counters

// A warp's arrival, after what its lanes wrote.
__device__ __forceinline__ void count_warp(std::uint32_t* counter) {
  __syncwarp();
  if (lane_index() == 0) add_release(counter, 1u);
}
inline constexpr int kStateWarps = kHandoverFlags;  // that write or merge a state

// Arrivals of all summaries of a chain: one state of its first segment, two of each that follows.
__device__ __forceinline__ int count_summaries(int segments) {
  return kStateWarps * (2 * segments - 3);
}

// Of the states or the maps: [slots, 128, 128].
__device__ __forceinline__ float* matrix_of_slot(float* matrices, int slot) {
  return matrices + static_cast<std::int64_t>(slot) * kHandoverFloats;
}

}  // namespace flash_kda::cuda::sm90
