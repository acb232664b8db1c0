// The stages of prepare, one a launch: a block loads its shared memory, runs the stage, stores it.
#include "cuda/two_kernel/prepare_stages.cuh"
#include "tests/cuda/stage_buffers.cuh"

namespace flash_kda::cuda::testing {
namespace {

enum class PrepareStage : int { kNormalizeQk, kApplyDecay, kScoreKk, kScoreQk, kInvert };

struct PrepareArguments {
  const std::uint32_t* q = nullptr;  // [16, K / 2] pairs
  const std::uint32_t* k = nullptr;
  const float2* g_cum = nullptr;
  QkNorm norm = QkNorm::kL2;
  float scale = 1.0f;
};

__device__ void copy_bytes(const void* from, void* to, int bytes) {
  for (int i = static_cast<int>(threadIdx.x); i < bytes / 4; i += static_cast<int>(blockDim.x)) {
    static_cast<std::uint32_t*>(to)[i] = static_cast<const std::uint32_t*>(from)[i];
  }
}

template <int kK, typename T>
__device__ void load_columns(const T* from, T (&rows)[kChunk]) {
  for (int i = 0; i < kChunk; ++i) rows[i] = from[i * kK / 2 + threadIdx.x];
}

template <int kK, PrepareStage kStage>
__global__ void prepare_stage_kernel(PrepareArguments in, PrepareStorage<kK>* storage) {
  __shared__ PrepareStorage<kK> shared;
  copy_bytes(storage, &shared, sizeof(shared));
  __syncthreads();
  if constexpr (kStage == PrepareStage::kNormalizeQk || kStage == PrepareStage::kApplyDecay) {
    std::uint32_t q[kChunk];
    std::uint32_t k[kChunk];
    load_columns<kK>(in.q, q);
    load_columns<kK>(in.k, k);
    if constexpr (kStage == PrepareStage::kNormalizeQk) {
      sum_squares<kK>(q, k, shared);
      __syncthreads();
      normalize_qk<kK>(in.norm, in.scale, shared);
    } else {
      float2 g_cum[kChunk];
      load_columns<kK>(in.g_cum, g_cum);
      apply_decay<kK>(q, k, g_cum, shared);
    }
  } else if (threadIdx.x < 32) {
    if constexpr (kStage == PrepareStage::kScoreKk) score_kk<kK>(shared);
    if constexpr (kStage == PrepareStage::kScoreQk) score_qk<kK>(shared);
    if constexpr (kStage == PrepareStage::kInvert) invert_unit_lower<kK>(shared);
  }
  __syncthreads();
  copy_bytes(&shared, storage, sizeof(shared));
}

template <int kK, PrepareStage kStage>
void run_stage(const PrepareArguments& in, PrepareStorage<kK>& storage) {
  const DeviceArray<PrepareStorage<kK>> on_device(std::vector<PrepareStorage<kK>>{storage});
  prepare_stage_kernel<kK, kStage><<<1, kK / 2>>>(in, on_device.data());
  check(cudaGetLastError());
  storage = on_device.read().front();
}

template <int kK>
__global__ void cumsum_kernel(float2* g) {
  float2 rows[kChunk];
  load_columns<kK>(g, rows);
  cumsum_decay(rows);
  for (int i = 0; i < kChunk; ++i) g[i * kK / 2 + threadIdx.x] = rows[i];
}

__global__ void gate_kernel(GateSpec gate, const float* A_log, float* x, int count) {
  TokenInputs in;
  in.gate = gate;
  in.A_log = A_log;
  const GateHead head = make_gate_head(in, 0);
  for (int i = static_cast<int>(threadIdx.x); i < count; i += static_cast<int>(blockDim.x)) {
    x[i] = floor_decay(activate_gate(head, x[i]));
  }
}

__global__ void beta_kernel(BetaForm form, BetaRange range, float* x, int count) {
  for (int i = static_cast<int>(threadIdx.x); i < count; i += static_cast<int>(blockDim.x)) {
    x[i] = activate_beta(form, range, x[i]);
  }
}

// Two neighbouring columns as one 32-bit word.
DeviceArray<std::uint32_t> pairs_on_device(const Floats& x) {
  const std::vector<std::uint16_t> bits = to_bf16(x);
  std::vector<std::uint32_t> pairs(bits.size() / 2);
  std::memcpy(pairs.data(), bits.data(), bits.size() * 2);
  return DeviceArray<std::uint32_t>(pairs);
}

}  // namespace

float to_bf16(float x) { return bf16_value(bf16_bits(x)); }

Floats run_activate_gate(const GateSpec& gate, float A_log, const Floats& x) {
  const DeviceArray<float> a(Floats{A_log});
  const DeviceArray<float> values(x);
  gate_kernel<<<1, 64>>>(gate, a.data(), values.data(), static_cast<int>(x.size()));
  check(cudaGetLastError());
  return values.read();
}

Floats run_activate_beta(BetaForm form, BetaRange range, const Floats& x) {
  const DeviceArray<float> values(x);
  beta_kernel<<<1, 64>>>(form, range, values.data(), static_cast<int>(x.size()));
  check(cudaGetLastError());
  return values.read();
}

Floats run_normalize_qk(int head_dim_k, QkNorm norm, float scale, const Floats& q,
                        const Floats& k) {
  return with_head_dim(head_dim_k, [&](auto dim) {
    const DeviceArray<std::uint32_t> q_pairs = pairs_on_device(q);
    const DeviceArray<std::uint32_t> k_pairs = pairs_on_device(k);
    PrepareStorage<dim> storage{};
    run_stage<dim, PrepareStage::kNormalizeQk>(
        {.q = q_pairs.data(), .k = k_pairs.data(), .norm = norm, .scale = scale}, storage);
    return Floats(storage.norm, storage.norm + 2 * kTokens);
  });
}

Floats run_cumsum_decay(int head_dim_k, const Floats& g_log2) {
  const DeviceArray<float> g(g_log2);
  auto* pairs = reinterpret_cast<float2*>(g.data());
  with_head_dim(head_dim_k, [&](auto dim) { cumsum_kernel<dim><<<1, dim / 2>>>(pairs); });
  check(cudaGetLastError());
  return g.read();
}

DecayedTiles run_apply_decay(int head_dim_k, const Floats& q, const Floats& k,
                             const Floats& g_cum_log2, const Floats& norm) {
  return with_head_dim(head_dim_k, [&](auto dim) {
    using Image = ChunkImage<dim>;
    const DeviceArray<std::uint32_t> q_pairs = pairs_on_device(q);
    const DeviceArray<std::uint32_t> k_pairs = pairs_on_device(k);
    const DeviceArray<float> g(g_cum_log2);
    PrepareStorage<dim> s{};
    std::copy(norm.begin(), norm.end(), s.norm);
    run_stage<dim, PrepareStage::kApplyDecay>(
        {.q = q_pairs.data(), .k = k_pairs.data(), .g_cum = reinterpret_cast<float2*>(g.data())},
        s);
    DecayedTiles tiles{.q_score = get_tile<dim>(s.q_score),
                       .k_score = get_tile<dim>(s.k_score),
                       .k_inverse = get_tile<dim>(s.k_inverse),
                       .q_gamma = get_tile<dim>(s.image + Image::kQGamma),
                       .k_gamma = get_tile<dim>(s.image + Image::kKGamma),
                       .k_to_end = get_tile<dim>(s.image + Image::kKToEnd),
                       .gamma_last = Floats(dim)};
    for (int c = 0; c < dim; ++c) {
      std::memcpy(&tiles.gamma_last[static_cast<std::size_t>(c)],
                  s.image + Image::kGammaLast + 4 * Image::gamma_index(c), 4);
    }
    return tiles;
  });
}

Floats run_score_kk(int head_dim_k, const Floats& k_score, const Floats& k_inverse,
                    const Floats& beta) {
  return with_head_dim(head_dim_k, [&](auto dim) {
    PrepareStorage<dim> storage{};
    put_tile<dim>(storage.k_score, k_score);
    put_tile<dim>(storage.k_inverse, k_inverse);
    std::memcpy(storage.image + ChunkImage<dim>::kBeta, beta.data(), kTokens * 4);
    run_stage<dim, PrepareStage::kScoreKk>({}, storage);
    return Floats(&storage.score_kk[0][0], &storage.score_kk[0][0] + kTokens * kTokens);
  });
}

Floats run_score_qk(int head_dim_k, const Floats& q_score, const Floats& k_inverse) {
  return with_head_dim(head_dim_k, [&](auto dim) {
    PrepareStorage<dim> storage{};
    put_tile<dim>(storage.q_score, q_score);
    put_tile<dim>(storage.k_inverse, k_inverse);
    run_stage<dim, PrepareStage::kScoreQk>({}, storage);
    return get_square<dim>(storage.image + ChunkImage<dim>::kScoreQk);
  });
}

Floats run_invert_unit_lower(const Floats& score_kk) {
  PrepareStorage<128> storage{};
  std::copy(score_kk.begin(), score_kk.end(), &storage.score_kk[0][0]);
  run_stage<128, PrepareStage::kInvert>({}, storage);
  return get_square<128>(storage.image + ChunkImage<128>::kInverse);
}

}  // namespace flash_kda::cuda::testing
