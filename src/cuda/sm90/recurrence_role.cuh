// A warpgroup that carries 64 value rows of the state through the chunks (E8, E10, E11).
//
// The state is the accumulator of its own update: S^T as [64 values][128 channels], fp32. Rounded,
// it is the left operand of the two products that read it, so it never leaves the registers.
#pragma once

#include "cuda/sm90/handover.cuh"
#include "cuda/sm90/pieces.cuh"
#include "cuda/sm90/ptx.cuh"
#include "cuda/sm90/scores.cuh"
#include "cuda/sm90/segments.cuh"
#include "cuda/sm90/smem_plan.cuh"
#include "cuda/sm90/wgmma.cuh"
#include "cuda/two_kernel/state_io.cuh"

namespace flash_kda::cuda::sm90 {

using StateTile = float[64];
using TokensTile = float[16];  // [64 values][32 tokens]

// Value row and first channel of pair `i` of the state.
__device__ __forceinline__ int state_row(int thread, int i) {
  return (thread / 32) * 16 + (thread % 32) / 4 + 8 * (i % 2);
}
__device__ __forceinline__ int state_channel(int thread, int i) {
  return 8 * (i / 2) + 2 * (thread % 4);
}

// Pairs of channels that can be loaded at once lie at constant distances from a thread's first, in
// rows v and v + 8. With an index for each pair, a block that begins or ends a chain would have to
// fetch 400 instructions for it, eight of them in 300 cycles. Of fp32 alone: with pairs of bf16 too
// the recurrence of the general form would spill.
template <typename Pair, typename Visit>
__device__ __forceinline__ void for_pairs(const StatePlace& place, Visit visit) {
  const int thread = recurrence_thread();
  const std::int64_t at =
      place.at + state_row(thread, 0) * place.v_stride + state_channel(thread, 0);
  Pair* rows[2];
  rows[0] = static_cast<Pair*>(place.data) + at / 2;
  rows[1] = rows[0] + 4 * place.v_stride;
#pragma unroll
  for (int i = 0; i < 32; ++i) visit(i, rows[i % 2][4 * (i / 2)]);
}

__device__ __forceinline__ void load_state(const StatePlace& place, StateTile& state) {
#pragma unroll
  for (int i = 0; i < 64; ++i) state[i] = 0.0f;
  if (place.data == nullptr) return;
  const auto set = [&](int i, float2 pair) {
    state[2 * i] = pair.x;
    state[2 * i + 1] = pair.y;
  };
  if (place.alignment == Alignment::kVector && place.dtype == DType::kF32) {
    for_pairs<const float2>(place, set);
  } else {
    const int thread = recurrence_thread();
#pragma unroll
    for (int i = 0; i < 32; ++i) {
      set(i, load_state_pair(place, state_row(thread, i), state_channel(thread, i)));
    }
  }
}

__device__ __forceinline__ void store_state(const StatePlace& place, const StateTile& state) {
  if (place.data == nullptr) return;
  if (place.alignment == Alignment::kVector && place.dtype == DType::kF32) {
    for_pairs<float2>(place, [&](int i, float2& pair) { pair = {state[2 * i], state[2 * i + 1]}; });
  } else {
    const int thread = recurrence_thread();
#pragma unroll
    for (int i = 0; i < 32; ++i) {
      store_state_pair(place, state_row(thread, i), state_channel(thread, i), state[2 * i],
                       state[2 * i + 1]);
    }
  }
}

// This warp's rows of a [32 tokens][64 values] half tile, as addresses for four 8x8 tiles: tokens
// 0-7 and 8-15 of values 0-7, then of values 8-15. 16 tokens further: + 2048.
__device__ __forceinline__ std::uint32_t value_tiles(std::uint32_t half_tile) {
  const std::uint32_t warp = threadIdx.x / 32 % 4;
  const std::uint32_t lane = static_cast<std::uint32_t>(lane_index());
  return half_tile + token_piece(lane % 16, 2 * warp + lane / 16);
}

// Factors of the lane's tokens 16 b + {2 t, 2 t + 1, 8 + 2 t, 9 + 2 t}, the columns of a
// TokensTile.
__device__ __forceinline__ float4 load_token_factors(std::uint32_t factors, int b) {
  const std::uint32_t at = factors + 64 * b + 8 * (lane_index() % 4);
  const float2 left = load_shared_2(at);
  const float2 right = load_shared_2(at + 32);
  return {left.x, left.y, right.x, right.y};
}

// The values of a chunk times beta n, and beta n^2 of its tokens. The first n of what a key
// predicts is in the inverse.
struct ScaledValues {
  TokensTile v;
  float4 key_scale[2];
};
__device__ __forceinline__ ScaledValues load_values(std::uint32_t half_tile, std::uint32_t stage) {
  ScaledValues w;
  const std::uint32_t address = value_tiles(half_tile);
#pragma unroll
  for (int b = 0; b < 2; ++b) {
    std::uint32_t v[4];
    load_tiles_transposed(v, address + b * 2048);
    const float4 f = load_token_factors(stage + StagePlan::kValueScale, b);
    float* x = w.v + 8 * b;
    x[0] = low_bf16(v[0]) * f.x, x[1] = high_bf16(v[0]) * f.y;
    x[2] = low_bf16(v[2]) * f.x, x[3] = high_bf16(v[2]) * f.y;
    x[4] = low_bf16(v[1]) * f.z, x[5] = high_bf16(v[1]) * f.w;
    x[6] = low_bf16(v[3]) * f.z, x[7] = high_bf16(v[3]) * f.w;
    w.key_scale[b] = load_token_factors(stage + StagePlan::kKeyScale, b);
  }
  return w;
}

// beta n v - beta n^2 k S, from k S; rounded, as the left operand of the next product. Not in
// place: ptxas serialises a kernel that writes accumulators while any wgmma runs.
__device__ __forceinline__ void subtract_predictions(const ScaledValues& values,
                                                     const TokensTile& predicted,
                                                     std::uint32_t (&operand)[8]) {
#pragma unroll
  for (int b = 0; b < 2; ++b) {
    const float4 f = values.key_scale[b];
    const float* v = values.v + 8 * b;
    const float* x = predicted + 8 * b;
    operand[4 * b + 0] = pack_bf16(fmaf(-f.x, x[0], v[0]), fmaf(-f.y, x[1], v[1]));
    operand[4 * b + 1] = pack_bf16(fmaf(-f.x, x[2], v[2]), fmaf(-f.y, x[3], v[3]));
    operand[4 * b + 2] = pack_bf16(fmaf(-f.z, x[4], v[4]), fmaf(-f.w, x[5], v[5]));
    operand[4 * b + 3] = pack_bf16(fmaf(-f.z, x[6], v[6]), fmaf(-f.w, x[7], v[7]));
  }
}

// E10, last step: queries were not normalised either.
__device__ __forceinline__ void store_outputs(std::uint32_t half_tile, std::uint32_t out_scale,
                                              const TokensTile& o) {
  const std::uint32_t address = value_tiles(half_tile);
#pragma unroll
  for (int b = 0; b < 2; ++b) {
    const float4 f = load_token_factors(out_scale, b);
    const float* x = o + 8 * b;
    const std::uint32_t tiles[4] = {
        pack_bf16(x[0] * f.x, x[1] * f.y), pack_bf16(x[4] * f.z, x[5] * f.w),
        pack_bf16(x[2] * f.x, x[3] * f.y), pack_bf16(x[6] * f.z, x[7] * f.w)};
    store_tiles_transposed(address + b * 2048, tiles);
  }
}

// Factors of the lane's channels: of columns 16 i + {2 t, 2 t + 1, 8 + 2 t, 9 + 2 t}.
struct ChannelFactors {
  float4 of[8];
};
__device__ __forceinline__ ChannelFactors load_channel_factors(std::uint32_t factors) {
  const std::uint32_t at = factors + (lane_index() % 4) * kGammaPitch;
  ChannelFactors f;
#pragma unroll
  for (int i = 0; i < 8; ++i) f.of[i] = load_shared_4(at + 16 * i);
  return f;
}

// Multiplies the channels of the state by factors.
__device__ __forceinline__ void decay_state(const ChannelFactors& f, StateTile& state) {
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const float4 g = f.of[i];
    state[8 * i + 0] *= g.x, state[8 * i + 1] *= g.y;
    state[8 * i + 2] *= g.x, state[8 * i + 3] *= g.y;
    state[8 * i + 4] *= g.z, state[8 * i + 5] *= g.w;
    state[8 * i + 6] *= g.z, state[8 * i + 7] *= g.w;
  }
}

