// Roles of the split form (docs/hopper_kernel.md): a cluster of two blocks carries one chain, each
// block 64 of its values. Chunks in turns are the one's and the other's: whose chunk it is loads and
// prepares it, with the stages of the roles of one block, and sends the operands to the peer.
//
// Chunk `count` of all that the cluster sees belongs to the block of rank count % 2, as its own
// number count / 2. Own chunks have a ring of stages of their own, and those that the peer sends
// another one.
#pragma once

#include "cuda/sm90/cluster.cuh"
#include "cuda/sm90/inverse_role.cuh"
#include "cuda/sm90/io_roles.cuh"
#include "cuda/sm90/prepare_role.cuh"
#include "cuda/sm90/recurrence_role.cuh"
#include "cuda/sm90/scalars_role.cuh"

namespace flash_kda::cuda::sm90 {

// An own chunk is in its stage from its load until both blocks have seen it, about six chunks; one
// that was sent, from then on.
inline constexpr int kOwnStages = 3;
inline constexpr int kSentStages = kStages - kOwnStages;

using OwnTurn = Turn<kOwnStages>;

// Where a block finds chunk `count`, its own or sent.
struct SplitTurn {
  bool is_own;
  std::uint32_t owner_slot;  // in the block whose own it is
  std::uint32_t slot;
  std::uint32_t parity;

