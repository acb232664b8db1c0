#include "cpu/head_input.hpp"

#include <cmath>

#include "cpu/split.hpp"

namespace flash_kda::cpu {
namespace {

std::int64_t bytes(DType dtype, std::int64_t elements) {
  return elements * static_cast<std::int64_t>(size_of(dtype));
}

// Row 0 is the sequence's first token. The tensor is [B, T, heads, ...].
Rows head_rows(const TensorView& tensor, const Sequence& sequence, std::int64_t head) {
  if (tensor.data == nullptr) return {};  // no tokens, no memory
  const std::int64_t first = sequence.batch_row * tensor.strides[0] +
                             sequence.bos * tensor.strides[1] + head * tensor.strides[2];
  return {.data = static_cast<const char*>(tensor.data) + bytes(tensor.dtype, first),
          .dtype = tensor.dtype,
          .stride = tensor.strides[1]};
}

// Element `index` in row-major order of a small fp32 tensor of any shape and strides.
float flat_element(const TensorView& tensor, std::int64_t index) {
  std::int64_t offset = 0;
  for (int d = tensor.rank - 1; d >= 0; --d) {
    offset += index % tensor.shape[d] * tensor.strides[d];
    index /= tensor.shape[d];
  }
  return static_cast<const float*>(tensor.data)[offset];
}

}  // namespace

HeadInput head_input(const HostCall& call, const Sequence& sequence, int v_head) {
  const Tensors& t = call.tensors();
  const Problem& p = call.problem();
  const std::int64_t qk_head = v_head / (p.v_heads / p.qk_heads);
  return {.q = head_rows(t.q, sequence, qk_head),
          .k = head_rows(t.k, sequence, qk_head),
          .v = head_rows(t.v, sequence, v_head),
          .g = head_rows(t.g, sequence, v_head),
          .beta = head_rows(t.beta, sequence, v_head)};
}

MutableRows head_output(const HostCall& call, const Sequence& sequence, int v_head) {
  const Rows rows = head_rows(call.tensors().out, sequence, v_head);
  return {.data = const_cast<void*>(rows.data), .dtype = rows.dtype, .stride = rows.stride};
}

HeadParams head_params(const HostCall& call, int v_head, float* dt_bias) {
  const Problem& p = call.problem();
  const Tensors& t = call.tensors();
  HeadParams params;
  params.gate = p.gate.kind;
  params.qk_norm = p.qk_norm;
  params.beta_form = p.beta_form;
  params.beta_factor = p.beta_range == BetaRange::kDoubled ? 2.0f : 1.0f;
  params.lower_bound = p.gate.lower_bound;
  params.gate_scale = t.A_log ? std::exp(flat_element(*t.A_log, v_head)) : 1.0f;
  params.scale = p.effective_scale();
  params.num_k = static_cast<int>(p.head_dim_k);
  params.num_k_padded = padded_k(p);
  params.num_v = static_cast<int>(p.head_dim_v);
  for (int k = 0; k < params.num_k_padded; ++k) {
    dt_bias[k] =
        t.dt_bias && k < params.num_k ? flat_element(*t.dt_bias, v_head * p.head_dim_k + k) : 0.0f;
  }
  params.dt_bias = dt_bias;
  return params;
}

Rows rows_at(const Rows& rows, std::int64_t token, std::int64_t column) {
  return {
      .data = static_cast<const char*>(rows.data) + bytes(rows.dtype, token * rows.stride + column),
      .dtype = rows.dtype,
      .stride = rows.stride};
}

MutableRows rows_at(const MutableRows& rows, std::int64_t token, std::int64_t column) {
  return {.data = static_cast<char*>(rows.data) + bytes(rows.dtype, token * rows.stride + column),
          .dtype = rows.dtype,
          .stride = rows.stride};
}

}  // namespace flash_kda::cpu