template <int kPairsOfValues, int kValues>
__device__ __forceinline__ void round_pairs(const float (&x)[kValues],
                                            std::uint32_t (&packed)[kPairsOfValues]) {
  static_assert(kValues == 2 * kPairsOfValues);
#pragma unroll
  for (int i = 0; i < kPairsOfValues; ++i) packed[i] = pack_bf16(x[2 * i], x[2 * i + 1]);
}

// E8, E10 and E11 of one chunk, begun: the last products, to the state and to the outputs without
// their token factors, still run. `operand` has to live until they are done.
// kBounded: decays are referenced to G = R inside the chunk, so the state is taken there first.
template <GateForm kForm>
__device__ __forceinline__ void begin_chunk(std::uint32_t stage, std::uint32_t values,
                                            StateTile& state, TokensTile& o,
                                            std::uint32_t (&operand)[8]) {
  TokensTile w;
  std::uint32_t s[32];
  // Before the first product: touching accumulators while any wgmma runs makes ptxas serialise.
  if constexpr (kForm == GateForm::kBounded) {
    decay_state(load_channel_factors(stage + StagePlan::kGamma), state);
  }
  round_pairs(state, s);
  if constexpr (kForm == GateForm::kGeneral) {
    decay_state(load_channel_factors(stage + StagePlan::kGamma), state);
  }
  pin(state), pin(s);

  // w = k_gamma S and o = q_gamma S, without the factors of their rows.
  begin_products();
#pragma unroll
  for (int k = 0; k < 8; ++k) {
    const std::uint32_t at = (k / 4) * kPairedHalf + (k % 4) * 32;
    multiply_32(w, s + 4 * k, describe(kTokensByChannels, stage, at + StagePlan::kKeys), k > 0);
  }
  commit_products();
#pragma unroll
  for (int k = 0; k < 8; ++k) {
    const std::uint32_t at = (k / 4) * kPairedHalf + (k % 4) * 32;
    multiply_32(o, s + 4 * k, describe(kTokensByChannels, stage, at + StagePlan::kQuery), k > 0);
  }
  commit_products();
  const ScaledValues scaled = load_values(values, stage);  // in the shadow of the products
  wait_products<1>();
  pin(w);

  // n v_new = (n Akk_inv / n) w: times the norm factors of the keys that it will meet. The diagonal
  // of the inverse is exactly 1, so rounding it costs nothing.
  subtract_predictions(scaled, w, operand);
  pin(operand);
  TokensTile v_new;
  begin_products();
  multiply_32(v_new, operand, describe(kScores, stage, StagePlan::kInverse), 0);
  multiply_32(v_new, operand + 4, describe(kScores, stage, StagePlan::kInverse + 32), 1);
  commit_products();
  wait_products<0>();
  pin(v_new), pin(o), pin(s);

  // S += k_to_end^T v_new, o += Aqk v_new.
  round_pairs(v_new, operand);
  pin(operand), pin(state);
  begin_products();
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    multiply_128(state, operand + 4 * k,
                 describe(kChannelsByTokens, stage, StagePlan::kGate + k * 2048), 1);
  }
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    multiply_32(o, operand + 4 * k, describe(kScores, stage, StagePlan::kScoreQk + k * 32), 1);
  }
  commit_products();
}