  __device__ __forceinline__ SplitTurn(std::uint32_t count, int rank)
      : is_own((count & 1) == static_cast<std::uint32_t>(rank)) {
    const OwnTurn own(count / 2);
    const Turn<kSentStages> sent(count / 2);
    owner_slot = own.slot;
    slot = is_own ? own.slot : kOwnStages + sent.slot;
    parity = is_own ? own.parity : sent.parity;
  }
};

__device__ __forceinline__ std::uint32_t stage_in_slot(std::uint32_t shared, std::uint32_t slot) {
  return shared + SharedPlan::kStage + slot * StagePlan::kBytes;
}

// The first own chunk of an item that begins with chunk number `count`.
__device__ __forceinline__ int first_own(std::uint32_t count, int rank) {
  return static_cast<int>((count ^ static_cast<std::uint32_t>(rank)) & 1);
}

// Calls visit(item, c, i) for own chunk number i, which is chunk c of an item; returns how many
// chunks the cluster sees.
template <Keeps kKeeps, typename Visit>
__device__ __forceinline__ std::uint32_t for_own_chunks(const FusedParams& p, int rank,
                                                        Visit visit) {
  std::uint32_t count = 0;
  for_items<kKeeps>(p, block_order(), [&](const WorkItem& item) {
    for (int c = first_own(count, rank); c < item.chunks(); c += 2) {
      visit(item, c, (count + c) / 2);
    }
    count += item.chunks();
  });
  return count;
}

// --- transfers

// The rows of a tail, 64 values of each.
__device__ __forceinline__ void store_half_rows(const RowTensor& tensor, const BoxPlace& at,
                                                int tokens, std::uint32_t half_tile, int half) {
  const int lane = lane_index();
  for (int row = lane / 8; row < tokens; row += 4) {
    const int piece = lane % 8;
    const uint4 bits = load_shared_bits(half_tile + token_piece(row, piece));
    const std::int64_t to =
        row_start(tensor, at.batch_row, at.token + row, at.head) + half * 64 + piece * 8;
    store_quad(tensor, to, {bits.x, bits.y});
    store_quad(tensor, to + 4, {bits.z, bits.w});
  }
}

// This block's values of the outputs of chunk `count`.
__device__ __forceinline__ void store_half_chunk(const FusedParams& p, std::uint32_t shared,
                                                 std::uint32_t count, int rank) {
  const Turn<2> turn(count);
  const OutPlace place = out_place(count % kStages);
  const std::uint32_t tile =
      shared + SharedPlan::kOut + turn.slot * kTokenTile + rank * kHalfTile;
  wait_at(shared + SharedPlan::kOutFull + 8 * turn.slot, turn.parity);
  if (place.tokens == kChunk && p.stores == Transfer::kBox) {
    if (lane_index() == 0) {
      store_box(p.out_map, place.at, rank, tile);
      commit_stores();
      wait_stores_read();
    }
  } else {
    store_half_rows(p.out, place.at, place.tokens, tile, rank);
  }
  warp_arrive(shared + SharedPlan::kOutEmpty + 8 * turn.slot);
}

// Loads own chunks as their stages are given back by both blocks, and stores this block's half of
// the outputs of every chunk, kDelay chunks later: then neither waits for the other.
template <Keeps kKeeps>
__device__ __forceinline__ void run_split_transfers(const FusedParams& p, std::uint32_t shared,
                                                    int rank) {
  constexpr std::uint32_t kDelay = kStages;
  std::uint32_t count = 0;
  for_items<kKeeps>(p, block_order(), [&](const WorkItem& item) {
#pragma unroll 1
    for (int c = 0; c < item.chunks(); ++c, ++count) {
      const SplitTurn turn(count, rank);
      if (turn.is_own) {
        wait_for_both_at(shared + SharedPlan::kEmpty + 8 * turn.slot, turn.parity ^ 1);
        load_chunk(p, item, c, stage_in_slot(shared, turn.slot),
                   shared + SharedPlan::kRaw + 8 * turn.slot);
      }
      if (count >= kDelay) store_half_chunk(p, shared, count - kDelay, rank);
      __syncwarp();
      if (lane_index() == 0) {
        out_place(count % kStages) = {{item.first + c * kChunk, item.head, item.batch_row},
                                      c < item.replay ? 0 : item.tokens(c)};
      }
      __syncwarp();
    }
  });
#pragma unroll 1
  for (std::uint32_t i = count < kDelay ? 0 : count - kDelay; i < count; ++i) {
    store_half_chunk(p, shared, i, rank);
  }
  if (lane_index() == 0) wait_stores();
}

// --- scalars, prepare, scores

template <Keeps kKeeps>
__device__ __forceinline__ void run_split_scalars(const FusedParams& p, std::uint32_t shared,
                                                  int sub, int rank) {
  std::uint32_t count = 0;
  for_items<kKeeps>(p, block_order(), [&](const WorkItem& item) {
    const BoardOfHead of_head(p.inputs, item.head, sub);
    int c = first_own(count, rank);
    RawBeta next_beta = load_raw_beta(p, item, c, sub * kSub + lane_index() % kSub);
    for (; c < item.chunks(); c += 2) {
      const int lane = fresh_lane();
      const int row = sub * kSub + lane % kSub;
      const OwnTurn turn((count + c) / 2);
      const std::uint32_t stage = stage_in_slot(shared, turn.slot);
      const RawBeta raw_beta = next_beta;
      next_beta = load_raw_beta(p, item, c + 2, row);  // on its way during this chunk

      wait_at(shared + SharedPlan::kRaw + 8 * turn.slot, turn.parity);
      blank_tail(p, stage, sub, item.tokens(c));
      of_head.store(p.inputs, shared + SharedPlan::kBoard + turn.slot * BoardPlan::kBytes, sub);
      scale_tokens(p, lane, stage, row, item.tokens(c), raw_beta);
      publish_to_async_proxy();  // the copy to the peer reads it
      warp_arrive(shared + SharedPlan::kNormed + 8 * turn.slot);
    }
    count += item.chunks();
  });
  // One more, which does not exist, once nobody needs what was in its stage.
  const OwnTurn turn((count + first_own(count, rank)) / 2);
  wait_for_both_at(shared + SharedPlan::kEmpty + 8 * turn.slot, turn.parity ^ 1);
  if (sub == 0 && lane_index() == 0) {
    store_shared_2(
        shared + SharedPlan::kBoard + turn.slot * BoardPlan::kBytes + BoardPlan::kSlope, 0.0f,
        0.0f);
  }
  warp_arrive(shared + SharedPlan::kNormed + 8 * turn.slot);
}

// `part` of 8.
__device__ __forceinline__ void run_split_prepare(std::uint32_t shared, int part) {
  const PreparePlace place(fresh_lane(), shared, part);
#pragma unroll 1
  for (std::uint32_t i = 0;; ++i) {
    const OwnTurn turn(i);
    wait_at(shared + SharedPlan::kNormed + 8 * turn.slot, turn.parity);
    const std::uint32_t board = shared + SharedPlan::kBoard + turn.slot * BoardPlan::kBytes;
    const float2 head = load_shared_2(board + BoardPlan::kSlope);
    if (head.x == 0.0f) break;
    prepare_chunk(Preparer(fresh_thread(), place, head, board, turn.slot));
    warp_arrive(shared + SharedPlan::kStored + 8 * turn.slot);
  }
}

// A warpgroup, since the recurrence of half the values is but one and has its own products to wait
// for.
template <Keeps kKeeps>
__device__ __forceinline__ void run_split_scores(const FusedParams& p, std::uint32_t shared,
                                                 int rank) {
  for_own_chunks<kKeeps>(p, rank, [&](const WorkItem&, int, std::uint32_t i) {
    const OwnTurn turn(i);
    const std::uint32_t stage = make_uniform(stage_in_slot(shared, turn.slot));
    wait_at(shared + SharedPlan::kStored + 8 * turn.slot, turn.parity);
    ScoreTile score;
    begin_scores(stage, score);
    wait_products<0>();
    pin(score);
    store_scores(shared, turn.slot, Turn<kPairs>(i), stage, score);
  });
}

// --- inverse

// What the recurrence reads of a chunk: tiles and the half of the values that is the peer's, and
// what follows the values. The halves of the values lie between, so the one or the other is longer.
struct SentPart {
  std::uint32_t begin;
  std::uint32_t bytes;
};
__device__ __forceinline__ SentPart first_part(int peer) {
  return {StagePlan::kKeys, StagePlan::kValue + (peer == 0 ? kHalfTile : 0)};
}
__device__ __forceinline__ SentPart second_part(int peer) {
  const std::uint32_t begin = StagePlan::kInverse - (peer == 0 ? 0 : kHalfTile);
  return {begin, StagePlan::kRest + 4 * kGammaPitch - begin};
}
static_assert((StagePlan::kRest + 4 * kGammaPitch) % 16 == 0);

// Own chunk number i, complete, to the peer, by one thread. It frees the stage when both blocks
// have given the chunk back.
__device__ __forceinline__ void send_chunk(std::uint32_t shared, std::uint32_t i, int rank) {
  const Turn<kSentStages> sent(i);
  const std::uint32_t stage = stage_in_slot(shared, OwnTurn(i).slot);
  const std::uint32_t to = in_peer(stage_in_slot(shared, kOwnStages + sent.slot));
  const std::uint32_t ready =
      in_peer(shared + SharedPlan::kReady + 8 * (kOwnStages + sent.slot));
  const SentPart parts[2] = {first_part(rank ^ 1), second_part(rank ^ 1)};
  arrive_expecting_at_peer(ready, parts[0].bytes + parts[1].bytes);
  for (const SentPart& part : parts) {
    copy_to_peer(to + part.begin, stage + part.begin, part.bytes, ready);
  }
}

template <Keeps kKeeps>
__device__ __forceinline__ void run_split_inverse(const FusedParams& p, std::uint32_t shared,
                                                  int rank) {
  for_own_chunks<kKeeps>(p, rank, [&](const WorkItem&, int, std::uint32_t i) {
    const OwnTurn turn(i);
    const Turn<kPairs> pair(i);
    const int lane = fresh_lane();
    wait_at(shared + SharedPlan::kScoreFull + 8 * pair.slot, pair.parity);
    invert_raw(lane, NormRule(p.inputs.qk_norm),
               {shared + SharedPlan::kRawScore + pair.slot * RawScorePlan::kBytes,
                stage_in_slot(shared, turn.slot)},
               shared + SharedPlan::kColumns);
    publish_to_async_proxy();
    __syncwarp();
    if (lane == 0) {
      arrive_at(shared + SharedPlan::kScoreEmpty + 8 * pair.slot);
      arrive_at(shared + SharedPlan::kReady + 8 * turn.slot);
    }
    __syncwarp();
    // Scores of queries are stored too, and the peer has given back what is where this one goes.
    wait_at(shared + SharedPlan::kReady + 8 * turn.slot, turn.parity);
    if (i >= kSentStages) {
      const OwnTurn before(i - kSentStages);
      wait_for_both_at(shared + SharedPlan::kEmpty + 8 * before.slot, before.parity);
    }
    if (lane == 0) send_chunk(shared, i, rank);
    __syncwarp();
  });
}

// --- recurrence

// Chunks from number `count` on until is_over(). `part`: of the values, and the block's rank.
template <typename IsOver>
__device__ __forceinline__ void recur_split_chunks(std::uint32_t shared, int part,
                                                   std::uint32_t& count, StateTile& state,
                                                   IsOver is_over) {
#pragma unroll 1
  for (; !is_over(); ++count) {
    const SplitTurn turn(count, part);
    const Turn<2> out_turn(count);
    const std::uint32_t stage = make_uniform(stage_in_slot(shared, turn.slot));
    wait_at(shared + SharedPlan::kReady + 8 * turn.slot, turn.parity);
    TokensTile o;
    std::uint32_t operand[8];
    begin_chunk<GateForm::kBounded>(stage, stage + StagePlan::kValue + part * kHalfTile, state, o,
                                    operand);
    const ChannelFactors rest = load_channel_factors(stage + StagePlan::kRest);
    wait_products<0>();
    pin(state), pin(o), pin(operand);
    decay_state(rest, state);
    wait_at(shared + SharedPlan::kOutEmpty + 8 * out_turn.slot, out_turn.parity ^ 1);
    store_outputs(shared + SharedPlan::kOut + out_turn.slot * kTokenTile + part * kHalfTile,
                  stage + StagePlan::kOutScale, o);
    publish_to_async_proxy();
    __syncwarp();
    if (lane_index() == 0) {
      arrive_at(shared + SharedPlan::kOutFull + 8 * out_turn.slot);
      const std::uint32_t empty = shared + SharedPlan::kEmpty + 8 * turn.owner_slot;
      if (turn.is_own) {
        arrive_at(empty);
      } else {
        arrive_at_peer(in_peer(empty));
      }
    }
    __syncwarp();
  }
}

template <Keeps kKeeps>
__device__ __forceinline__ void run_split_recurrence(const FusedParams& p, std::uint32_t shared,
                                                     int rank) {
  if (lane_index() == 0) block_round(recurrence_thread() / 32) = 0;
  __syncwarp();
  carry_states<kKeeps>(p, shared, rank,
                       [&](int part, std::uint32_t& count, StateTile& state, auto is_over) {
                         recur_split_chunks(shared, part, count, state, is_over);
                       });
}

}  // namespace flash_kda::cuda::sm90
