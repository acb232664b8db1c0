// Roles of the split form (docs/hopper_kernel.md): a cluster of two blocks carries one chain, each
// block 64 of its values. Chunks in turns are the one's and the other's: whose chunk it is loads
// and prepares it, with the stages of the roles of one block, and sends the operands to the peer.
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

// An own chunk is in its stage from its load until both blocks have seen it, about seven chunks;
// one that was sent, from then on.
inline constexpr int kOwnStages = 4;
inline constexpr int kSentStages = 2;
// A block's own half of the values of every chunk.
inline constexpr int kValueSlots = 3;
// And of the outputs: one is written while the one before leaves, and the next is free already.
inline constexpr int kOutSlots = 3;
// Chunks whose place is remembered, from the load of their values to the store of their outputs.
inline constexpr int kPlaces = 4;
static_assert(kPlaces > kValueSlots);

struct SplitPlace {
  BoxPlace at;
  std::int32_t tokens;
  std::int32_t outputs;  // 0 if another block writes them
};

// As SharedPlan, but for stages without values, their rings, and these barriers more.
struct SplitPlan {
  static constexpr std::uint32_t kStage = SharedPlan::kStage;
  static constexpr std::uint32_t kStageBytes = StagePlan::kValue;
  static constexpr std::uint32_t kValues = kStage + (kOwnStages + kSentStages) * kStageBytes;
  static constexpr std::uint32_t kOut = kValues + kValueSlots * kHalfTile;
  static_assert(kOut + kOutSlots * kHalfTile <= SharedPlan::kPartial);
  static_assert(kOwnStages <= kStages, "boards and barriers of own chunks are those of SharedPlan");
  // Where the general form has scores.
  static constexpr std::uint32_t kSentReady = SharedPlan::kScore;  // [1 + bytes] operands are there
  static constexpr std::uint32_t kValueFull = kSentReady + 8 * kSentStages;  // [1 + bytes]
  static constexpr std::uint32_t kOutFull = kValueFull + 8 * kValueSlots;    // [4]
  static constexpr std::uint32_t kOutEmpty = kOutFull + 8 * kOutSlots;       // [1]
  static constexpr std::uint32_t kPlace = kOutEmpty + 8 * kOutSlots;         // SplitPlace [kPlaces]
  static_assert(kSentReady % 8 == 0 &&
                kPlace + kPlaces * sizeof(SplitPlace) <= SharedPlan::kColumns);
};

using OwnTurn = Turn<kOwnStages>;
using SentTurn = Turn<kSentStages>;
using OutTurn = Turn<kOutSlots>;

__device__ __forceinline__ std::uint32_t own_stage(std::uint32_t shared, const OwnTurn& turn) {
  return shared + SplitPlan::kStage + turn.slot * SplitPlan::kStageBytes;
}
__device__ __forceinline__ std::uint32_t sent_stage(std::uint32_t shared, const SentTurn& turn) {
  return shared + SplitPlan::kStage + (kOwnStages + turn.slot) * SplitPlan::kStageBytes;
}