// Scores of a chunk, by a warpgroup: rows 0-31 are keys with keys, rows 32-63 queries with keys; 32
// columns. `stage` is uniform.
using ScoreTile = float[16];
__device__ __forceinline__ void begin_scores(std::uint32_t stage, ScoreTile& score) {
  begin_products();
#pragma unroll
  for (int k = 0; k < 8; ++k) {
    const std::uint32_t step = (k % 4) * 32;
    const std::uint32_t keys = StagePlan::kKeys + (k / 4) * kPairedHalf + step;
    const std::uint32_t down = StagePlan::kGate + (k / 4) * kHalfTile + step;
    multiply_shared_32(score, describe(kTokensByChannels, stage, keys),
                       describe(kTokensByChannels, stage, down), k > 0);
  }
  commit_products();
}

// E5, E6 of the chunk in stage number `slot`, at `stage`: the warp's 16 rows to where the inverse
// and the recurrence read them. `pair`: of the buffer for the inverse.
__device__ __forceinline__ void store_scores(std::uint32_t shared, std::uint32_t slot,
                                             const Turn<kPairs>& pair, std::uint32_t stage,
                                             const ScoreTile& score) {
  const int lane = fresh_lane();
  const int warp = (recurrence_thread() / 32) % 4;
  if (warp >= 2) {
    store_query_scores(lane, score, warp % 2, stage);
    publish_to_async_proxy();
    warp_arrive(shared + SharedPlan::kReady + 8 * slot);
  } else {
    wait_at(shared + SharedPlan::kScoreEmpty + 8 * pair.slot, pair.parity ^ 1);
    store_key_scores(lane, score, warp,
                     shared + SharedPlan::kRawScore + pair.slot * RawScorePlan::kBytes);
    warp_arrive(shared + SharedPlan::kScoreFull + 8 * pair.slot);
  }
}

