// E12 to E14: segments as affine maps.
#include "reference/affine.hpp"

#include <gtest/gtest.h>

#include "tests/reference/random_rows.hpp"

namespace flash_kda::reference {
namespace {

constexpr std::int64_t kK = 24;
constexpr std::int64_t kV = 20;
// As in chunkwise_test.cpp: sums of 24 terms, factors at most 1.
constexpr double kTolerance = 1e-13;

double published_gate(std::int64_t, std::int64_t, double u) { return -1.5 * u; }

struct OwnedMap {
  OwnedMatrix M{kK, kK};
  OwnedMatrix S_ext{kK, kV};
  AffineMap map() const { return {M.view, S_ext.view}; }
};

// The map of one chunk from its rows, by E9 and E12.
OwnedMap map_of_chunk(const HeadRows& rows) {
  const std::int64_t C = rows.q.rows;
  const ChunkMemory memory(C, kK, kV);
  const ChunkScratch& s = memory.scratch[0];
  OwnedMatrix w(C, kK), u(C, kV);
  cumsum_decay(rows.g_log2, s.g_cum_log2);
  apply_decay(rows.q, rows.k, rows.g_log2, s.g_cum_log2, 1.0, s.decayed);
  score_kk(rows.k, rows.g_log2, rows.beta, s.Akk);
  invert_unit_lower(s.Akk, s.Akk_inv);
  wy_factors(s.Akk_inv, rows.beta, rows.v, s.decayed.k_gamma, w.view, u.view);
  OwnedMap map;
  chunk_transition(s.decayed.gamma_last, s.decayed.k_to_end, w.view, u.view, map.map());
  return map;
}

OwnedMatrix state_after(const HeadRows& rows, const OwnedMatrix& S_in) {
  OwnedMatrix S = S_in, o(rows.q.rows, kV), delta(1, kV);
  recurrent(rows, 1.0, S.view, delta.view, o.view);
  return S;
}

TEST(Affine, ChunkTransitionIsWhatTheChunkDoesToAnyState) {
  for (const std::int64_t C : {1, 5, 16, 33}) {
    const RandomHead head(C, kK, kV, published_gate);
    const OwnedMap map = map_of_chunk(head.rows());
    const OwnedMatrix S_in = random_matrix(kK, kV, 11);
    OwnedMatrix S_out(kK, kV);
    apply_affine(map.map(), S_in.view, S_out.view);
    EXPECT_LT(relative_error(S_out, state_after(head.rows(), S_in)), kTolerance) << "C " << C;
  }
}

TEST(Affine, CompositionIsAssociative) {
  const RandomHead head(48, kK, kV, published_gate);
  const OwnedMap a = map_of_chunk(head.rows().slice(0, 16));
  const OwnedMap b = map_of_chunk(head.rows().slice(16, 16));
  const OwnedMap c = map_of_chunk(head.rows().slice(32, 16));
  OwnedMap ba, c_ba, cb, cb_a;
  compose_affine(b.map(), a.map(), ba.map());
  compose_affine(c.map(), ba.map(), c_ba.map());
  compose_affine(c.map(), b.map(), cb.map());
  compose_affine(cb.map(), a.map(), cb_a.map());
  EXPECT_LT(relative_error(c_ba.M, cb_a.M), kTolerance);
  EXPECT_LT(relative_error(c_ba.S_ext, cb_a.S_ext), kTolerance);
  const OwnedMap whole = map_of_chunk(head.rows());
  EXPECT_LT(relative_error(c_ba.M, whole.M), kTolerance);
  EXPECT_LT(relative_error(c_ba.S_ext, whole.S_ext), kTolerance);
}

TEST(Affine, MergedSegmentsEnterWithTheStateOfTheWholeSequence) {
  const RandomHead head(50, kK, kV, published_gate);
  const std::int64_t cuts[] = {0, 7, 8, 31, 50};
  std::vector<OwnedMap> owned;
  for (int p = 0; p < 4; ++p) {
    owned.push_back(map_of_chunk(head.rows().slice(cuts[p], cuts[p + 1] - cuts[p])));
  }
  std::vector<AffineMap> maps;
  for (const OwnedMap& map : owned) maps.push_back(map.map());
  std::vector<OwnedMatrix> entering(5, OwnedMatrix(kK, kV));
  std::vector<Matrix> views;
  for (const OwnedMatrix& S : entering) views.push_back(S.view);
  const OwnedMatrix S_in = random_matrix(kK, kV, 11);
  merge_segments(maps, S_in.view, views);
  for (int p = 0; p <= 4; ++p) {
    const OwnedMatrix want = state_after(head.rows().slice(0, cuts[p]), S_in);
    EXPECT_LT(relative_error(entering[static_cast<std::size_t>(p)], want), kTolerance)
        << "segment " << p;
  }
}

}  // namespace
}  // namespace flash_kda::reference
