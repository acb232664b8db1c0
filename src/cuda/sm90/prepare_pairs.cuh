// prepare for GateForm::kGeneral: sub-chunks of 16 tokens, each referenced to its 8th token (E2 to
// E6).
//
// Warps 0 and 1 take the even chunks, 2 and 3 the odd ones; of a pair, each has 64 channels. A step
// is 16 channels of 32 tokens and stays in the fragments of mma.sync from load to store.
#pragma once

#include "cuda/sm90/scores.cuh"
#include "cuda/sm90/sub_chunk_decays.cuh"

namespace flash_kda::cuda::sm90 {

// score += rows . columns^T, 16 x 16; both as left-operand fragments of 16 channels.
__device__ __forceinline__ void add_scores(float (&score)[8], const std::uint32_t (&rows)[4],
                                           const std::uint32_t (&columns)[4]) {
  multiply_add_bf16(score, rows, columns[0], columns[2]);
  multiply_add_bf16(score + 4, rows, columns[1], columns[3]);
}

struct PairPreparer {
  const GeneralGate& gate;
  const std::uint32_t (&ones)[4];
  std::uint32_t keys, query, gates;  // this warp's half of the three tiles
  std::uint32_t bias;                // of its 64 channels
  std::uint32_t gamma;               // where gamma_last of its channels goes

