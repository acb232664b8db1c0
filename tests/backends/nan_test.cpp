// NaN and infinity go through as IEEE says, and stay in their sequence and head.
#include "reference/element_io.hpp"
#include "tests/backends/call.hpp"

namespace flash_kda {
namespace {

struct Poison {
  const char* tensor;
  double value;
};

class NaN : public OnHostBackend {
 protected:
  static constexpr std::int64_t kSequence = 1, kHead = 2, kToken = 21;  // token of the sequence
  static constexpr std::int64_t kLengths[] = {20, 40, 17};

  static TensorView& tensor(Tensors& t, const std::string& name) {
    if (name == "q") return t.q;
    if (name == "k") return t.k;
    if (name == "v") return t.v;
    return name == "g" ? t.g : t.beta;
  }

  // Writes the poison at kSequence, kToken and the head that value head kHead reads.
  static void put(Tensors& t, const Poison& poison) {
    TensorView& view = tensor(t, poison.tensor);
    const std::int64_t head = kHead * view.shape[2] / t.v.shape[2];
    const std::int64_t offset = reference::offset_of_row(view, 0, kLengths[0] + kToken, head);
    reference::store_element(view.data, view.dtype, offset, poison.value);
  }
};

TEST_P(NaN, StaysInItsSequenceAndHead) {
  const verification::Case c = packed({std::begin(kLengths), std::end(kLengths)});
  const verification::CaseData clean(c, /*seed=*/13);
  const Result3 want = run_call(c.problem, clean.tensors(), GetParam().options());
  const double inf = std::numeric_limits<double>::infinity();
  const std::int64_t V = c.problem.head_dim_v, K = c.problem.head_dim_k, HV = c.problem.v_heads;
  for (const Poison poison : {Poison{"q", std::nan("")},
                              {"k", std::nan("")},
                              {"v", std::nan("")},
                              {"g", std::nan("")},
                              {"beta", std::nan("")},
                              {"q", inf},
                              {"k", inf},
                              {"v", -inf}}) {
    SCOPED_TRACE(std::string(poison.tensor) + " " + std::to_string(poison.value));
    verification::CaseData data(c, /*seed=*/13);
    put(data.tensors(), poison);
    const Result3 got = run_call(c.problem, data.tensors(), GetParam().options());

    // q and k are shared by the value heads of a group.
    const bool shared = poison.tensor[0] == 'q' || poison.tensor[0] == 'k';
    const std::int64_t group = HV / c.problem.qk_heads;
    std::int64_t bos = 0;
    for (std::int64_t n = 0; n < 3; ++n) {
      for (std::int64_t h = 0; h < HV; ++h) {
        const bool touched =
            n == kSequence && (h == kHead || (shared && h / group == kHead / group));
        if (touched) continue;
        for (std::int64_t t = bos; t < bos + kLengths[n]; ++t) {
          ASSERT_TRUE(
              same_bits(part(got.out, (t * HV + h) * V, V), part(want.out, (t * HV + h) * V, V)))
              << "sequence " << n << " head " << h << " token " << t - bos;
        }
        ASSERT_TRUE(same_bits(part(got.final_state, (n * HV + h) * V * K, V * K),
                              part(want.final_state, (n * HV + h) * V * K, V * K)))
            << "sequence " << n << " head " << h;
      }
      bos += kLengths[n];
    }
    // It is not swallowed: its own token shows it.
    const std::int64_t row = ((kLengths[0] + kToken) * HV + kHead) * V;
    const std::vector<float> own = part(got.out, row, V);
    EXPECT_TRUE(std::any_of(own.begin(), own.end(), [](float x) { return !std::isfinite(x); }));
  }
}

FLASH_KDA_ON_ALL_HOST_BACKENDS(NaN);

}  // namespace
}  // namespace flash_kda
