// When chains are cut, for the host, which reserves the workspace, and for the blocks alike.
#pragma once

#include <cstdint>

#include "cuda/sm90/config.hpp"

namespace flash_kda::cuda::sm90 {

// What a chain costs beside its chunks, in chunks: bringing its state in and out, and rows of a
// tail one by one. On an H200, blocks with 19 chains of 9 chunks lose 1.7 a chain, blocks with 6
// chains of 32 and no tails 1.3.
inline constexpr std::int64_t kChainCost = 2;
FLASH_KDA_HOST_DEVICE constexpr std::int64_t cost_of_chain(std::int64_t tokens) {
  return (tokens + kChunk - 1) / kChunk + kChainCost;
}

// How chains are laid over blocks.
enum class Layout : std::int32_t {
  kWhole,  // in turns
  // All chains end to end, cut into equal shares (McNaughton's wrap-around). A share is never
  // shorter than the longest chain: then a chain lies in two shares at most, and the end of its
  // first part, done first in its share, precedes the second part, done last in the next.
  kCut,
  // The same without that limit. Parts after a cut start from a replay of some chunks, or wait if
  // the gates do not allow it: at worst a chain is computed as one, which takes as long as kWhole.
  kReplayed,
};

// Cutting must save 5 %.
FLASH_KDA_HOST_DEVICE constexpr bool is_worth_it(std::int64_t cost, std::int64_t otherwise) {
  return 20 * cost <= 19 * otherwise;
}

// Of a replay: the published gates take one chunk; one more for finding that out.
inline constexpr std::int64_t kReplayCost = 2;

struct Balance {
  Layout layout;
  std::int64_t share;  // cost of a block; kWhole: void
};

// Chains of `total` cost, the longest of `longest`; without cuts the busiest block has `whole`.
FLASH_KDA_HOST_DEVICE constexpr Balance choose_balance(std::int64_t total, std::int64_t longest,
                                                       std::int64_t whole, std::int64_t blocks,
                                                       std::int64_t max_warm_up) {
  // Below, a block would spend most of its time on what another computes too.
  constexpr std::int64_t kMinReplayedShare = 2;
  const std::int64_t even = (total + blocks - 1) / blocks;
  const std::int64_t cut = even > longest ? even : longest;
  const bool cut_pays = is_worth_it(cut, whole);
  const std::int64_t replayed = even > kMinReplayedShare ? even : kMinReplayedShare;
  if (max_warm_up > 0 && is_worth_it(replayed + kReplayCost, cut_pays ? cut : whole)) {
    return {Layout::kReplayed, replayed};
  }
  if (cut_pays) return {Layout::kCut, cut};
  return {Layout::kWhole, 0};
}

// Where the state comes from before the first chunk of a piece of work. Of segments (segments.cuh):
// rows of the identity, or the state after the segment before.
enum class Source : std::int32_t { kCaller, kBlock, kZero, kIdentity, kSegment };

// One end may lie in the chain that the other cuts: then end = begin - 1, and the only piece of the
// block is chunks [tail_skip, head_chunks) of that chain.
struct alignas(16) Share {
  std::int32_t rounds;       // pieces of chains
  std::int32_t begin;        // place of the first whole chain
  std::int32_t end;          // one past the last
  std::int32_t head_chunks;  // of chain `end`, to be done first; 0: no cut
  std::int32_t tail_skip;    // chunks of chain begin - 1 that the block before does; 0: no cut
  Layout layout;             // kWhole: all else is void
  std::int32_t tail_replay;  // chunks before tail_skip that are computed again
  Source tail_source;
  std::int32_t block;  // in the order of their start
};

}  // namespace flash_kda::cuda::sm90
