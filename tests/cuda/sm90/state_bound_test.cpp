// The bound behind replays against the operator norm of the window, in fp64.
#include "cuda/sm90/state_bound.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace flash_kda::cuda::sm90 {
namespace {

using Row = std::array<double, kDim>;
using Token = TokenEffect<kDim>;

struct KeepAll {
  float operator()(float x) const { return x; }
};

double norm_of(const Row& x) {
  double sum = 0;
  for (const double value : x) sum += value * value;
  return std::sqrt(sum);
}

double dot(const std::vector<double>& key, const Row& x) {
  double sum = 0;
  for (int c = 0; c < kDim; ++c) sum += key[c] * x[c];
  return sum;
}

// A window with the signs that the bound does not see.
struct Window {
  std::vector<Token> tokens;
  std::vector<std::vector<double>> keys;

  void add(const std::vector<double>& alpha, std::vector<double> key, double beta) {
    double squares = 0;
    for (const double x : key) squares += x * x;
    for (double& x : key) x /= std::sqrt(squares + 1e-300);
    Token token{};
    for (int c = 0; c < kDim; ++c) {
      token.alpha[c] = static_cast<float>(alpha[c]);
      token.key[c] = static_cast<float>(std::abs(key[c]));
    }
    token.slowest = *std::max_element(token.alpha, token.alpha + kDim);
    token.beta = static_cast<float>(beta);
    tokens.push_back(token);
    keys.push_back(std::move(key));
  }

  float bound() const {
    auto state = begin_window<kDim>();
    for (const Token& token : tokens) carry_bound(token, KeepAll(), state);
    return end_window(KeepAll(), state);
  }

  // (I - beta k k^T) Diag(alpha), token by token, and the transpose of all that.
  Row apply(Row x) const {
    for (std::size_t t = 0; t < tokens.size(); ++t) {
      for (int c = 0; c < kDim; ++c) x[c] *= tokens[t].alpha[c];
      const double moved = tokens[t].beta * dot(keys[t], x);
      for (int c = 0; c < kDim; ++c) x[c] -= moved * keys[t][c];
    }
    return x;
  }
  Row apply_transposed(Row x) const {
    for (std::size_t t = tokens.size(); t-- > 0;) {
      const double moved = tokens[t].beta * dot(keys[t], x);
      for (int c = 0; c < kDim; ++c) x[c] = tokens[t].alpha[c] * (x[c] - moved * keys[t][c]);
    }
    return x;
  }

  // By power iteration, from below.
  double norm(std::mt19937& random) const {
    std::normal_distribution<double> normal;
    Row x;
    for (double& value : x) value = normal(random);
    double norm = 0;
    for (int i = 0; i < 60; ++i) {
      const double length = norm_of(x);
      if (length == 0) return 0;
      for (double& value : x) value /= length;
      norm = std::max(norm, norm_of(apply(x)));
      x = apply_transposed(apply(x));
    }
    return norm;
  }
};

std::vector<double> random_key(std::mt19937& random, const std::vector<double>& common) {
  std::normal_distribution<double> normal;
  std::vector<double> key(kDim);
  for (int c = 0; c < kDim; ++c) key[c] = normal(random) + common[c];
  return key;
}

TEST(StateBound, IsNeverBelowTheOperatorNorm) {
  std::mt19937 random(3);
  std::uniform_real_distribution<double> unit(0, 1);
  std::normal_distribution<double> normal;
  for (int i = 0; i < 400; ++i) {
    // Gates from closed to open, keys from independent to nearly parallel, betas up to 1.
    const double lower_bound = -5 * std::pow(10.0, -3 * unit(random));
    const double correlation = i % 3 == 0 ? 0 : std::pow(10.0, 3 * unit(random) - 1);
    std::vector<double> common(kDim);
    for (double& x : common) x = correlation * normal(random);
    Window window;
    for (int t = 0; t < kWindow; ++t) {
      std::vector<double> alpha(kDim);
      for (double& a : alpha) a = std::exp(lower_bound / (1 + std::exp(-2 * normal(random))));
      if (i % 4 == 0) alpha[t % (1 + i % 7)] = 1;  // channels that take turns
      window.add(alpha, random_key(random, common), i % 5 == 0 ? 1 : unit(random));
    }
    EXPECT_GE(window.bound(), window.norm(random)) << "window " << i;
  }
}

// Keys of few channels carry what one channel keeps to the one that is open next.
TEST(StateBound, HoldsWhereKeysFollowTheOpenChannel) {
  std::mt19937 random(4);
  for (const double closed : {0.5, 0.1, 1e-3}) {
    Window window;
    for (int t = 0; t < kWindow; ++t) {
      std::vector<double> alpha(kDim, closed);
      alpha[t % 4] = 1;
      std::vector<double> key(kDim, 0);
      key[t % 4] = 1;
      key[(t + 1) % 4] = t % 2 == 0 ? 1 : -1;
      window.add(alpha, key, 1);
    }
    const double norm = window.norm(random);
    // The product of decays along any channel would be far too small.
    EXPECT_GT(norm, 4 * std::pow(closed, kWindow - kWindow / 4));
    EXPECT_GE(window.bound(), norm);
  }
}

// No token has only closed channels, so the product of the slowest decays is 1.
TEST(StateBound, IsSmallWhereChannelsTakeTurns) {
  std::mt19937 random(5);
  Window window;
  for (int t = 0; t < kWindow; ++t) {
    std::vector<double> alpha(kDim, 0.1);
    alpha[(37 * t) % kDim] = 1;
    window.add(alpha, random_key(random, std::vector<double>(kDim, 0)), 0.5);
  }
  EXPECT_GE(window.bound(), window.norm(random));
  EXPECT_LE(window.bound(), 0x1p-10f);
}

TEST(StateBound, IsTheDecayWhereAllChannelsAgree) {
  std::mt19937 random(6);
  Window window;
  for (int t = 0; t < kWindow; ++t) {
    window.add(std::vector<double>(kDim, 0.75), random_key(random, std::vector<double>(kDim, 0)),
               0.9);
  }
  EXPECT_NEAR(window.bound() / std::pow(0.75, kWindow), 1, 0x1p-9);
}

Window of_gates(double alpha) {
  Window window;
  for (int t = 0; t < kWindow; ++t) {
    window.add(std::vector<double>(kDim, 0.5), std::vector<double>(kDim, 1), 0.5);
  }
  window.tokens[3].alpha[5] = static_cast<float>(alpha);
  window.tokens[3].slowest = std::max(static_cast<float>(alpha), 0.5f);
  return window;
}

TEST(StateBound, ProvesNothingAfterGrowth) {
  EXPECT_EQ(of_gates(std::numeric_limits<double>::infinity()).bound(),
            std::numeric_limits<float>::infinity());
}

// A key or a beta that is NaN is replayed with its token; the decays hold all the same.
TEST(StateBound, FallsBackToTheSlowestDecays) {
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  Window window = of_gates(0.5);
  window.tokens[7].key[2] = kNaN;
  window.tokens[9].beta = kNaN;
  EXPECT_NEAR(window.bound() / std::pow(0.5, kWindow), 1, 0x1p-9);
}

// What underflows counts as 2^-48, not as nothing.
TEST(StateBound, NeverReachesZero) {
  Window window;
  for (int t = 0; t < kWindow; ++t) {
    window.add(std::vector<double>(kDim, 0x1p-13), std::vector<double>(kDim, 1), 0.5);
  }
  EXPECT_GE(window.bound(), 0x1p-48f);
}

}  // namespace
}  // namespace flash_kda::cuda::sm90
