// recurrent: token by token in fp32, for decode and short residuals, where chunks would be mostly
// empty. A block owns 32 value rows of one (sequence, head); K / 16 neighbouring lanes share a row,
// 16 state columns each.
#include <cuda_runtime.h>

#include "cuda/common/async_copy.cuh"
#include "cuda/two_kernel/checkpoints.cuh"
#include "cuda/two_kernel/gates.cuh"
#include "cuda/two_kernel/launch.hpp"
#include "cuda/two_kernel/row_io.cuh"
#include "cuda/two_kernel/state_io.cuh"

namespace flash_kda::cuda {
namespace {

inline constexpr int kThreads = 128;
inline constexpr int kWarps = kThreads / 32;
inline constexpr int kBlockRows = 32;
inline constexpr int kTokensAtOnce = 8;  // two tokens a warp between two barriers

template <int kK>
struct RecurrentStorage {
  float q[kTokensAtOnce][kK];
  float k[kTokensAtOnce][kK];
  float decay[kTokensAtOnce][kK];
  float beta[kTokensAtOnce];
  float v[kTokensAtOnce][kBlockRows];
};

// How the threads of a block share its [32, K] part of the state.
template <int kK>
struct Share {
  static constexpr int kLanes = kK / 16;                  // that share a row
  static constexpr int kRowsAtOnce = kThreads / kLanes;   // of the block
  static constexpr int kRows = kBlockRows / kRowsAtOnce;  // of a thread
  static constexpr int kQuads = 4;                        // groups of 4 columns of a thread
  static __device__ int row(int i) {
    return static_cast<int>(threadIdx.x) / kLanes + i * kRowsAtOnce;
  }
  static __device__ int column(int quad) {
    return 4 * (static_cast<int>(threadIdx.x) % kLanes + kLanes * quad);
  }
};

__device__ __forceinline__ float sum_over_lanes(float x, int lanes) {
  for (int step = lanes / 2; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
  return x;
}

// E1, E2 for one token, by one warp.
template <int kK>
__device__ __forceinline__ void activate_token(const TokenInputs& in, std::int64_t batch_row,
                                               std::int64_t token, std::int64_t head, int slot,
                                               RecurrentStorage<kK>& shared) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const std::int64_t qk_head = head / in.heads_per_qk_head;
  const std::int64_t q_at = row_start(in.q, batch_row, token, qk_head);
  const std::int64_t k_at = row_start(in.k, batch_row, token, qk_head);
  const std::int64_t g_at = row_start(in.g, batch_row, token, head);
  const GateHead gate = make_gate_head(in, head);
  float q[kK / 32];
  float k[kK / 32];
  float q_squares = 0.0f;
  float k_squares = 0.0f;
#pragma unroll
  for (int i = 0; i < kK / 32; ++i) {
    const int column = lane + 32 * i;
    q[i] = load_scalar(in.q, q_at + column);
    k[i] = load_scalar(in.k, k_at + column);
    q_squares += q[i] * q[i];
    k_squares += k[i] * k[i];
    const float g = load_scalar(in.g, g_at + column) + load_bias(in, head * kK + column);
    shared.decay[slot][column] = exp2_approx(activate_gate(gate, g));
  }
  const bool norm = in.qk_norm == QkNorm::kL2;
  const float q_factor = norm ? rsqrt_approx(sum_over_lanes(q_squares, 32) + 1e-6f) : 1.0f;
  const float k_factor = norm ? rsqrt_approx(sum_over_lanes(k_squares, 32) + 1e-6f) : 1.0f;
#pragma unroll
  for (int i = 0; i < kK / 32; ++i) {
    shared.q[slot][lane + 32 * i] = q[i] * q_factor * in.scale;
    shared.k[slot][lane + 32 * i] = k[i] * k_factor;
  }
  if (lane == 0) shared.beta[slot] = load_beta(in, batch_row, token, head);
}

// The recurrence of one token (E0) on this thread's part of the state.
template <int kK>
__device__ __forceinline__ void step_token(float (&state)[Share<kK>::kRows][16],
                                           const RecurrentStorage<kK>& shared, int slot,
                                           float (&out)[Share<kK>::kRows]) {
  using S = Share<kK>;
#pragma unroll
  for (int i = 0; i < S::kRows; ++i) {
    float predicted = 0.0f;
#pragma unroll
    for (int quad = 0; quad < S::kQuads; ++quad) {
      const float4 decay = *reinterpret_cast<const float4*>(&shared.decay[slot][S::column(quad)]);
      const float4 k = *reinterpret_cast<const float4*>(&shared.k[slot][S::column(quad)]);
      float* s = &state[i][4 * quad];
      s[0] *= decay.x;
      s[1] *= decay.y;
      s[2] *= decay.z;
      s[3] *= decay.w;
      predicted += s[0] * k.x + s[1] * k.y + s[2] * k.z + s[3] * k.w;
    }
    predicted = sum_over_lanes(predicted, S::kLanes);
    const float delta = shared.beta[slot] * (shared.v[slot][S::row(i)] - predicted);
    float sum = 0.0f;
#pragma unroll
    for (int quad = 0; quad < S::kQuads; ++quad) {
      const float4 k = *reinterpret_cast<const float4*>(&shared.k[slot][S::column(quad)]);
      const float4 q = *reinterpret_cast<const float4*>(&shared.q[slot][S::column(quad)]);
      float* s = &state[i][4 * quad];
      s[0] += delta * k.x;
      s[1] += delta * k.y;
      s[2] += delta * k.z;
      s[3] += delta * k.w;
      sum += s[0] * q.x + s[1] * q.y + s[2] * q.z + s[3] * q.w;
    }
    out[i] = sum_over_lanes(sum, S::kLanes);
  }
}

template <int kK>
__device__ __forceinline__ void load_rows(const StatePlace& place, std::int64_t v_begin,
                                          float (&state)[Share<kK>::kRows][16]) {
  using S = Share<kK>;
#pragma unroll
  for (int i = 0; i < S::kRows; ++i) {
#pragma unroll
    for (int pair = 0; pair < 8; ++pair) {
      const float2 x =
          place.data == nullptr
              ? float2{0.0f, 0.0f}
              : load_state_pair(place, v_begin + S::row(i), S::column(pair / 2) + 2 * (pair % 2));
      state[i][2 * pair] = x.x;
      state[i][2 * pair + 1] = x.y;
    }
  }
}

template <int kK>
__device__ __forceinline__ void store_rows(const StatePlace& place, std::int64_t v_begin,
                                           const float (&state)[Share<kK>::kRows][16]) {
  using S = Share<kK>;
  if (place.data == nullptr) return;
#pragma unroll
  for (int i = 0; i < S::kRows; ++i) {
#pragma unroll
    for (int pair = 0; pair < 8; ++pair) {
      store_state_pair(place, v_begin + S::row(i), S::column(pair / 2) + 2 * (pair % 2),
                       state[i][2 * pair], state[i][2 * pair + 1]);
    }
  }
}

template <int kK>
__global__ void __launch_bounds__(kThreads)
    recurrent_kernel(const __grid_constant__ RecurrentParams p) {
  using S = Share<kK>;
  __shared__ alignas(16) RecurrentStorage<kK> shared;
  wait_for_previous_kernel();
  release_next_kernel();

  const int blocks_per_head = p.head_dim_v / kBlockRows;
  const std::int64_t pair = blockIdx.x / blocks_per_head;
  const std::int64_t v_begin = (blockIdx.x - pair * blocks_per_head) * kBlockRows;
  const std::int64_t n = pair / p.inputs.v_heads;
  const std::int64_t head = pair - n * p.inputs.v_heads;
  const SequencePlace sequence = place_of_sequence(p.sequences, n);

  float state[S::kRows][16];
  load_rows<kK>(initial_place(p.states, n, head), v_begin, state);

  for (int start = 0; start < sequence.length; start += kTokensAtOnce) {
    const int left = sequence.length - start;
    const int count = left < kTokensAtOnce ? left : kTokensAtOnce;
    for (int slot = static_cast<int>(threadIdx.x) / 32; slot < count; slot += kWarps) {
      const std::int64_t token = sequence.first + start + slot;
      activate_token<kK>(p.inputs, sequence.batch_row, token, head, slot, shared);
      const int lane = static_cast<int>(threadIdx.x) % 32;
      const std::int64_t v_at = row_start(p.v, sequence.batch_row, token, head);
      shared.v[slot][lane] = load_scalar(p.v, v_at + v_begin + lane);
    }
    __syncthreads();  // the tokens are activated
    for (int slot = 0; slot < count; ++slot) {
      float out[S::kRows];
      step_token<kK>(state, shared, slot, out);
      if (threadIdx.x % S::kLanes == 0) {
        const std::int64_t out_at =
            row_start(p.out, sequence.batch_row, sequence.first + start + slot, head) + v_begin;
#pragma unroll
        for (int i = 0; i < S::kRows; ++i) {
          store_scalar(p.out, out_at + S::row(i), out[i]);
        }
      }
      if (p.checkpoints.kind == CheckpointKind::kNone) continue;
      for_checkpoints(p.checkpoints, sequence.length, n, start + slot, start + slot + 1,
                      [&](int e, int) {
                        store_rows<kK>(checkpoint_place(p.sequences, p.checkpoints, n, e, head),
                                       v_begin, state);
                      });
    }
    __syncthreads();  // the tokens are used up
  }
  store_rows<kK>(final_place(p.states, n, head), v_begin, state);
}

}  // namespace

cudaError_t launch_recurrent(const RecurrentParams& params, int head_dim_k,
                             const LaunchContext& context) {
  LaunchShape shape;
  shape.grid = dim3(static_cast<unsigned>(params.sequences.num_sequences * params.inputs.v_heads *
                                          (params.head_dim_v / kBlockRows)));
  shape.block = dim3(kThreads);
  return head_dim_k == 128 ? launch(recurrent_kernel<128>, shape, context, params)
                           : launch(recurrent_kernel<64>, shape, context, params);
}

}  // namespace flash_kda::cuda