__device__ __forceinline__ bool is_own(std::uint32_t count, int rank) {
  return (count & 1) == static_cast<std::uint32_t>(rank);
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

// --- values and outputs

__device__ __forceinline__ SplitPlace& split_place(std::uint32_t count) {
  return reinterpret_cast<SplitPlace*>(shared_block + SplitPlan::kPlace)[count % kPlaces];
}

// Rows of 64 values, in the layout that TMA gives them; those that do not exist as zeros.
__device__ __forceinline__ void load_half_rows(const RowTensor& tensor, const SplitPlace& place,
                                               std::uint32_t half_tile, int half) {
  const int lane = lane_index();
  const BoxPlace& at = place.at;
  for (int row = lane / 8; row < kChunk; row += 4) {
    const int piece = lane % 8;
    uint4 bits = {};
    if (row < place.tokens) {
      bits = load_piece(
          tensor, row_start(tensor, at.batch_row, at.token + row, at.head) + half * 64 + piece * 8);
    }
    store_shared_bits(half_tile + token_piece(row, piece), bits);
  }
}
__device__ __forceinline__ void store_half_rows(const RowTensor& tensor, const SplitPlace& place,
                                                std::uint32_t half_tile, int half) {
  const int lane = lane_index();
  const BoxPlace& at = place.at;
  for (int row = lane / 8; row < place.outputs; row += 4) {
    const int piece = lane % 8;
    const uint4 bits = load_shared_bits(half_tile + token_piece(row, piece));
    const std::int64_t to =
        row_start(tensor, at.batch_row, at.token + row, at.head) + half * 64 + piece * 8;
    store_quad(tensor, to, {bits.x, bits.y});
    store_quad(tensor, to + 4, {bits.z, bits.w});
  }
}

// This block's values of chunk `count`. A tail is loaded row by row: what follows it may be NaN.
__device__ __forceinline__ void load_half_values(const FusedParams& p, std::uint32_t shared,
                                                 std::uint32_t count, int rank) {
  const Turn<kValueSlots> turn(count);
  const SplitPlace place = split_place(count);
  const std::uint32_t tile = shared + SplitPlan::kValues + turn.slot * kHalfTile;
  const std::uint32_t full = shared + SplitPlan::kValueFull + 8 * turn.slot;
  if (place.tokens == kChunk && p.loads == Transfer::kBox) {
    if (is_leader()) {
      arrive_expecting_at(full, kHalfTile);
      load_box(tile, p.v_map, place.at, rank, full);
    }
  } else {
    load_half_rows(p.v, place, tile, rank);
    publish_to_async_proxy();  // TMA will write there again
    warp_arrive(full);
  }
}

// This block's values of the outputs of chunk `count`, which are there, so nobody here needs the
// chunk any more: its owner hears of it. What the chunk before stored has left its slot by now.
__device__ __forceinline__ void store_half_chunk(const FusedParams& p, std::uint32_t shared,
                                                 std::uint32_t count, int rank) {
  const SplitPlace place = split_place(count);
  const std::uint32_t tile = shared + SplitPlan::kOut + OutTurn(count).slot * kHalfTile;
  const bool by_box = place.outputs == kChunk && p.stores == Transfer::kBox;
  if (!by_box) store_half_rows(p.out, place, tile, rank);
  __syncwarp();
  if (is_leader()) {
    if (by_box) store_box(p.out_map, place.at, rank, tile);
    commit_stores();
    const std::uint32_t empty = shared + SharedPlan::kEmpty + 8 * OwnTurn(count / 2).slot;
    if (is_own(count, rank)) {
      arrive_at(empty);
    } else {
      arrive_at_peer(in_peer(empty));
    }
    wait_stores_read<1>();
    if (count > 0) arrive_at(shared + SplitPlan::kOutEmpty + 8 * OutTurn(count - 1).slot);
  }
  __syncwarp();
}

// Step n of the values, of chunks that exist: once the recurrence is done with chunk n - 3, its
// outputs leave, and the values of chunk n come to where its were.
__device__ __forceinline__ void step_values(const FusedParams& p, std::uint32_t shared,
                                            std::uint32_t n, std::uint32_t chunks, int rank) {
  if (n >= kValueSlots) {
    const OutTurn out(n - kValueSlots);
    wait_at(shared + SplitPlan::kOutFull + 8 * out.slot, out.parity);
  }
  if (n < chunks) load_half_values(p, shared, n, rank);
  if (n >= kValueSlots) store_half_chunk(p, shared, n - kValueSlots, rank);
}

// This block's half of the values and outputs of every chunk.
template <Keeps kKeeps>
__device__ __forceinline__ void run_split_values(const FusedParams& p, std::uint32_t shared,
                                                 int rank) {
  std::uint32_t count = 0;
  for_items<kKeeps>(p, block_order(), [&](const WorkItem& item) {
#pragma unroll 1
    for (int c = 0; c < item.chunks(); ++c, ++count) {
      __syncwarp();
      if (lane_index() == 0) {
        split_place(count) = {{item.first + c * kChunk, item.head, item.batch_row},
                              item.tokens(c),
                              c < item.replay ? 0 : item.tokens(c)};
      }
      __syncwarp();
      step_values(p, shared, count, ~0u, rank);
    }
  });
#pragma unroll 1
  for (std::uint32_t n = count; n < count + kValueSlots; ++n) {
    step_values(p, shared, n, count, rank);
  }
  if (is_leader()) wait_stores();
}

// --- scalars, prepare

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
      const std::uint32_t stage = own_stage(shared, turn);
      const RawBeta raw_beta = next_beta;
      next_beta = load_raw_beta(p, item, c + 2, row);  // on its way during this chunk

      wait_at(shared + SharedPlan::kRaw + 8 * turn.slot, turn.parity);
      blank_tail<StageHolds::kNoValues>(p, stage, sub, item.tokens(c));
      of_head.store(p.inputs, shared + SharedPlan::kBoard + turn.slot * BoardPlan::kBytes, sub);
      scale_tokens</*kInFlight=*/1>(p, lane, stage, row, item.tokens(c), raw_beta);
      publish_to_async_proxy();  // the copy to the peer reads it
      warp_arrive(shared + SharedPlan::kNormed + 8 * turn.slot);
    }
    count += item.chunks();
  });
  // One more, which does not exist, once prepare has read the board that was there.
  const OwnTurn turn((count + first_own(count, rank)) / 2);
  wait_at(shared + SharedPlan::kStored + 8 * turn.slot, turn.parity ^ 1);
  if (sub == 0 && lane_index() == 0) {
    store_shared_2(shared + SharedPlan::kBoard + turn.slot * BoardPlan::kBytes + BoardPlan::kSlope,
                   0.0f, 0.0f);
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
    const Preparer preparer(fresh_thread(), place, head, board, turn.slot * SplitPlan::kStageBytes);
    // Steps one by one: there is time, and 3 KB of instructions less keep the loops of all roles in
    // the instruction cache (64 heads of 8192 tokens on an H200: 0.44 to 0.385 ms).
#pragma unroll 1
    for (int step = 0; step < kSteps; ++step) {
      std::uint32_t tiles[4];
      float bias;
      preparer.load_gates(step, tiles, bias);
      preparer.store(step, preparer.decays(tiles, bias));
    }
    publish_to_async_proxy();
    warp_arrive(shared + SharedPlan::kStored + 8 * turn.slot);
  }
}

