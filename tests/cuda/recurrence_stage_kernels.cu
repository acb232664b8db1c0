// The stages of the recurrence, one a launch, for one warp and its 16 value rows.
#include "cuda/two_kernel/recurrence_stages.cuh"
#include "tests/cuda/stage_buffers.cuh"

namespace flash_kda::cuda::testing {
namespace {

enum class Step : int { kDeltaValues, kChunkOutput, kUpdateState };

struct StepArguments {
  const std::byte* image = nullptr;
  float* state = nullptr;  // [16, K], read and, by kUpdateState, written
  RowTensor v, out;
  float* u = nullptr;  // [16 tokens, 16], read or, by kDeltaValues, written
  int count = kTokens;
};

// Token and value row of element i of tile `tile`, as delta_values leaves them.
__device__ int u_index(int tile, int i) {
  const int token = 8 * tile + 2 * (static_cast<int>(threadIdx.x) & 3) + i % 2;
  return token * kValueRows + value_row(i / 2);
}

__device__ OperandA load_u(const float* u) {
  TokenTiles tiles;
  for (int tile = 0; tile < 2; ++tile) {
    for (int i = 0; i < 4; ++i) tiles[tile].d[i] = u[u_index(tile, i)];
  }
  return pack_operand(tiles[0], tiles[1]);
}

__device__ void store_u(const OperandA& operand, float* u) {
  for (int tile = 0; tile < 2; ++tile) {
    for (int half = 0; half < 2; ++half) {
      const std::uint32_t pair = operand.a[2 * tile + half];
      u[u_index(tile, 2 * half)] = low_bf16(pair);
      u[u_index(tile, 2 * half + 1)] = high_bf16(pair);
    }
  }
}

template <int kK, Step kStep>
__global__ void step_kernel(StepArguments in) {
  __shared__ alignas(128) std::byte image[ChunkImage<kK>::kBytes];
  for (int i = static_cast<int>(threadIdx.x); i < ChunkImage<kK>::kBytes; i += 32) {
    image[i] = in.image[i];
  }
  __syncwarp();
  const StatePlace place = {in.state, DType::kF32, Alignment::kVector, 0, kK, 1};
  StateTiles<kK> state;
  load_state(place, 0, state);
  TokenTiles by_keys;
  TokenTiles by_queries;
  multiply_state<kK, Queries::kMultiply>(state, shared_address(image), by_keys, by_queries);
  if constexpr (kStep == Step::kDeltaValues) {
    store_u(delta_values<kK>(load_values(in.v, 0, in.count), by_keys, image), in.u);
  } else if constexpr (kStep == Step::kChunkOutput) {
    chunk_output<kK>(by_queries, load_u(in.u), shared_address(image), in.out, 0, in.count);
  } else {
    update_state<kK>(state, load_u(in.u), image);
    store_state(place, 0, state);
  }
}

template <int kK>
std::vector<std::byte> make_image(const Chunk& chunk) {
  using Image = ChunkImage<kK>;
  std::vector<std::byte> image(Image::kBytes);
  put_tile<kK>(&image[Image::kKGamma], chunk.k_gamma);
  put_tile<kK>(&image[Image::kQGamma], chunk.q_gamma);
  put_tile<kK>(&image[Image::kKToEnd], chunk.k_to_end);
  put_square<kK>(&image[Image::kInverse], chunk.inverse);
  put_square<kK>(&image[Image::kScoreQk], chunk.score_qk);
  std::memcpy(&image[Image::kBeta], chunk.beta.data(), kTokens * 4);
  for (int c = 0; c < kK; ++c) {
    std::memcpy(&image[Image::kGammaLast + 4 * Image::gamma_index(c)],
                &chunk.gamma_last[static_cast<std::size_t>(c)], 4);
  }
  return image;
}

template <Step kStep>
void run_step(int head_dim_k, const Chunk& chunk, StepArguments in) {
  with_head_dim(head_dim_k, [&](auto dim) {
    const DeviceArray<std::byte> image(make_image<dim>(chunk));
    in.image = image.data();
    step_kernel<dim, kStep><<<1, 32>>>(in);
    check(cudaGetLastError());
    check(cudaDeviceSynchronize());
  });
}

RowTensor rows_of(void* data, DType dtype) {
  return {
      .data = data, .token_stride = kValueRows, .dtype = dtype, .alignment = Alignment::kVector};
}

}  // namespace

Floats run_delta_values(int head_dim_k, const Chunk& chunk, const Floats& state, const Floats& v,
                        int count) {
  const DeviceArray<float> on_device(state);
  const DeviceArray<std::uint16_t> values(to_bf16(v));
  const DeviceArray<float> u(static_cast<std::size_t>(kTokens * kValueRows));
  run_step<Step::kDeltaValues>(head_dim_k, chunk,
                               {.state = on_device.data(),
                                .v = rows_of(values.data(), DType::kBF16),
                                .u = u.data(),
                                .count = count});
  return u.read();
}

Floats run_chunk_output(int head_dim_k, const Chunk& chunk, const Floats& state, const Floats& u,
                        DType out_dtype, int count) {
  const DeviceArray<float> on_device(state);
  const DeviceArray<float> deltas(u);
  const DeviceArray<std::uint32_t> out(static_cast<std::size_t>(kTokens * kValueRows));
  run_step<Step::kChunkOutput>(head_dim_k, chunk,
                               {.state = on_device.data(),
                                .out = rows_of(out.data(), out_dtype),
                                .u = deltas.data(),
                                .count = count});
  const std::vector<std::uint32_t> words = out.read();
  Floats result(words.size());
  for (std::size_t i = 0; i < result.size(); ++i) {
    if (out_dtype == DType::kF32) {
      std::memcpy(&result[i], &words[i], 4);
    } else {
      result[i] = bf16_value(static_cast<std::uint16_t>(words[i / 2] >> (16 * (i % 2))));
    }
  }
  return result;
}

Floats run_update_state(int head_dim_k, const Chunk& chunk, const Floats& state, const Floats& u) {
  const DeviceArray<float> on_device(state);
  const DeviceArray<float> deltas(u);
  run_step<Step::kUpdateState>(head_dim_k, chunk, {.state = on_device.data(), .u = deltas.data()});
  return on_device.read();
}

}  // namespace flash_kda::cuda::testing