// Waits until the tiles of chunk `count` are stored; false if the block has no such chunk.
__device__ __forceinline__ bool wait_for_tiles(std::uint32_t shared, std::uint32_t count) {
  const Turn<kStages> turn(count);
  wait_at(shared + SharedPlan::kStored + 8 * turn.slot, turn.parity);
  return count < block_chunks();
}

__device__ __forceinline__ std::uint32_t stage_of(std::uint32_t shared, std::uint32_t count) {
  return make_uniform(shared + SharedPlan::kStage + Turn<kStages>(count).slot * StagePlan::kBytes);
}
// The stage kScoresAhead chunks after that of `stage`.
__device__ __forceinline__ std::uint32_t stage_ahead(std::uint32_t shared, std::uint32_t stage) {
  const std::uint32_t end = shared + SharedPlan::kStage + kStages * StagePlan::kBytes;
  const std::uint32_t ahead = stage + kScoresAhead * StagePlan::kBytes;
  return ahead < end ? ahead : ahead - kStages * StagePlan::kBytes;
}

// A state of the workspace, fp32 [128, 128].
__device__ __forceinline__ StatePlace place_of_matrix(float* matrix) {
  return {matrix, DType::kF32, Alignment::kVector, 0, kDim, 1};
}
__device__ __forceinline__ void set_identity(StateTile& state) {
  const int thread = recurrence_thread();
#pragma unroll
  for (int i = 0; i < 64; ++i) {
    const bool is_one = state_row(thread, i / 2) == state_channel(thread, i / 2) + i % 2;
    state[i] = is_one ? 1.0f : 0.0f;
  }
}

// Where the state before a segment's chunks lies, once it is there.
__device__ __forceinline__ StatePlace place_before_segment(const Segments& s,
                                                           const WorkItem& item) {
  wait_for_warps(s.merged + item.chain, kStateWarps * s.parts);
  return place_of_matrix(matrix_of_slot(s.states, item.slot - 1));
}
__device__ __forceinline__ StatePlace place_after_segment(const Segments& s, const WorkItem& item) {
  if (item.sink == Sink::kNowhere) return no_state();
  return place_of_matrix(matrix_of_slot(item.sink == Sink::kMap ? s.maps : s.states, item.slot));
}

