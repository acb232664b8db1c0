// recurrence: carries the state of one (sequence, head) from chunk to chunk. Every warp owns 16
// value rows; a block of one to eight warps shares the stream of chunk images.
#include <cuda_runtime.h>

#include "cuda/two_kernel/checkpoints.cuh"
#include "cuda/two_kernel/image_ring.cuh"
#include "cuda/two_kernel/launch.hpp"
#include "cuda/two_kernel/recurrence_stages.cuh"
#include "cuda/two_kernel/segments.cuh"

namespace flash_kda::cuda {
namespace {

// What a launch computes. A summary follows V value rows from a zero state and K virtual rows
// without values from the identity: together the affine map of a segment (E12).
enum class Pass : int { kOutput, kSummary };
enum class Keep : int { kFinalOnly, kCheckpoints };

inline constexpr int kMaxWarps = 8;

// Two blocks of eight warps hide each other's latency where registers allow, 128 a thread; storing
// checkpoints needs a few more.
template <Keep kKeep>
inline constexpr int kMinBlocks = kKeep == Keep::kCheckpoints ? 1 : 2;

template <int kK, Keep kKeep>
struct RecurrenceStorage {
  static constexpr bool kSide = kKeep == Keep::kCheckpoints;
  RingStorage<ChunkImage<kK>::kBytes> ring;
  alignas(128) std::byte side_image[kSide ? ChunkImage<kK>::kBytes : 16];
};

// One block's share of the work.
struct Job {
  std::int64_t n;      // sequence
  std::int64_t place;  // segment place; unused when sequences are whole
  int head;
  std::int64_t v_begin;  // first value row of this warp
  SequencePlace sequence;
  int chunk_begin;
  int chunk_end;

  __device__ bool is_last() const { return chunk_end >= sequence.chunks(); }
};

__device__ __forceinline__ Job make_job(const RecurrenceParams& p, int value_rows) {
  const int rows_per_block = static_cast<int>(blockDim.x) / 32 * kRowsPerWarp;
  const int blocks_per_head = value_rows / rows_per_block;
  const std::int64_t pair = blockIdx.x / blocks_per_head;
  Job job;
  job.place = pair / p.v_heads;
  job.head = static_cast<int>(pair - job.place * p.v_heads);
  job.v_begin = static_cast<std::int64_t>(blockIdx.x - pair * blocks_per_head) * rows_per_block +
                static_cast<int>(threadIdx.x) / 32 * kRowsPerWarp;
  if (p.segment_chunks == 0) {
    job.n = job.place;
    job.sequence = place_of_sequence(p.sequences, job.n);
    job.chunk_begin = 0;
    job.chunk_end = job.sequence.chunks();
  } else {
    const SegmentPlace segment = place_of_segment(p.sequences, p.segment_chunks, job.place);
    job.n = segment.n;
    job.sequence = segment.sequence;
    job.chunk_begin = segment.chunk_begin;
    job.chunk_end = segment.chunk_end;
  }
  return job;
}

// Rows from V on are the identity's.
template <int kK>
__device__ __forceinline__ void start_from_identity(std::int64_t row_begin, StateTiles<kK>& state) {
#pragma unroll
  for (int tile = 0; tile < kK / 8; ++tile) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const std::int64_t row = row_begin + value_row(i / 2);
      const int column = 8 * tile + 2 * (static_cast<int>(threadIdx.x) & 3) + i % 2;
      state[tile].d[i] = row == column ? 1.0f : 0.0f;
    }
  }
}

// Stores the state after `count` tokens of a chunk, from the state before it, which stays as it is.
template <int kK>
__device__ __forceinline__ void store_side_checkpoint(const StateTiles<kK>& state,
                                                      const ValueRows& values,
                                                      const std::byte* image,
                                                      const StatePlace& place,
                                                      std::int64_t v_begin) {
  TokenTiles by_keys;
  TokenTiles unused;
  const std::uint32_t address = shared_address(image);
  multiply_state<kK, Queries::kSkip>(state, address, by_keys, unused);
  const OperandA u = delta_values<kK>(values, by_keys, image);
#pragma unroll
  for (int step = 0; step < kK / 16; ++step) {
    Accumulator left = state[2 * step];
    Accumulator right = state[2 * step + 1];
    update_state_step<kK>(left, right, u, image, step);
    store_state_tile(place, v_begin, 2 * step, left);
    store_state_tile(place, v_begin, 2 * step + 1, right);
  }
}