  // 16 channels of 32 tokens.
  __device__ __forceinline__ void step(int step, Scores& scores) const {
    const std::uint32_t lane = static_cast<std::uint32_t>(lane_index());
    const std::uint32_t at = token_piece(lane % 16, 2 * step + lane / 16);
    std::uint32_t first_to_end[4];
    float first_total[4];
    // All loads before the first store, which could be to the same place for all the compiler
    // knows.
    std::uint32_t all_k[2][4];
    std::uint32_t all_q[2][4];
    float sums[2][8];
    {
      std::uint32_t tiles[2][4];
#pragma unroll
      for (int sub = 0; sub < 2; ++sub) {
        load_tiles_transposed(tiles[sub], gates + at + sub * (kSub * 128));
      }
#pragma unroll
      for (int sub = 0; sub < 2; ++sub) {
        load_tiles(all_k[sub], keys + at + sub * (kSub * 128));
        load_tiles(all_q[sub], query + at + sub * (kSub * 128));
      }
#pragma unroll
      for (int sub = 0; sub < 2; ++sub) {
        cumsum_decay(gate, ones, tiles[sub], bias + 64 * step, sums[sub]);
      }
    }
    __syncwarp();  // every lane has read its rows
    float second_total[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      second_total[i] = exp2_approx(from_last_quad(lane_index(), sums[1][4 * (i / 2) + 2 + i % 2]));
    }
#pragma unroll
    for (int sub = 0; sub < 2; ++sub) {
      const std::uint32_t here = at + sub * (kSub * 128);
      const std::uint32_t(&k)[4] = all_k[sub];
      const std::uint32_t(&q)[4] = all_q[sub];
      Decays decays;
      apply_exponentials(sums[sub], decays);
      std::uint32_t k_down[4];
      std::uint32_t k_to_end[4];
      look_back(k, decays, k_down, k_to_end);
      float(&kk)[8] = sub == 0 ? scores.kk00 : scores.kk11;
      float(&qk)[8] = sub == 0 ? scores.qk00 : scores.qk11;
      std::uint32_t up[4];
      std::uint32_t k_gamma[4];
      std::uint32_t q_gamma[4];
      look_ahead(k, decays, up, k_gamma);
      add_scores(kk, up, k_down);
      look_ahead(q, decays, up, q_gamma);
      add_scores(qk, up, k_down);
      if (sub == 1) {
        add_scores(scores.kk10, k_gamma, first_to_end);
        add_scores(scores.qk10, q_gamma, first_to_end);
        look_ahead_from(k, decays, first_total, k_gamma);
        look_ahead_from(q, decays, first_total, q_gamma);
      }
      store_tiles(keys + here, k_gamma);
      store_tiles(query + here, q_gamma);
      if (sub == 0) {
        see_from_end(k_down, k, decays, second_total);
        store_tiles(gates + at, k_down);
#pragma unroll
        for (int r = 0; r < 4; ++r) {
          first_to_end[r] = k_to_end[r];
          first_total[r] = decays.total[r];
        }
      } else {
        store_tiles(gates + here, k_to_end);
        if (lane < 4) {
          store_shared_4(gamma + lane * kGammaPitch + step * 16, first_total[0] * decays.total[0],
                         first_total[1] * decays.total[1], first_total[2] * decays.total[2],
                         first_total[3] * decays.total[3]);
        }
      }
    }
  }
};

__device__ __forceinline__ void prepare_chunk_by_pair(const GeneralGate& gate,
                                                      const std::uint32_t (&ones)[4],
                                                      std::uint32_t shared, std::uint32_t count,
                                                      int warp, const NormRule& norm) {
  const int half = warp % 2;
  const int pair = warp / 2;
  const Turn<kStages> turn(count);
  const Turn<kPairs> pair_turn(count);
  const std::uint32_t stage = shared + SharedPlan::kStage + turn.slot * StagePlan::kBytes;
  wait_at(shared + SharedPlan::kRaw + 8 * turn.slot, turn.parity);
  // Norms are needed only at the end, but q must have been summed before it is rewritten.
  wait_at(shared + SharedPlan::kNormed + 8 * turn.slot, turn.parity);

  Scores scores;
  {
    const PairPreparer preparer = {gate,
                                   ones,
                                   stage + StagePlan::kKeys + half * kPairedHalf,
                                   stage + StagePlan::kQuery + half * kPairedHalf,
                                   stage + StagePlan::kGate + half * kHalfTile,
                                   shared + SharedPlan::kBias + warp * 256,
                                   stage + StagePlan::kGamma + half * 64};
#pragma unroll 1
    for (int step = 0; step < 4; ++step) preparer.step(step, scores);
  }

  // The two halves are added by one warp of the pair, in turns: then each writes the exchange
  // buffer only after it has itself read it, and one barrier a chunk is enough.
  const std::uint32_t exchange = shared + SharedPlan::kPartial + pair * SharedPlan::kPartialBytes;
  const std::uint32_t ready = shared + SharedPlan::kReady + 8 * turn.slot;
  const bool adds = static_cast<int>(pair_turn.parity) == half;
  if (!adds) {
    send_scores(scores, exchange);
    publish_to_async_proxy();
  }
  sync_threads(kFirstPairBarrier + pair, 64);
  if (!adds) return warp_arrive(ready);
  receive_scores(scores, exchange);
  const std::uint32_t score = shared + SharedPlan::kScore + pair * ScorePlan::kBytes;
  wait_at(shared + SharedPlan::kScoreEmpty + 8 * pair, pair_turn.parity ^ 1);
  store_all_kk(lane_index(), scores, score, stage, norm);
  warp_arrive(shared + SharedPlan::kScoreFull + 8 * pair);
  store_all_qk(lane_index(), scores, stage);
  publish_to_async_proxy();
  warp_arrive(ready);
}

template <Keeps kKeeps>
__device__ __forceinline__ void run_prepare_pairs(const FusedParams& p, std::uint32_t shared) {
  const int warp = (static_cast<int>(threadIdx.x) / 32) % 4;
  const int pair = warp / 2;
  const int lane = lane_index();
  std::uint32_t ones[4];
  make_lower_ones(ones);
  std::uint32_t count = 0;
  const NormRule norm(p.inputs.qk_norm);
  for_items<kKeeps>(p, block_order(), [&](const WorkItem& item) {
    const GeneralGate gate(p.inputs, item.head);
    __syncwarp();  // the biases of the last item have been read
    for (int i = lane; i < 64; i += 32) {
      const int channel = (warp % 2) * 64 + i;
      const float bias = load_bias(p.inputs, static_cast<std::int64_t>(item.head) * kDim + channel);
      store_shared(shared + SharedPlan::kBias + warp * 256 + 4 * i, bias);
    }
    __syncwarp();
    const int chunks = item.chunks();
    for (int c = (static_cast<int>(count) ^ pair) & 1; c < chunks; c += 2) {
      prepare_chunk_by_pair(gate, ones, shared, count + c, warp, norm);
    }
    count += chunks;
  });
}

}  // namespace flash_kda::cuda::sm90
