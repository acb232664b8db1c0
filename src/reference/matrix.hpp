// A row-major view of doubles. Copying it copies the view; nothing here owns memory.
#pragma once

#include <cstdint>

namespace flash_kda::reference {

struct Matrix {
  double* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;

  double* row(std::int64_t i) const { return data + i * cols; }
  double& operator()(std::int64_t i, std::int64_t j) const { return data[i * cols + j]; }
  Matrix first_rows(std::int64_t n) const { return {data, n, cols}; }
  Matrix rows_from(std::int64_t begin, std::int64_t n) const { return {row(begin), n, cols}; }
};

// Cuts matrices out of one block of memory. With a null block it only counts, so that the size of
// a workspace and its layout come from the same code.
class Arena {
 public:
  explicit Arena(double* block) : block_(block) {}
  Matrix matrix(std::int64_t rows, std::int64_t cols) {
    Matrix cut{block_ == nullptr ? nullptr : block_ + used_, rows, cols};
    used_ += rows * cols;
    return cut;
  }
  std::int64_t used() const { return used_; }

 private:
  double* block_;
  std::int64_t used_ = 0;
};

}  // namespace flash_kda::reference