// --- loads and scores

__device__ __forceinline__ void load_own_chunk(const FusedParams& p, const WorkItem& item, int c,
                                               std::uint32_t stage, std::uint32_t raw) {
  const ChunkPlace at(p, item, c);
  if (p.loads == Transfer::kBox) {
    if (is_leader()) {
      arrive_expecting_at(raw, 3 * kTokenTile);
      load_boxes(p, at, stage, raw);
    }
  } else {
    load_all_rows(p, at, item.tokens(c), stage);
    warp_arrive(raw);
  }
}

// The scores of own chunk number i, by the warpgroup.
__device__ __forceinline__ void multiply_scores(std::uint32_t shared, std::uint32_t i) {
  const OwnTurn turn(i);
  const std::uint32_t stage = make_uniform(own_stage(shared, turn));
  wait_at(shared + SharedPlan::kStored + 8 * turn.slot, turn.parity);
  ScoreTile score;
  begin_scores(stage, score);
  wait_products<0>();
  pin(score);
  store_scores(shared, turn.slot, Turn<kPairs>(i), stage, score);
}

// The warpgroup that the recurrence of half the values leaves free. Its first warp loads own
// chunks, as both blocks are done with what was in their stages, before all of it multiplies the
// scores of the one that was loaded before. (Of the one before that: 64 heads of 8192 tokens on an
// H200 took 0.37 ms instead of 0.32.)
template <Keeps kKeeps>
__device__ __forceinline__ void run_split_loads(const FusedParams& p, std::uint32_t shared,
                                                int rank) {
  const bool loads = threadIdx.x / 32 % 4 == 0;
  const std::uint32_t count =
      for_own_chunks<kKeeps>(p, rank, [&](const WorkItem& item, int c, std::uint32_t i) {
        if (loads) {
          const OwnTurn turn(i);
          wait_for_both_at(shared + SharedPlan::kEmpty + 8 * turn.slot, turn.parity ^ 1);
          load_own_chunk(p, item, c, own_stage(shared, turn),
                         shared + SharedPlan::kRaw + 8 * turn.slot);
          __syncwarp();
        }
        if (i > 0) multiply_scores(shared, i - 1);
      });
  const std::uint32_t own = (count + first_own(0, rank ^ 1)) / 2;  // chunks
  if (own > 0) multiply_scores(shared, own - 1);
}

// --- inverse

// Of what the recurrence reads of own chunk number i, bytes [begin, end), to the peer; by one
// thread.
__device__ __forceinline__ void send_bytes(std::uint32_t shared, std::uint32_t i,
                                           std::uint32_t begin, std::uint32_t end) {
  const SentTurn sent(i);
  copy_to_peer(in_peer(sent_stage(shared, sent)) + begin, own_stage(shared, OwnTurn(i)) + begin,
               end - begin, in_peer(shared + SplitPlan::kSentReady + 8 * sent.slot));
}
static_assert(StagePlan::kOperandBytes % 16 == 0);