template <int kK, Keep kKeep>
class Checkpointer {
 public:
  __device__ Checkpointer(const RecurrenceParams& p, const Job& job,
                          RecurrenceStorage<kK, kKeep>& storage)
      : p_(p), job_(job), storage_(storage) {}

  // Checkpoints strictly inside chunk i, before its update.
  __device__ void inside_chunk(int i, const StateTiles<kK>& state) {
    for_checkpoints(p_.checkpoints, job_.sequence.length, job_.n, i * kChunk, end_of(i) - 1,
                    [&](int e, int offset) {
                      const StatePlace place =
                          checkpoint_place(p_.sequences, p_.checkpoints, job_.n, e, job_.head);
                      if (place.data == nullptr) return;
                      load_side_image(e);
                      const std::int64_t v_at =
                          row_start(p_.v, job_.sequence.batch_row, job_.sequence.first + i * kChunk,
                                    job_.head) +
                          job_.v_begin;
                      store_side_checkpoint<kK>(state, load_values(p_.v, v_at, offset - i * kChunk),
                                                storage_.side_image, place, job_.v_begin);
                    });
  }

  // Checkpoints at the end of chunk i, after its update.
  __device__ void after_chunk(int i, const StateTiles<kK>& state) {
    for_checkpoints(
        p_.checkpoints, job_.sequence.length, job_.n, end_of(i) - 1, end_of(i), [&](int e, int) {
          store_state(checkpoint_place(p_.sequences, p_.checkpoints, job_.n, e, job_.head),
                      job_.v_begin, state);
        });
  }

 private:
  __device__ int end_of(int i) const {
    const int end = (i + 1) * kChunk;
    return end < job_.sequence.length ? end : job_.sequence.length;
  }

  __device__ void load_side_image(int e) {
    const std::int64_t slot = side_slot(p_.sequences, p_.checkpoints, job_.n, e);
    const auto* from = reinterpret_cast<const uint4*>(p_.images + (slot * p_.v_heads + job_.head) *
                                                                      ChunkImage<kK>::kBytes);
    auto* to = reinterpret_cast<uint4*>(storage_.side_image);
    __syncthreads();  // readers of the side image before this one are done
    for (int at = static_cast<int>(threadIdx.x); at < ChunkImage<kK>::kBytes / 16;
         at += static_cast<int>(blockDim.x)) {
      to[at] = from[at];
    }
    __syncthreads();
  }

  const RecurrenceParams& p_;
  const Job& job_;
  RecurrenceStorage<kK, kKeep>& storage_;
};

