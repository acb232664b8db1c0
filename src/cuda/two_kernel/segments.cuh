// Sequences cut into segments of L chunks. Segments of all sequences are numbered in one line of
// places, like chunks: sequence n starts at place floor(chunk_base / L) + n.
#pragma once

#include <cstdint>

#include "cuda/two_kernel/sequence.cuh"
#include "cuda/two_kernel/state_io.cuh"

namespace flash_kda::cuda {

__device__ __forceinline__ std::int64_t segment_base(const SequenceMap& map, int segment_chunks,
                                                     std::int64_t n) {
  const std::int64_t chunk_base =
      map.cu_seqlens.data == nullptr ? n * map.chunks_per_row : first_token(map, n) / kChunk + n;
  return chunk_base / segment_chunks + n;
}

struct SegmentPlace {
  std::int64_t n;
  SequencePlace sequence;
  int chunk_begin;
  int chunk_end;  // below chunk_begin: no segment lies at this place
};

// An empty sequence has one segment of no chunks, which carries its state through.
__device__ __forceinline__ SegmentPlace place_of_segment(const SequenceMap& map, int segment_chunks,
                                                         std::int64_t place) {
  SegmentPlace segment;
  segment.n = search_sequence(map.num_sequences, place,
                              [&](std::int64_t i) { return segment_base(map, segment_chunks, i); });
  segment.sequence = place_of_sequence(map, segment.n);
  const auto index = static_cast<int>(place - segment_base(map, segment_chunks, segment.n));
  const int chunks = segment.sequence.chunks();
  segment.chunk_begin = index * segment_chunks;
  segment.chunk_end =
      segment.chunk_begin + segment_chunks < chunks ? segment.chunk_begin + segment_chunks : chunks;
  const bool exists = segment.chunk_begin < chunks || index == 0;
  if (!exists) segment.chunk_end = segment.chunk_begin - 1;
  return segment;
}

// Rows of a segment's entry state or summary in the workspace, [places, HV, rows, K] fp32.
template <int kK>
__device__ __forceinline__ StatePlace workspace_place(float* data, std::int64_t place,
                                                      std::int64_t head, std::int64_t v_heads,
                                                      std::int64_t rows) {
  return {data, DType::kF32, Alignment::kVector, (place * v_heads + head) * rows * kK, kK, 1};
}

}  // namespace flash_kda::cuda
