// What a state can keep over a window of tokens, at most: the proof behind replays
// (docs/numerics.md, Range). For the blocks that decide by it, and for tests on the host.
#pragma once

#include <cmath>

#include "cuda/sm90/config.hpp"

namespace flash_kda::cuda::sm90 {

// Of any row x of the state with |x| <= 1 before the window: of_channel[c] >= |x_c|, of_row >= |x|.
// A thread holds kChannels of the channels.
template <int kChannels>
struct StateBound {
  float of_channel[kChannels];
  float of_row;
};

template <int kChannels>
FLASH_KDA_HOST_DEVICE inline StateBound<kChannels> begin_window() {
  StateBound<kChannels> bound;
  for (int i = 0; i < kChannels; ++i) bound.of_channel[i] = 1.0f;
  bound.of_row = 1.0f;
  return bound;
}

// What a token does to a state: its decays, and its correction along the key.
template <int kChannels>
struct TokenEffect {
  float alpha[kChannels];
  float key[kChannels];  // absolute values, normalised
  float slowest;         // the largest alpha of all channels
  float beta;
};

// One token further. `sum` adds over the threads that share the channels. A minimum with NaN is the
// other value, so that keys or betas that are NaN leave the bound of the decays alone.
template <int kChannels, typename Sum>
FLASH_KDA_HOST_DEVICE inline void carry_bound(const TokenEffect<kChannels>& token, const Sum& sum,
                                              StateBound<kChannels>& bound) {
  static_assert(kChannels % 2 == 0);
  float met[2] = {};  // two sums: tokens wait for each other here
  bound.of_row *= token.slowest;
  for (int i = 0; i < kChannels; ++i) {
    bound.of_channel[i] *= token.alpha[i];
    met[i % 2] += token.key[i] * bound.of_channel[i];
  }
  const float moved = token.beta * fminf(sum(met[0] + met[1]), bound.of_row);
  for (int i = 0; i < kChannels; ++i) {
    bound.of_channel[i] = fminf(bound.of_channel[i] + moved * token.key[i], bound.of_row);
  }
}

// Of the map that a window is to a row. The factor covers the rounding of all this and of the
// decays, the addend what fell below 2^-126 on the way.
template <int kChannels, typename Sum>
FLASH_KDA_HOST_DEVICE inline float end_window(const Sum& sum, const StateBound<kChannels>& bound) {
  float squares = 0.0f;
  for (int i = 0; i < kChannels; ++i) squares += bound.of_channel[i] * bound.of_channel[i];
  return fminf(sqrtf(sum(squares)), bound.of_row) * (1.0f + 0x1p-10f) + 0x1p-48f;
}

}  // namespace flash_kda::cuda::sm90