template <Keeps kKeeps>
__device__ __forceinline__ void run_split_inverse(const FusedParams& p, std::uint32_t shared,
                                                  int rank) {
  for_own_chunks<kKeeps>(p, rank, [&](const WorkItem&, int, std::uint32_t i) {
    const OwnTurn turn(i);
    const Turn<kPairs> pair(i);
    const int lane = fresh_lane();
    wait_at(shared + SharedPlan::kScoreFull + 8 * pair.slot, pair.parity);
    // The tiles leave first, to where the peer has given back another chunk.
    if (i >= kSentStages) {
      const OwnTurn before(i - kSentStages);
      wait_for_both_at(shared + SharedPlan::kEmpty + 8 * before.slot, before.parity);
    }
    if (is_leader()) {
      arrive_expecting_at_peer(in_peer(shared + SplitPlan::kSentReady + 8 * SentTurn(i).slot),
                               StagePlan::kOperandBytes);
      send_bytes(shared, i, 0, StagePlan::kInverse);
    }
    __syncwarp();
    invert_raw(lane, NormRule(p.inputs.qk_norm),
               {shared + SharedPlan::kRawScore + pair.slot * RawScorePlan::kBytes,
                own_stage(shared, turn)},
               shared + SharedPlan::kColumns);
    publish_to_async_proxy();
    __syncwarp();
    if (lane == 0) {
      arrive_at(shared + SharedPlan::kScoreEmpty + 8 * pair.slot);
      arrive_at(shared + SharedPlan::kReady + 8 * turn.slot);
    }
    __syncwarp();
    wait_at(shared + SharedPlan::kReady + 8 * turn.slot, turn.parity);  // scores of queries too
    if (is_leader()) send_bytes(shared, i, StagePlan::kInverse, StagePlan::kOperandBytes);
    __syncwarp();
  });
}

// --- recurrence

// Where the recurrence finds the operands of chunk `count`, its block's own or sent.
struct SplitTurn {
  std::uint32_t stage;
  std::uint32_t ready;
  std::uint32_t parity;

  __device__ __forceinline__ SplitTurn(std::uint32_t shared, std::uint32_t count, int rank) {
    const OwnTurn own(count / 2);
    const SentTurn sent(count / 2);
    if (is_own(count, rank)) {
      stage = own_stage(shared, own);
      ready = shared + SharedPlan::kReady + 8 * own.slot;
      parity = own.parity;
    } else {
      stage = sent_stage(shared, sent);
      ready = shared + SplitPlan::kSentReady + 8 * sent.slot;
      parity = sent.parity;
    }
  }
};

// Chunks from number `count` on until is_over(). `rank`: of the block, and of its values.
template <typename IsOver>
__device__ __forceinline__ void recur_split_chunks(std::uint32_t shared, int rank,
                                                   std::uint32_t& count, StateTile& state,
                                                   IsOver is_over) {
#pragma unroll 1
  for (; !is_over(); ++count) {
    const SplitTurn turn(shared, count, rank);
    const OutTurn out_turn(count);
    const Turn<kValueSlots> value_turn(count);
    const std::uint32_t stage = make_uniform(turn.stage);
    wait_at(shared + SplitPlan::kValueFull + 8 * value_turn.slot, value_turn.parity);
    wait_at(turn.ready, turn.parity);
    TokensTile o;
    std::uint32_t operand[8];
    begin_chunk<GateForm::kBounded>(
        stage, shared + SplitPlan::kValues + value_turn.slot * kHalfTile, state, o, operand);
    const ChannelFactors rest = load_channel_factors(stage + StagePlan::kRest);
    wait_products<0>();
    pin(state), pin(o), pin(operand);
    decay_state(rest, state);
    wait_at(shared + SplitPlan::kOutEmpty + 8 * out_turn.slot, out_turn.parity ^ 1);
    store_outputs(shared + SplitPlan::kOut + out_turn.slot * kHalfTile,
                  stage + StagePlan::kOutScale, o);
    publish_to_async_proxy();
    // All of the chunk has been read, too.
    warp_arrive(shared + SplitPlan::kOutFull + 8 * out_turn.slot);
  }
}

template <Keeps kKeeps>
__device__ __forceinline__ void run_split_recurrence(const FusedParams& p, std::uint32_t shared,
                                                     int rank) {
  if (lane_index() == 0) block_round(recurrence_thread() / 32) = 0;
  __syncwarp();
  carry_states<kKeeps, Work::kShares>(
      p, shared, rank, [&](int part, std::uint32_t& count, StateTile& state, auto is_over) {
        recur_split_chunks(shared, part, count, state, is_over);
      });
}

}  // namespace flash_kda::cuda::sm90
