// A stretch of tokens seen from outside is an affine map of the state, S -> M S + S_ext. E12 to
// E14: such maps can be made per segment without knowing the state that enters, and joined
// afterwards.
#pragma once

#include <span>

#include "reference/matrix.hpp"

namespace flash_kda::reference {

struct AffineMap {
  Matrix M;      // [K, K]
  Matrix S_ext;  // [K, V]: the state after the stretch when it starts from zero
};

// E12 M = Diag(gamma_last) - k_to_end^T w,  S_ext = k_to_end^T u, of one chunk (w, u from E9).
void chunk_transition(Matrix gamma_last, Matrix k_to_end, Matrix w, Matrix u, const AffineMap& out);

// E13 out = later after earlier = (M2 M1, M2 S1 + S2). `out` overlaps neither.
void compose_affine(const AffineMap& later, const AffineMap& earlier, const AffineMap& out);

// S_out = M S_in + S_ext
void apply_affine(const AffineMap& map, Matrix S_in, Matrix S_out);

// E14 entering[0] = S_in, entering[p + 1] = maps[p](entering[p]): the state that enters each of the
//     P segments, and behind them the final state. entering has P + 1 matrices [K, V].
void merge_segments(std::span<const AffineMap> maps, Matrix S_in, std::span<const Matrix> entering);

}  // namespace flash_kda::reference
