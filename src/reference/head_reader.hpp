// From the caller's tensors to activated fp64 rows of one (sequence, value head), and back.
#pragma once

#include "core/host_call.hpp"
#include "reference/recurrent.hpp"

namespace flash_kda::reference {

class HeadReader {
 public:
  // dt_bias: scratch [1, K], filled here.
  HeadReader(const HostCall& call, std::int64_t n, std::int64_t v_head, Matrix dt_bias);

  // Tokens [begin, begin + rows.q.rows) of the sequence into `rows`, normalised and activated.
  void read(std::int64_t begin, const HeadRows& rows) const;
  // Rows of o to the same tokens of `out`.
  void write(std::int64_t begin, Matrix o) const;

 private:
  void read_rows(const TensorView& view, std::int64_t head, std::int64_t begin, Matrix rows) const;
  void read_beta(std::int64_t begin, Matrix beta) const;

  const Problem& problem_;
  const Tensors& tensors_;
  Sequence sequence_;
  std::int64_t v_head_;
  std::int64_t qk_head_;
  double A_log_ = 0.0;
  const double* dt_bias_ = nullptr;
};

}  // namespace flash_kda::reference
