// The chunkwise form: the same numbers as E0, C tokens at a time, as stages E3 to E11.
#pragma once

#include "reference/recurrent.hpp"
#include "reference/stages.hpp"

namespace flash_kda::reference {

// What one chunk of at most `chunk_size` tokens needs besides its inputs.
struct ChunkScratch {
  Matrix g_cum_log2;         // [C, K]
  DecayedRows decayed;       // [C, K] x 3, [1, K]
  Matrix Akk, Akk_inv, Aqk;  // [C, C]
  Matrix residual, v_new;    // [C, V]

  ChunkScratch(Arena& arena, std::int64_t chunk_size, std::int64_t K, std::int64_t V);
  // The views for a chunk of `rows` valid tokens.
  ChunkScratch for_rows(std::int64_t rows) const;
};

// One chunk: rows.q.rows tokens, S [K, V] in place, o [rows, V].
void process_chunk(const HeadRows& rows, double scale, const ChunkScratch& scratch, Matrix S,
                   Matrix o);

// A whole sequence, cut into chunks of chunk_size tokens and one tail.
void chunkwise(const HeadRows& rows, double scale, std::int64_t chunk_size,
               const ChunkScratch& scratch, Matrix S, Matrix o);

}  // namespace flash_kda::reference
