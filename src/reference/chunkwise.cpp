#include "reference/chunkwise.hpp"

#include <algorithm>

namespace flash_kda::reference {

ChunkScratch::ChunkScratch(Arena& arena, std::int64_t chunk_size, std::int64_t K, std::int64_t V)
    : g_cum_log2(arena.matrix(chunk_size, K)),
      decayed{.q_gamma = arena.matrix(chunk_size, K),
              .k_gamma = arena.matrix(chunk_size, K),
              .k_to_end = arena.matrix(chunk_size, K),
              .gamma_last = arena.matrix(1, K)},
      Akk(arena.matrix(chunk_size, chunk_size)),
      Akk_inv(arena.matrix(chunk_size, chunk_size)),
      Aqk(arena.matrix(chunk_size, chunk_size)),
      residual(arena.matrix(chunk_size, V)),
      v_new(arena.matrix(chunk_size, V)) {}

ChunkScratch ChunkScratch::for_rows(std::int64_t rows) const {
  ChunkScratch cut = *this;
  for (Matrix* m : {&cut.g_cum_log2, &cut.decayed.q_gamma, &cut.decayed.k_gamma,
                    &cut.decayed.k_to_end, &cut.residual, &cut.v_new}) {
    m->rows = rows;
  }
  for (Matrix* m : {&cut.Akk, &cut.Akk_inv, &cut.Aqk}) m->rows = m->cols = rows;
  return cut;
}

void process_chunk(const HeadRows& rows, double scale, const ChunkScratch& scratch, Matrix S,
                   Matrix o) {
  const ChunkScratch s = scratch.for_rows(rows.q.rows);
  cumsum_decay(rows.g_log2, s.g_cum_log2);
  apply_decay(rows.q, rows.k, rows.g_log2, s.g_cum_log2, scale, s.decayed);
  score_kk(rows.k, rows.g_log2, rows.beta, s.Akk);
  score_qk(rows.q, rows.k, rows.g_log2, scale, s.Aqk);
  invert_unit_lower(s.Akk, s.Akk_inv);
  delta_values(s.Akk_inv, rows.beta, rows.v, s.decayed.k_gamma, S, s.residual, s.v_new);
  chunk_output(s.decayed.q_gamma, S, s.Aqk, s.v_new, o);
  update_state(s.decayed.gamma_last, s.decayed.k_to_end, s.v_new, S);
}

void chunkwise(const HeadRows& rows, double scale, std::int64_t chunk_size,
               const ChunkScratch& scratch, Matrix S, Matrix o) {
  const std::int64_t tokens = rows.q.rows;
  for (std::int64_t begin = 0; begin < tokens; begin += chunk_size) {
    const std::int64_t n = std::min(chunk_size, tokens - begin);
    process_chunk(rows.slice(begin, n), scale, scratch, S, o.rows_from(begin, n));
  }
}

}  // namespace flash_kda::reference
