// Random activated rows for tests of the fp64 functions.
#pragma once

#include <cmath>
#include <functional>
#include <vector>

#include "reference/chunkwise.hpp"
#include "verification/inputs.hpp"

namespace flash_kda::reference {

struct OwnedMatrix {
  std::vector<double> values;
  Matrix view;

  OwnedMatrix(std::int64_t rows, std::int64_t cols)
      : values(static_cast<std::size_t>(rows * cols)), view{values.data(), rows, cols} {}
  OwnedMatrix(const OwnedMatrix& other) : OwnedMatrix(other.view.rows, other.view.cols) {
    values = other.values;
    view.data = values.data();
  }
  OwnedMatrix& operator=(const OwnedMatrix&) = delete;
};

inline OwnedMatrix random_matrix(std::int64_t rows, std::int64_t cols, std::uint64_t stream) {
  OwnedMatrix m(rows, cols);
  for (std::size_t i = 0; i < m.values.size(); ++i) {
    m.values[i] = verification::normal(/*seed=*/7, stream, i);
  }
  return m;
}

// Unit keys and queries, beta in (0, 1), and the log2 decays that `gate` gives for (token, channel,
// uniform draw).
struct RandomHead {
  using Gate = std::function<double(std::int64_t, std::int64_t, double)>;

  OwnedMatrix q, k, v, g_log2, beta;

  RandomHead(std::int64_t T, std::int64_t K, std::int64_t V, const Gate& gate)
      : q(random_matrix(T, K, 1)),
        k(random_matrix(T, K, 2)),
        v(random_matrix(T, V, 3)),
        g_log2(T, K),
        beta(T, 1) {
    normalize_qk(QkNorm::kL2, q.view);
    normalize_qk(QkNorm::kL2, k.view);
    for (std::int64_t t = 0; t < T; ++t) {
      const auto index = static_cast<std::uint64_t>(t);
      beta.view(t, 0) = verification::uniform(7, 5, index);
      for (std::int64_t c = 0; c < K; ++c) {
        const auto element = index * static_cast<std::uint64_t>(K) + static_cast<std::uint64_t>(c);
        g_log2.view(t, c) = gate(t, c, verification::uniform(7, 4, element));
      }
    }
  }

  HeadRows rows() const {
    return {.q = q.view, .k = k.view, .v = v.view, .g_log2 = g_log2.view, .beta = beta.view};
  }
};

// RMS of the difference over the RMS of `want`; NaN when a NaN or infinity is anywhere.
inline double relative_error(const OwnedMatrix& got, const OwnedMatrix& want) {
  double error = 0.0;
  double size = 0.0;
  for (std::size_t i = 0; i < want.values.size(); ++i) {
    error += (got.values[i] - want.values[i]) * (got.values[i] - want.values[i]);
    size += want.values[i] * want.values[i];
  }
  return error == 0.0 ? 0.0 : std::sqrt(error / size);
}

struct ChunkMemory {
  std::vector<double> block;
  std::vector<ChunkScratch> scratch;

  ChunkMemory(std::int64_t chunk_size, std::int64_t K, std::int64_t V) {
    Arena count(nullptr);
    const ChunkScratch counted(count, chunk_size, K, V);
    block.assign(static_cast<std::size_t>(count.used()), std::nan(""));
    Arena arena(block.data());
    scratch.emplace_back(arena, chunk_size, K, V);
  }
};

}  // namespace flash_kda::reference
