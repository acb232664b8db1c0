// When chains are cut, for the host, which reserves the workspace, and for the blocks alike.
#pragma once

#include <cstdint>

#include "cuda/sm90/config.hpp"

namespace flash_kda::cuda::sm90 {

#if defined(__CUDACC__)
#define FLASH_KDA_HOST_DEVICE __host__ __device__
#else
#define FLASH_KDA_HOST_DEVICE
#endif

// Time of a chain: its chunks, and about one more for bringing its state in and out (128 KB against
// 41 KB of a chunk, but once).
FLASH_KDA_HOST_DEVICE constexpr std::int64_t cost_of_chain(std::int64_t tokens) {
  return (tokens + kChunk - 1) / kChunk + 1;
}

// All chains laid end to end and cut into equal shares (McNaughton's wrap-around). A share is never
// shorter than the longest chain: then a chain lies in two shares at most, and the end of its first
// part, done first in its share, precedes the second part, done last in the next.
FLASH_KDA_HOST_DEVICE constexpr std::int64_t length_of_share(std::int64_t total,
                                                             std::int64_t longest,
                                                             std::int64_t blocks) {
  const std::int64_t even = (total + blocks - 1) / blocks;
  return even > longest ? even : longest;
}

// Whether cutting saves 5 % against whole chains, of which the busiest block has `whole`.
FLASH_KDA_HOST_DEVICE constexpr bool is_cut_worth_it(std::int64_t share, std::int64_t whole) {
  return 20 * share <= 19 * whole;
}

}  // namespace flash_kda::cuda::sm90
