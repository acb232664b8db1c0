// What the recurrence's warps do of a merge (segments.cuh): some value rows of the states before
// the segments of a chain, one after the other (E14),
//   entry[s + 1] = entry[s] M_s + F_s,
// in fp32 throughout: the transitions are chained, and their rounding would compound. Rows of a
// state do not need each other, so each block has its own, and reads all of every M.
#pragma once

#include "cuda/sm90/segments.cuh"

namespace flash_kda::cuda::sm90 {

// Every warp multiplies kMergeRows rows of the state at a time by its rows of M, four columns a
// lane, and then adds up what all warps have for one row.
inline constexpr int kMergeWarps = 2 * kWarpgroup / 32;
inline constexpr int kMergeDepth = kDim / kMergeWarps;
static_assert(kMergeRows == kMergeWarps && kDim == 4 * 32);

// Where stages are while there are chunks; barriers of M are the first of theirs.
struct MergePlan {
  static constexpr std::uint32_t kRow = kDim * sizeof(float);
  static constexpr std::uint32_t kMapBytes = kDim * kRow;
  static constexpr std::uint32_t kMap = SharedPlan::kStage;      // 2 x [128][128]
  static constexpr std::uint32_t kEntry = kMap + 2 * kMapBytes;  // [rows][128]
  static constexpr std::uint32_t kSums = kEntry + kDim / kMinMergeParts * kRow;
  static constexpr std::uint32_t kSumBytes = kMergeRows * kRow;  // of a warp
  static_assert(kSums + kMergeWarps * kSumBytes <= SharedPlan::kOut);
  static constexpr std::uint32_t kFull = SharedPlan::kRaw;  // [1 + bytes]
};

// M number `count` of this chain, from 0, on its way to shared memory. By one thread.
__device__ __forceinline__ void load_map(std::uint32_t shared, int count, const float* map) {
  const std::uint32_t full = shared + MergePlan::kFull + 8 * (count % 2);
  arrive_expecting_at(full, MergePlan::kMapBytes);
  copy_block_async(shared + MergePlan::kMap + count % 2 * MergePlan::kMapBytes, map,
                   MergePlan::kMapBytes, full);
}

__device__ __forceinline__ void add_product(float x, float4 m, float4& sum) {
  sum = {fmaf(x, m.x, sum.x), fmaf(x, m.y, sum.y), fmaf(x, m.z, sum.z), fmaf(x, m.w, sum.w)};
}

struct MergeWarp {
  std::uint32_t shared;
  int warp;

  __device__ __forceinline__ explicit MergeWarp(std::uint32_t shared)
      : shared(shared), warp(recurrence_thread() / 32) {}

  __device__ __forceinline__ std::uint32_t entry(int row) const {
    return shared + MergePlan::kEntry + row * MergePlan::kRow;
  }
  // Of a warp for row `v` of kMergeRows.
  __device__ __forceinline__ std::uint32_t sum(int of_warp, int v) const {
    return shared + MergePlan::kSums + of_warp * MergePlan::kSumBytes + v * MergePlan::kRow;
  }

  // Four columns of a row, those of the lane.
  __device__ __forceinline__ float4 load_four(std::uint32_t row) const {
    return load_shared_4(row + 16 * fresh_lane());
  }
  __device__ __forceinline__ void store_four(std::uint32_t row, float4 x) const {
    store_shared_4(row + 16 * fresh_lane(), x.x, x.y, x.z, x.w);
  }

  // This warp's sums for rows `first`, ... of entry M.
  __device__ __forceinline__ void multiply(int first, std::uint32_t map) const {
    std::uint32_t m = map + warp * kMergeDepth * MergePlan::kRow;
    std::uint32_t x = entry(first) + 4 * warp * kMergeDepth;
    float4 sums[kMergeRows] = {};
#pragma unroll 2
    for (int k = 0; k < kMergeDepth; k += 4, m += 4 * MergePlan::kRow, x += 16) {
      float4 of_m[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) of_m[i] = load_four(m + i * MergePlan::kRow);
#pragma unroll
      for (int v = 0; v < kMergeRows; ++v) {
        const float4 of_x = load_shared_4(x + v * MergePlan::kRow);
        add_product(of_x.x, of_m[0], sums[v]);
        add_product(of_x.y, of_m[1], sums[v]);
        add_product(of_x.z, of_m[2], sums[v]);
        add_product(of_x.w, of_m[3], sums[v]);
      }
    }
#pragma unroll
    for (int v = 0; v < kMergeRows; ++v) store_four(sum(warp, v), sums[v]);
  }

  // Row `first` + warp of entry M, of all warps' sums, and of F.
  __device__ __forceinline__ float4 add_sums(float4 f) const {
#pragma unroll
    for (int w = 0; w < kMergeWarps; ++w) {
      const float4 x = load_four(sum(w, warp));
      f = {f.x + x.x, f.y + x.y, f.z + x.z, f.w + x.w};
    }
    return f;
  }
};

__device__ __forceinline__ void run_merge(const Segments& s, std::uint32_t shared) {
  const SegmentJob job = block_job();
  const MergeWarp merge(shared);
  const bool loads = merge.warp == 0 && fresh_lane() == 0;
  const int maps = job.segments - 2;  // of the first segment and the last nobody needs one
  const auto map_of = [&](int count) { return matrix_of_slot(s.maps, job.slot + 1 + count); };
  // Four columns of a row of the block's.
  const auto row_of = [&](int slot, int row) {
    return reinterpret_cast<float4*>(matrix_of_slot(s.states, slot) +
                                     (job.part * s.rows + row) * kDim) +
           fresh_lane();
  };
  wait_for_warps(s.done + job.chain, count_summaries(job.segments));
  if (loads) {
    observe_async_proxy();  // copies read what other blocks have written with ordinary stores
    for (int count = 0; count < min(maps, 2); ++count) load_map(shared, count, map_of(count));
  }
#pragma unroll 1
  for (int row = merge.warp; row < s.rows; row += kMergeWarps) {
    merge.store_four(merge.entry(row), *row_of(job.slot, row));
  }
  sync_threads(kMergeBarrier, kMergeWarps * 32);
#pragma unroll 1
  for (int count = 0; count < maps; ++count) {
    const int slot = job.slot + 1 + count;
    wait_at(shared + MergePlan::kFull + 8 * (count % 2), count / 2 % 2);
#pragma unroll 1
    for (int first = 0; first < s.rows; first += kMergeRows) {
      float4* row = row_of(slot, first + merge.warp);
      const float4 f = *row;  // on its way meanwhile
      merge.multiply(first, shared + MergePlan::kMap + count % 2 * MergePlan::kMapBytes);
      sync_threads(kMergeBarrier, kMergeWarps * 32);  // all sums are there
      const float4 next = merge.add_sums(f);
      *row = next;
      merge.store_four(merge.entry(first + merge.warp), next);
      sync_threads(kMergeBarrier, kMergeWarps * 32);  // the rows are there, and the sums are read
    }
    if (loads && count + 2 < maps) load_map(shared, count + 2, map_of(count + 2));
  }
  // Once for all segments: a release waits a microsecond for the stores before it, and reruns of
  // the first segments would end sooner than others, but not the last.
  count_warp(s.merged + job.chain);
}

}  // namespace flash_kda::cuda::sm90