// The state at the ends of a piece of work.
template <Work kWork>
__device__ __forceinline__ void begin_state(const FusedParams& p, const WorkItem& item,
                                            StateTile& state) {
  if (item.source == Source::kBlock) {
    receive_state(p.handover, block_share().block - 1, state);
    return;
  }
  const bool given = item.source == Source::kCaller;
  StatePlace place = given ? initial_place(p.states, item.n, item.head) : no_state();
  if constexpr (kWork == Work::kSharesAndSegments) {
    if (item.source == Source::kIdentity) return set_identity(state);
    if (item.source == Source::kSegment) place = place_before_segment(p.segments, item);
  }
  load_state(place, state);
}
template <Work kWork>
__device__ __forceinline__ void end_state(const FusedParams& p, const WorkItem& item,
                                          const StateTile& state) {
  const bool is_share = kWork == Work::kShares || block_job().kind == JobKind::kShare;
  // Where states are updated in place, nobody may still have to read what this chain began with.
  if (is_share && p.states_in_place != 0 && item.replay > 0) {
    wait_for_state(p.handover, block_share().block - 1);
  }
  if (item.sink == Sink::kBlock) {
    send_state(p.handover, block_share().block, state);
  } else {
    const bool to_caller = kWork == Work::kShares || item.sink == Sink::kCaller;
    store_state(to_caller ? final_place(p.states, item.n, item.head)
                          : place_after_segment(p.segments, item),
                state);
  }
  if (!is_share && block_job().kind == JobKind::kSummaries) {
    count_warp(p.segments.done + item.chain);
  }
}

// The state of a thread of this block beside a detour (pieces.cuh). Nobody else reads it.
__device__ __forceinline__ float4* kept_state(const FusedParams& p) {
  return slot_of_thread(p.kept_states, block_index(), recurrence_thread());
}

// Begins the next piece of the item of this round, if there is one. `count`: of chunks before it.
__device__ __forceinline__ bool begin_piece(const FusedParams& p, int round, std::uint32_t count,
                                            const StateTile& state) {
  const WorkItem item = make_item(p, block_order(), round);
  Progress at = load_progress();
  if (is_complete(item, at)) return false;
  const WorkItem piece = next_piece(p, item, at);
  at.end = count + piece.chunks();
  store_progress(at);
  if (is_detour(at)) write_slot(kept_state(p), state);
  return true;
}
__device__ __forceinline__ void end_piece(const FusedParams& p, int round, StateTile& state) {
  const Progress at = load_progress();
  for_places(p, make_item(p, block_order(), round), at.due,
             [&](const StatePlace& place) { store_state(place, state); });
  if (is_detour(at)) read_slot(kept_state(p), state);
}

