// When chains are cut, for the host, which reserves the workspace, and for the blocks alike.
#pragma once

#include <cstdint>

#include "cuda/sm90/config.hpp"

namespace flash_kda::cuda::sm90 {

// Time of a chain: its chunks, and about one more for bringing its state in and out (128 KB against
// 41 KB of a chunk, but once).
FLASH_KDA_HOST_DEVICE constexpr std::int64_t cost_of_chain(std::int64_t tokens) {
  return (tokens + kChunk - 1) / kChunk + 1;
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

struct Balance {
  Layout layout;
  std::int64_t share;  // cost of a block; kWhole: void
};

// Chains of `total` cost, the longest of `longest`; without cuts the busiest block has `whole`.
FLASH_KDA_HOST_DEVICE constexpr Balance choose_balance(std::int64_t total, std::int64_t longest,
                                                       std::int64_t whole, std::int64_t blocks,
                                                       std::int64_t max_warm_up) {
  // Replays of the published gates take one chunk; one more for finding that out.
  constexpr std::int64_t kReplayCost = 2;
  constexpr std::int64_t kMinReplayedShare = 8;
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

}  // namespace flash_kda::cuda::sm90
