// Prefill of two packed sequences, then one decode step, with the C++ interface.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

#include "flash_kda/flash_kda.hpp"

using flash_kda::DType;
using flash_kda::TensorView;

namespace {

constexpr std::int64_t kHeads = 4, kDim = 128, kTokens = 100;

std::vector<float> random_values(std::size_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(generator);
  return values;
}

// Plans, allocates the workspace, runs; prints the message of a failure and stops.
void prefill(const flash_kda::Problem& problem, const flash_kda::Tensors& tensors) {
  const flash_kda::Result<flash_kda::Plan> plan = flash_kda::make_plan(problem);
  if (!plan.ok()) {
    std::fprintf(stderr, "%s\n", plan.status().message().c_str());
    std::exit(1);
  }
  std::printf("%s\n", to_string(plan->config).c_str());

  const std::size_t bytes = (plan->workspace_bytes + 63) / 64 * 64;
  const std::unique_ptr<void, decltype(&std::free)> workspace(
      std::aligned_alloc(flash_kda::Plan::kWorkspaceAlignment, bytes), &std::free);
  const flash_kda::Status status = run_from_host(*plan, tensors, {workspace.get(), bytes});
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", status.message().c_str());
    std::exit(1);
  }
}

flash_kda::Tensors token_tensors(std::vector<float>& values, std::vector<float>& beta,
                                 std::vector<float>& out, std::int64_t tokens) {
  const auto shaped = [&](void* data) {
    return TensorView::contiguous(data, DType::kF32, {1, tokens, kHeads, kDim});
  };
  flash_kda::Tensors tensors;
  tensors.q = tensors.k = tensors.v = tensors.g = shaped(values.data());
  tensors.beta = TensorView::contiguous(beta.data(), DType::kF32, {1, tokens, kHeads});
  tensors.out = shaped(out.data());
  return tensors;
}

}  // namespace

int main() {
  // One buffer serves as q, k, v and g, to keep the example short.
  std::vector<float> values = random_values(kTokens * kHeads * kDim, 1);
  std::vector<float> beta = random_values(kTokens * kHeads, 2);
  std::vector<float> out(values.size());
  std::vector<float> states(2 * kHeads * kDim * kDim);
  std::vector<std::int32_t> cu_seqlens = {0, 37, kTokens};

  flash_kda::Problem problem{.tokens = kTokens, .num_sequences = 2};
  problem.qk_heads = problem.v_heads = kHeads;
  problem.head_dim_k = problem.head_dim_v = kDim;
  problem.qkv_dtype = problem.out_dtype = problem.gate_dtype = problem.beta_dtype = DType::kF32;

  flash_kda::Tensors tensors = token_tensors(values, beta, out, kTokens);
  tensors.cu_seqlens = TensorView::contiguous(cu_seqlens.data(), DType::kI32, {3});
  tensors.final_state = TensorView::contiguous(states.data(), DType::kF32, {2, kHeads, kDim, kDim});
  prefill(problem, tensors);

  // Decode: one more token of the first sequence, its state updated in place.
  problem.tokens = 1;
  problem.num_sequences.reset();
  tensors = token_tensors(values, beta, out, 1);
  tensors.initial_state =
      TensorView::contiguous(states.data(), DType::kF32, {1, kHeads, kDim, kDim});
  tensors.final_state = tensors.initial_state;
  prefill(problem, tensors);
  std::printf("out[0, 0, 0, :3] = %g %g %g\n", out[0], out[1], out[2]);
  return 0;
}
