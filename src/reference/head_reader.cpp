#include "reference/head_reader.hpp"

#include "reference/element_io.hpp"
#include "reference/stages.hpp"

namespace flash_kda::reference {

HeadReader::HeadReader(const HostCall& call, std::int64_t n, std::int64_t v_head, Matrix dt_bias)
    : problem_(call.problem()),
      tensors_(call.tensors()),
      sequence_(call.sequence(n)),
      v_head_(v_head),
      qk_head_(v_head / (problem_.v_heads / problem_.qk_heads)) {
  // Both are contiguous, whatever their shape.
  if (tensors_.A_log) A_log_ = load_element(tensors_.A_log->data, DType::kF32, v_head);
  if (!tensors_.dt_bias) return;
  for (std::int64_t c = 0; c < dt_bias.cols; ++c) {
    dt_bias(0, c) =
        load_element(tensors_.dt_bias->data, DType::kF32, v_head * problem_.head_dim_k + c);
  }
  dt_bias_ = dt_bias.data;
}

void HeadReader::read(std::int64_t begin, const HeadRows& rows) const {
  read_rows(tensors_.q, qk_head_, begin, rows.q);
  read_rows(tensors_.k, qk_head_, begin, rows.k);
  read_rows(tensors_.v, v_head_, begin, rows.v);
  read_rows(tensors_.g, v_head_, begin, rows.g_log2);
  read_beta(begin, rows.beta);
  normalize_qk(problem_.qk_norm, rows.q);
  normalize_qk(problem_.qk_norm, rows.k);
  activate_gate(problem_.gate, A_log_, dt_bias_, rows.g_log2);
}

void HeadReader::read_rows(const TensorView& view, std::int64_t head, std::int64_t begin,
                           Matrix rows) const {
  for (std::int64_t i = 0; i < rows.rows; ++i) {
    const std::int64_t offset =
        offset_of_row(view, sequence_.batch_row, sequence_.bos + begin + i, head);
    for (std::int64_t c = 0; c < rows.cols; ++c) {
      rows(i, c) = load_element(view.data, view.dtype, offset + c);
    }
  }
}

void HeadReader::read_beta(std::int64_t begin, Matrix beta) const {
  read_rows(tensors_.beta, v_head_, begin, beta);
  for (std::int64_t i = 0; i < beta.rows; ++i) {
    beta(i, 0) = activate_beta(problem_.beta_form, problem_.beta_range, beta(i, 0));
  }
}

void HeadReader::write(std::int64_t begin, Matrix o) const {
  const TensorView& out = tensors_.out;
  for (std::int64_t i = 0; i < o.rows; ++i) {
    const std::int64_t offset =
        offset_of_row(out, sequence_.batch_row, sequence_.bos + begin + i, v_head_);
    for (std::int64_t c = 0; c < o.cols; ++c) {
      store_element(out.data, out.dtype, offset + c, o(i, c));
    }
  }
}

}  // namespace flash_kda::reference
