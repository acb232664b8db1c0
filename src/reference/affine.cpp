#include "reference/affine.hpp"

#include <algorithm>

namespace flash_kda::reference {
namespace {

// out = a * b
void multiply(Matrix a, Matrix b, Matrix out) {
  std::fill_n(out.data, out.rows * out.cols, 0.0);
  for (std::int64_t i = 0; i < a.rows; ++i) {
    for (std::int64_t l = 0; l < a.cols; ++l) {
      for (std::int64_t j = 0; j < b.cols; ++j) out(i, j) += a(i, l) * b(l, j);
    }
  }
}

// out = a^T * b
void multiply_transposed(Matrix a, Matrix b, Matrix out) {
  std::fill_n(out.data, out.rows * out.cols, 0.0);
  for (std::int64_t l = 0; l < a.rows; ++l) {
    for (std::int64_t i = 0; i < a.cols; ++i) {
      for (std::int64_t j = 0; j < b.cols; ++j) out(i, j) += a(l, i) * b(l, j);
    }
  }
}

void add(Matrix x, Matrix out) {
  for (std::int64_t i = 0; i < x.rows * x.cols; ++i) out.data[i] += x.data[i];
}

}  // namespace

void chunk_transition(Matrix gamma_last, Matrix k_to_end, Matrix w, Matrix u,
                      const AffineMap& out) {
  multiply_transposed(k_to_end, w, out.M);
  for (std::int64_t i = 0; i < out.M.rows; ++i) {
    for (std::int64_t j = 0; j < out.M.cols; ++j) {
      out.M(i, j) = (i == j ? gamma_last(0, i) : 0.0) - out.M(i, j);
    }
  }
  multiply_transposed(k_to_end, u, out.S_ext);
}

void compose_affine(const AffineMap& later, const AffineMap& earlier, const AffineMap& out) {
  multiply(later.M, earlier.M, out.M);
  multiply(later.M, earlier.S_ext, out.S_ext);
  add(later.S_ext, out.S_ext);
}

void apply_affine(const AffineMap& map, Matrix S_in, Matrix S_out) {
  multiply(map.M, S_in, S_out);
  add(map.S_ext, S_out);
}

void merge_segments(std::span<const AffineMap> maps, Matrix S_in,
                    std::span<const Matrix> entering) {
  std::copy_n(S_in.data, S_in.rows * S_in.cols, entering[0].data);
  for (std::size_t p = 0; p < maps.size(); ++p) {
    apply_affine(maps[p], entering[p], entering[p + 1]);
  }
}

}  // namespace flash_kda::reference
