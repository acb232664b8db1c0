#include "verification/expected.hpp"

#include <algorithm>
#include <cmath>

#include "reference/element_io.hpp"
#include "reference/recurrent.hpp"
#include "reference/stages.hpp"

namespace flash_kda::verification {
namespace {

using reference::Matrix;

struct OwnedMatrix {
  std::vector<double> values;
  Matrix view;

  OwnedMatrix(std::int64_t rows, std::int64_t cols)
      : values(static_cast<std::size_t>(rows * cols)), view{values.data(), rows, cols} {}
};

// The activated rows of one (sequence, head).
class HeadInputs {
 public:
  HeadInputs(const Problem& p, const Tensors& t, const SequencePlaces& s, std::int64_t v_head)
      : q_(s.length, p.head_dim_k),
        k_(s.length, p.head_dim_k),
        v_(s.length, p.head_dim_v),
        g_(s.length, p.head_dim_k),
        beta_(s.length, 1) {
    const std::int64_t qk_head = v_head * p.qk_heads / p.v_heads;
    read(t.q, s, qk_head, q_.view);
    read(t.k, s, qk_head, k_.view);
    read(t.v, s, v_head, v_.view);
    read(t.g, s, v_head, g_.view);
    read(t.beta, s, v_head, beta_.view);
    reference::normalize_qk(p.qk_norm, q_.view);
    reference::normalize_qk(p.qk_norm, k_.view);
    activate(p, t, v_head);
  }

  reference::HeadRows rows() const {
    return {.q = q_.view, .k = k_.view, .v = v_.view, .g_log2 = g_.view, .beta = beta_.view};
  }

 private:
  static void read(const TensorView& view, const SequencePlaces& s, std::int64_t head, Matrix to) {
    for (std::int64_t i = 0; i < to.rows; ++i) {
      for (std::int64_t c = 0; c < to.cols; ++c) {
        to(i, c) = read_token(view, s.batch_row, s.bos + i, head, c);
      }
    }
  }

  void activate(const Problem& p, const Tensors& t, std::int64_t v_head) {
    std::vector<double> bias(static_cast<std::size_t>(p.head_dim_k), 0.0);
    for (std::int64_t c = 0; t.dt_bias && c < p.head_dim_k; ++c) {
      bias[static_cast<std::size_t>(c)] =
          reference::load_element(t.dt_bias->data, DType::kF32, v_head * p.head_dim_k + c);
    }
    const double A_log =
        t.A_log ? reference::load_element(t.A_log->data, DType::kF32, v_head) : 0.0;
    reference::activate_gate(p.gate, A_log, bias.data(), g_.view);
    for (std::int64_t i = 0; i < beta_.view.rows; ++i) {
      beta_.view(i, 0) = reference::activate_beta(p.beta_form, p.beta_range, beta_.view(i, 0));
    }
  }

  OwnedMatrix q_, k_, v_, g_, beta_;
};

double rms(const std::vector<double>& values) {
  double sum = 0.0;
  for (const double x : values) sum += x * x;
  return values.empty() ? 0.0 : std::sqrt(sum / static_cast<double>(values.size()));
}

double norm(Matrix rows, std::int64_t i) {
  double sum = 0.0;
  for (std::int64_t c = 0; c < rows.cols; ++c) sum += rows(i, c) * rows(i, c);
  return std::sqrt(sum);
}

ExpectedHead expect_head(const Problem& p, const Tensors& t, const SequencePlaces& s,
                         std::int64_t v_head) {
  const HeadInputs inputs(p, t, s, v_head);
  OwnedMatrix S(p.head_dim_k, p.head_dim_v), o(s.length, p.head_dim_v), delta(1, p.head_dim_v);
  for (std::int64_t k = 0; s.initial && k < p.head_dim_k; ++k) {
    for (std::int64_t v = 0; v < p.head_dim_v; ++v) S.view(k, v) = s.initial.read(v_head, k, v);
  }
  std::vector<std::int64_t> offsets;
  for (const CheckpointPlace& c : s.checkpoints) offsets.push_back(c.offset);
  std::sort(offsets.begin(), offsets.end());
  offsets.erase(std::unique(offsets.begin(), offsets.end()), offsets.end());

  ExpectedHead head;
  head.peak_state_rms = rms(S.values);
  for (std::int64_t i = 0; i < s.length; ++i) {
    reference::recurrent(inputs.rows().slice(i, 1), p.effective_scale(), S.view, delta.view,
                         o.view.rows_from(i, 1));
    const double state_rms = rms(S.values);
    head.peak_state_rms = std::max(head.peak_state_rms, state_rms);
    head.out_size.push_back(std::abs(p.effective_scale()) * norm(inputs.rows().q, i) * state_rms);
    if (std::binary_search(offsets.begin(), offsets.end(), i + 1)) {
      head.checkpoints.push_back({i + 1, S.values});
    }
  }
  head.out = std::move(o.values);
  head.final_state = std::move(S.values);
  return head;
}

}  // namespace

Expected expect(const Problem& p, const Tensors& t) {
  Expected expected;
  expected.places = find_places(p, t);
  for (const SequencePlaces& s : expected.places) {
    for (std::int64_t v_head = 0; v_head < p.v_heads; ++v_head) {
      expected.heads.push_back(expect_head(p, t, s, v_head));
    }
  }
  return expected;
}

}  // namespace flash_kda::verification
