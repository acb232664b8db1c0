#include "apps/flash-kda/bench_data.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <random>

namespace flash_kda::cli {
namespace {

// Prime, so that repeating it lines up with no power-of-two dimension.
constexpr std::size_t kPeriod = 65537;

std::uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// Of the normal range only, towards zero; smaller values become 0.
std::uint16_t to_f16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits >> 16 & 0x8000;
  const std::uint32_t magnitude = bits & 0x7fffffff;
  constexpr std::uint32_t kSmallest = 113u << 23;  // 2^-14
  constexpr std::uint32_t kRebias = (127u - 15) << 23;
  return static_cast<std::uint16_t>(sign |
                                    (magnitude < kSmallest ? 0 : (magnitude - kRebias) >> 13));
}

// kPeriod normal numbers in the bytes of `dtype`.
std::vector<std::byte> pattern(DType dtype) {
  std::mt19937 generator(1);  // any seed: speed does not depend on it, reproducing does
  std::normal_distribution<float> normal;
  std::vector<std::byte> bytes(kPeriod * size_of(dtype));
  for (std::size_t i = 0; i < kPeriod; ++i) {
    const float value = normal(generator);
    if (dtype == DType::kF32) {
      std::memcpy(&bytes[4 * i], &value, 4);
      continue;
    }
    const std::uint16_t half = dtype == DType::kBF16 ? to_bf16(value) : to_f16(value);
    std::memcpy(&bytes[2 * i], &half, 2);
  }
  return bytes;
}

}  // namespace

BenchData::BenchData(const NamedShape& shape) {
  const Problem& p = shape.problem;
  tensors_.q = random_tensor(p.qkv_dtype, {p.batch, p.tokens, p.qk_heads, p.head_dim_k});
  tensors_.k = random_tensor(p.qkv_dtype, {p.batch, p.tokens, p.qk_heads, p.head_dim_k});
  tensors_.v = random_tensor(p.qkv_dtype, {p.batch, p.tokens, p.v_heads, p.head_dim_v});
  tensors_.g = random_tensor(p.gate_dtype, {p.batch, p.tokens, p.v_heads, p.head_dim_k});
  tensors_.beta = random_tensor(p.beta_dtype, {p.batch, p.tokens, p.v_heads});
  tensors_.out = new_tensor(p.out_dtype, {p.batch, p.tokens, p.v_heads, p.head_dim_v});
  if (p.gate.kind != GateKind::kLog) {
    tensors_.A_log = new_tensor(DType::kF32, {p.v_heads});
    tensors_.dt_bias = random_tensor(DType::kF32, {p.v_heads, p.head_dim_k});
  }
  tensors_.initial_state = tensors_.final_state =
      new_tensor(p.state.dtype, {p.sequences(), p.v_heads, p.head_dim_v, p.head_dim_k});
  if (p.is_varlen()) {
    tensors_.cu_seqlens = new_tensor(DType::kI64, {p.sequences() + 1});
    auto* bounds = static_cast<std::int64_t*>(tensors_.cu_seqlens->data);
    for (std::size_t n = 0; n < shape.lengths.size(); ++n) {
      bounds[n + 1] = bounds[n] + shape.lengths[n];
    }
  }
}

TensorView BenchData::new_tensor(DType dtype, const std::vector<std::int64_t>& shape) {
  return owned_.emplace_back(dtype, shape).view();
}

TensorView BenchData::random_tensor(DType dtype, const std::vector<std::int64_t>& shape) {
  const TensorView view = new_tensor(dtype, shape);
  const std::vector<std::byte> numbers = pattern(dtype);
  const std::size_t bytes = view.num_elements() * size_of(dtype);
  for (std::size_t at = 0; at < bytes; at += numbers.size()) {
    std::memcpy(static_cast<std::byte*>(view.data) + at, numbers.data(),
                std::min(numbers.size(), bytes - at));
  }
  return view;
}

Work work_of(const NamedShape& shape) {
  const Problem& p = shape.problem;
  Work work;
  work.tokens = p.batch * p.tokens;
  work.token_heads = work.tokens * p.v_heads;
  const auto k = static_cast<double>(p.head_dim_k);
  const auto v = static_cast<double>(p.head_dim_v);
  const auto token_heads = static_cast<double>(work.token_heads);
  const auto qk_token_heads = static_cast<double>(work.tokens * p.qk_heads);
  const auto state_heads = static_cast<double>(p.sequences() * p.v_heads);
  const auto size = [](DType dtype) { return static_cast<double>(size_of(dtype)); };
  work.flop = 7 * k * v * token_heads;
  work.bytes = qk_token_heads * 2 * k * size(p.qkv_dtype) +
               token_heads * (v * (size(p.qkv_dtype) + size(p.out_dtype)) + k * size(p.gate_dtype) +
                              size(p.beta_dtype)) +
               state_heads * 2 * k * v * size(p.state.dtype);
  return work;
}

}  // namespace flash_kda::cli