template <int kK, Pass kPass, Keep kKeep>
__global__ void __launch_bounds__(kMaxWarps * 32, kMinBlocks<kKeep>)
    recurrence_kernel(const __grid_constant__ RecurrenceParams p) {
  extern __shared__ __align__(128) std::byte shared_bytes[];
  auto& storage = *reinterpret_cast<RecurrenceStorage<kK, kKeep>*>(shared_bytes);
  constexpr Queries kQueries = kPass == Pass::kOutput ? Queries::kMultiply : Queries::kSkip;
  if (!begin_chains(p.chains, kPass == Pass::kOutput ? p.fused_end : FusedEnd{})) return;

  const int summary_rows = p.head_dim_v + kK;
  const Job job = make_job(p, kPass == Pass::kOutput ? p.head_dim_v : summary_rows);
  if (job.chunk_begin > job.chunk_end) return;           // no segment lies at this place
  if (kPass == Pass::kSummary && job.is_last()) return;  // nobody follows it
  if (!has_chain(p.chains, job.n, p.v_heads, job.head)) return;

  const std::int64_t image_pitch = static_cast<std::int64_t>(p.v_heads) * ChunkImage<kK>::kBytes;
  const std::byte* images = p.images + (job.sequence.chunk_base + job.chunk_begin) * image_pitch +
                            static_cast<std::int64_t>(job.head) * ChunkImage<kK>::kBytes;
  const int chunks = job.chunk_end - job.chunk_begin;
  ImageRing<ChunkImage<kK>::kBytes> ring(storage.ring, images, image_pitch, chunks);
  ring.start();

  StateTiles<kK> state;
  const bool has_values = job.v_begin < p.head_dim_v;
  if (kPass == Pass::kSummary) {
    if (!has_values) start_from_identity<kK>(job.v_begin - p.head_dim_v, state);
  } else if (p.segment_chunks == 0) {
    load_state(initial_place(p.states, job.n, job.head), job.v_begin, state);
  } else {
    load_state(workspace_place<kK>(p.segment_entry, job.place, job.head, p.v_heads, p.head_dim_v),
               job.v_begin, state);
  }

  // Rows of the current chunk: elements from the tensors' starts, and tokens left from there on.
  const std::int64_t token = job.sequence.first + job.chunk_begin * kChunk;
  std::int64_t v_at = row_start(p.v, job.sequence.batch_row, token, job.head) + job.v_begin;
  std::int64_t out_at = row_start(p.out, job.sequence.batch_row, token, job.head) + job.v_begin;
  int left = job.sequence.length - job.chunk_begin * kChunk;

  Checkpointer<kK, kKeep> checkpointer(p, job, storage);
  ValueRows values = load_values(p.v, v_at, has_values ? left : 0);
  for (int i = 0; i < chunks; ++i) {
    const std::byte* image = ring.acquire(i);
    const std::uint32_t address = shared_address(image);
    if constexpr (kKeep == Keep::kCheckpoints) {
      checkpointer.inside_chunk(job.chunk_begin + i, state);
    }
    TokenTiles by_keys;
    TokenTiles by_queries;
    multiply_state<kK, kQueries>(state, address, by_keys, by_queries);
    const OperandA u = delta_values<kK>(values, by_keys, image);
    // The next chunk's values travel while this chunk is finished.
    v_at += kChunk * p.v.token_stride;
    values = load_values(p.v, v_at, has_values && i + 1 < chunks ? left - kChunk : 0);
    if constexpr (kPass == Pass::kOutput) {
      chunk_output<kK>(by_queries, u, address, p.out, out_at, left);
      out_at += kChunk * p.out.token_stride;
    }
    left -= kChunk;
    update_state<kK>(state, u, image);
    ring.release(i);
    if constexpr (kKeep == Keep::kCheckpoints) {
      checkpointer.after_chunk(job.chunk_begin + i, state);
    }
  }

  if constexpr (kPass == Pass::kSummary) {
    store_state(
        workspace_place<kK>(p.segment_summary, job.place, job.head, p.v_heads, summary_rows),
        job.v_begin, state);
  } else if (job.is_last()) {
    store_state(final_place(p.states, job.n, job.head), job.v_begin, state);
  }
  release_next_kernel();
}

template <int kK, Pass kPass, Keep kKeep>
cudaError_t launch_pass(const RecurrenceParams& params, int value_rows, int rows_per_block,
                        std::int64_t pieces, const LaunchContext& context) {
  LaunchShape shape;
  shape.grid = dim3(static_cast<unsigned>(pieces * params.v_heads * (value_rows / rows_per_block)));
  shape.block = dim3(static_cast<unsigned>(rows_per_block / kRowsPerWarp * 32));
  shape.shared_bytes = sizeof(RecurrenceStorage<kK, kKeep>);
  return launch(recurrence_kernel<kK, kPass, kKeep>, shape, context, params);
}

}  // namespace

cudaError_t launch_recurrence(const RecurrenceParams& params, int head_dim_k, int rows_per_block,
                              std::int64_t pieces, const LaunchContext& context) {
  if (pieces == 0) return cudaSuccess;
  const bool keep = params.checkpoints.kind != CheckpointKind::kNone;
  const auto launcher = head_dim_k == 128
                            ? (keep ? &launch_pass<128, Pass::kOutput, Keep::kCheckpoints>
                                    : &launch_pass<128, Pass::kOutput, Keep::kFinalOnly>)
                            : (keep ? &launch_pass<64, Pass::kOutput, Keep::kCheckpoints>
                                    : &launch_pass<64, Pass::kOutput, Keep::kFinalOnly>);
  return launcher(params, params.head_dim_v, rows_per_block, pieces, context);
}

cudaError_t launch_summaries(const RecurrenceParams& params, int head_dim_k, int rows_per_block,
                             std::int64_t pieces, const LaunchContext& context) {
  const int rows = params.head_dim_v + head_dim_k;
  return head_dim_k == 128 ? launch_pass<128, Pass::kSummary, Keep::kFinalOnly>(
                                 params, rows, rows_per_block, pieces, context)
                           : launch_pass<64, Pass::kSummary, Keep::kFinalOnly>(
                                 params, rows, rows_per_block, pieces, context);
}

}  // namespace flash_kda::cuda
