#include "apps/lm/kda_call.hpp"

#include <new>

namespace flash_kda::lm {
namespace {

// The library takes mutable pointers only; it writes to none but out and the state.
TensorView view_of(const Matrix& x, std::initializer_list<std::int64_t> shape) {
  return TensorView::contiguous(const_cast<float*>(x.data()), DType::kF32, shape);
}

using BF16Matrix = Eigen::Matrix<Eigen::bfloat16, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

TensorView view_of(BF16Matrix& x, std::initializer_list<std::int64_t> shape) {
  return TensorView::contiguous(x.data(), DType::kBF16, shape);
}

TensorView view_of(const RowVector& x) {
  return TensorView::contiguous(const_cast<float*>(x.data()), DType::kF32, {x.size()});
}

}  // namespace

void KdaCaller::AlignedDelete::operator()(std::byte* data) const {
  ::operator delete (data, std::align_val_t{Plan::kWorkspaceAlignment});
}

KdaCaller::KdaCaller(const ModelConfig& config, const PlanOptions& options, DType state_dtype)
    : config_(config), options_(options), state_dtype_(state_dtype) {}

StateBuffer KdaCaller::zero_state() const {
  const auto elements = static_cast<std::size_t>(config_.width_v() * config_.head_dim);
  return StateBuffer(elements * size_of(state_dtype_));
}

// The CUDA backend reads bf16 only.
DType KdaCaller::qkv_dtype() const {
  return options_.backend == BackendKind::kCuda ? DType::kBF16 : DType::kF32;
}

Problem KdaCaller::problem_for(std::int64_t tokens) const {
  Problem problem;
  problem.tokens = tokens;
  problem.qk_heads = config_.n_heads_qk;
  problem.v_heads = config_.n_heads_v;
  problem.head_dim_k = config_.head_dim;
  problem.head_dim_v = config_.head_dim;
  problem.qkv_dtype = qkv_dtype();
  problem.out_dtype = DType::kF32;
  problem.gate_dtype = problem.beta_dtype = DType::kF32;
  problem.gate = config_.gate;
  problem.state.dtype = state_dtype_;
  return problem;
}

Result<const Plan*> KdaCaller::plan_for(std::int64_t tokens) {
  auto found = plans_.find(tokens);
  if (found == plans_.end()) {
    PlanOptions options = options_;
    // One token reads 64 KiB of state a head, some microseconds; waking a thread costs as much, and
    // milliseconds on a busy machine.
    if (tokens == 1) options.threads = 1;
    Result<Plan> plan = make_plan(problem_for(tokens), options);
    if (!plan.ok()) return plan.status();
    found = plans_.emplace(tokens, std::move(*plan)).first;
  }
  return &found->second;
}

Result<Config> KdaCaller::plan_config(std::int64_t tokens) {
  Result<const Plan*> plan = plan_for(tokens);
  if (!plan.ok()) return plan.status();
  return (*plan)->config;
}

Workspace KdaCaller::workspace_of(const Plan& plan) {
  if (plan.workspace_bytes > workspace_bytes_) {
    workspace_.reset(static_cast<std::byte*>(
        ::operator new (plan.workspace_bytes, std::align_val_t{Plan::kWorkspaceAlignment})));
    workspace_bytes_ = plan.workspace_bytes;
  }
  return {workspace_.get(), workspace_bytes_};
}

Status KdaCaller::run(const LayerWeights& weights, const KdaInputs& inputs, StateBuffer& state,
                      Matrix& out) {
  const std::int64_t tokens = inputs.q.rows();
  const std::int64_t heads_qk = config_.n_heads_qk, heads_v = config_.n_heads_v;
  const std::int64_t dim = config_.head_dim;
  Result<const Plan*> plan = plan_for(tokens);
  if (!plan.ok()) return plan.status();

  out.resize(tokens, config_.width_v());
  Tensors tensors;
  BF16Matrix q, k, v;
  if (qkv_dtype() == DType::kBF16) {
    q = inputs.q.cast<Eigen::bfloat16>();
    k = inputs.k.cast<Eigen::bfloat16>();
    v = inputs.v.cast<Eigen::bfloat16>();
    tensors.q = view_of(q, {1, tokens, heads_qk, dim});
    tensors.k = view_of(k, {1, tokens, heads_qk, dim});
    tensors.v = view_of(v, {1, tokens, heads_v, dim});
  } else {
    tensors.q = view_of(inputs.q, {1, tokens, heads_qk, dim});
    tensors.k = view_of(inputs.k, {1, tokens, heads_qk, dim});
    tensors.v = view_of(inputs.v, {1, tokens, heads_v, dim});
  }
  tensors.g = view_of(inputs.g_raw, {1, tokens, heads_v, dim});
  tensors.beta = view_of(inputs.beta_logits, {1, tokens, heads_v});
  tensors.out = view_of(out, {1, tokens, heads_v, dim});
  tensors.A_log = view_of(weights.A_log);
  tensors.dt_bias = view_of(weights.dt_bias);
  tensors.initial_state =
      TensorView::contiguous(state.data(), state_dtype_, {1, heads_v, dim, dim});
  tensors.final_state = tensors.initial_state;
  return flash_kda::run_from_host(**plan, tensors, workspace_of(**plan));
}

}  // namespace flash_kda::lm