// Chunks from number `count` of all that this block sees until is_over().
template <GateForm kForm, typename IsOver>
__device__ __forceinline__ void recur_chunks(std::uint32_t shared, int part, std::uint32_t& count,
                                             StateTile& state, IsOver is_over) {
#pragma unroll 1
  for (; !is_over(); ++count) {
    const Turn<kStages> turn(count);
    const Turn<2> out_turn(count);
    const std::uint32_t stage = stage_of(shared, count);
    // The values are there too: who arrives here has waited for the scalars, and they for the
    // boxes.
    wait_at(shared + SharedPlan::kReady + 8 * turn.slot, turn.parity);
    TokensTile o;
    std::uint32_t operand[8];
    begin_chunk<kForm>(stage, stage + StagePlan::kValue + part * kHalfTile, state, o, operand);

    const auto store = [&] {
      wait_at(shared + SharedPlan::kOutEmpty + 8 * out_turn.slot, out_turn.parity ^ 1);
      store_outputs(shared + SharedPlan::kOut + out_turn.slot * kTokenTile + part * kHalfTile,
                    stage + StagePlan::kOutScale, o);
      publish_to_async_proxy();
    };
    const auto hand_out = [&] {
      __syncwarp();
      if (lane_index() == 0) {
        arrive_at(shared + SharedPlan::kOutFull + 8 * out_turn.slot);
        arrive_at(shared + SharedPlan::kEmpty + 8 * turn.slot);
      }
      __syncwarp();
    };
    const std::uint32_t rests = stage + StagePlan::kRest;
    const std::uint32_t ahead = count + kScoresAhead;
    if constexpr (kForm == GateForm::kGeneral) {
      wait_products<0>();
      pin(state), pin(o), pin(operand);
      store();
      hand_out();
    } else if ((count & 1) == static_cast<std::uint32_t>(part) && wait_for_tiles(shared, ahead)) {
      // Scores in the shadow of the outputs. The other branch has a copy of the same end: ptxas
      // serialises products that are waited for elsewhere than on the path that began them.
      ScoreTile score;
      const std::uint32_t at = stage_ahead(shared, stage);
      begin_scores(at, score);
      wait_products<1>();
      pin(state), pin(o), pin(operand);
      store();
      const ChannelFactors rest = load_channel_factors(rests);
      hand_out();
      wait_products<0>();
      pin(score);
      decay_state(rest, state);
      store_scores(shared, Turn<kStages>(ahead).slot, Turn<kPairs>(ahead), at, score);
    } else {
      const ChannelFactors rest = load_channel_factors(rests);
      wait_products<0>();
      pin(state), pin(o), pin(operand);
      decay_state(rest, state);
      store();
      hand_out();
    }
  }
}

// All pieces of work of this block, from their states to their states. recur(part, count, state,
// is_over) takes the state through the chunks from number `count` until is_over().
template <Keeps kKeeps, Work kWork, typename Recur>
__device__ __forceinline__ void carry_states(const FusedParams& p, std::uint32_t shared, int part,
                                             Recur recur) {
  std::uint32_t count = 0;
  // In a register the number of the round would spill, and so would its address.
  const auto round = []() -> volatile int& { return block_round(recurrence_thread() / 32); };
  while (round() < block_share().rounds) {
    StateTile state;
    std::uint32_t end = count;
    {
      const WorkItem item = make_item(p, block_order(), round());
      begin_state<kWork>(p, item, state);
      end += item.chunks();
      if constexpr (kKeeps == Keeps::kCheckpoints) store_progress(begin_progress(item));
    }
    if constexpr (kKeeps == Keeps::kFinalState) {
      recur(part, count, state, [&] { return count == end; });
    } else {
      while (begin_piece(p, round(), count, state)) {
        // Neither `part` nor the end in a register: through both loops they would spill.
        recur(recurrence_thread() / kWarpgroup, count, state,
              [&] { return count == block_progress().end; });
        end_piece(p, round(), state);
      }
    }
    // The item is looked up again: kept through the loop, it would spill.
    end_state<kWork>(p, make_item(p, block_order(), round()), state);
    __syncwarp();
    if (lane_index() == 0) {
      round() = round() + 1;
      if (round() == block_share().rounds) {
        arrive_at(shared + SharedPlan::kWritten);
      }
    }
    __syncwarp();
  }
}

template <GateForm kForm, Keeps kKeeps, Work kWork = Work::kShares>
__device__ __forceinline__ void run_recurrence(const FusedParams& p, std::uint32_t shared,
                                               int part) {
  if (lane_index() == 0) block_round(recurrence_thread() / 32) = 0;
  __syncwarp();
  if constexpr (kForm == GateForm::kBounded) {
    // The first chunks: as many as are looked ahead.
    static_assert(kScoresAhead == 2);
    if (wait_for_tiles(shared, part)) {
      ScoreTile score;
      begin_scores(stage_of(shared, part), score);
      wait_products<0>();
      pin(score);
      store_scores(shared, part, Turn<kPairs>(part), stage_of(shared, part), score);
    }
  }
  carry_states<kKeeps, kWork>(p, shared, part,
                              [&](int half, std::uint32_t& count, StateTile& state, auto is_over) {
                                recur_chunks<kForm>(shared, half, count, state, is_over);
                              });
}

}  // namespace flash_kda::cuda::sm90
