// Any problem and any tensor descriptions: the checks must answer, without overflow, and whatever
// they accept must describe memory that can be addressed.

#include <cstdlib>
#include <cstring>
#include <optional>

#include "core/checks.hpp"
#include "core/host_call.hpp"
#include "flash_kda/prefill.hpp"

namespace {

using namespace flash_kda;

// Takes values off the input; zeros when it is used up.
class Reader {
 public:
  Reader(const std::uint8_t* data, std::size_t size) : next_(data), left_(size) {}

  template <typename T>
  T take() {
    T value{};
    const std::size_t count = left_ < sizeof value ? left_ : sizeof value;
    if (count > 0) std::memcpy(&value, next_, count);
    next_ += count;
    left_ -= count;
    return value;
  }
  // Small and fair most of the time, anything at all otherwise.
  std::int64_t size() {
    const auto kind = take<std::uint8_t>();
    return kind < 200 ? kind % 9 : take<std::int64_t>();
  }
  template <typename Enum>
  Enum choice(int count) {
    const auto byte = take<std::int8_t>();
    return static_cast<Enum>(byte >= 0 ? byte % count : byte);
  }

 private:
  const std::uint8_t* next_;
  std::size_t left_;
};

Problem read_problem(Reader& in) {
  Problem p;
  p.batch = in.size();
  p.tokens = in.size();
  if (in.take<std::uint8_t>() % 2) p.num_sequences = in.size();
  p.qk_heads = in.size();
  p.v_heads = in.size();
  p.head_dim_k = in.size();
  p.head_dim_v = in.size();
  p.qkv_dtype = in.choice<DType>(6);
  p.out_dtype = in.choice<DType>(6);
  p.gate_dtype = in.choice<DType>(6);
  p.beta_dtype = in.choice<DType>(6);
  p.gate.kind = in.choice<GateKind>(3);
  p.gate.lower_bound = in.take<float>();
  p.qk_norm = in.choice<QkNorm>(2);
  p.beta_form = in.choice<BetaForm>(2);
  p.beta_range = in.choice<BetaRange>(2);
  if (in.take<std::uint8_t>() % 2) p.scale = in.take<float>();
  p.state.storage = in.choice<StateStorage>(2);
  p.state.dtype = in.choice<DType>(6);
  p.state.layout = in.choice<StateLayout>(2);
  p.state.pool_slots = in.size();
  p.checkpoints.kind = in.choice<CheckpointKind>(3);
  p.checkpoints.every = in.size();
  p.checkpoints.max_offsets = in.size();
  p.checkpoints.destination = in.choice<StateStorage>(2);
  p.checkpoints.pool_slots = in.size();
  return p;
}

alignas(64) std::byte never_read[64];

TensorView read_view(Reader& in) {
  TensorView view;
  const auto where = in.take<std::uint8_t>();
  if (where % 8) view.data = never_read + where % 3;
  view.dtype = in.choice<DType>(6);
  view.rank = in.choice<int>(8);
  for (int d = 0; d < kMaxRank; ++d) {
    view.shape[d] = in.size();
    view.strides[d] = in.size();
  }
  return view;
}

std::optional<TensorView> read_optional_view(Reader& in) {
  if (in.take<std::uint8_t>() % 2) return std::nullopt;
  return read_view(in);
}

Tensors read_tensors(Reader& in) {
  Tensors t;
  for (TensorView* view : {&t.q, &t.k, &t.v, &t.g, &t.beta, &t.out}) *view = read_view(in);
  for (std::optional<TensorView>* view :
       {&t.A_log, &t.dt_bias, &t.cu_seqlens, &t.initial_state, &t.final_state, &t.state_pool,
        &t.state_indices, &t.has_initial_state, &t.checkpoints, &t.checkpoint_offsets,
        &t.checkpoint_slots}) {
    *view = read_optional_view(in);
  }
  return t;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Reader in(data, size);
  const Problem problem = read_problem(in);
  if (!check_problem(problem).ok()) return 0;
  // Accepted: sizes multiply without overflow, names exist, the workspace is a number.
  if (to_string(problem).empty()) std::abort();
  static_cast<void>(HostCall::workspace_bytes(problem));
  static_cast<void>(check_tensors(problem, read_tensors(in)));
  return 0;
}
