// The products of one chunk of 32 tokens and what lies between them, on shared memory that nobody
// fills: what the chain of chunks costs at least, without barriers, loads and stores.
#include "products.cuh"

namespace flash_kda::micro {
namespace {

constexpr unsigned kSharedBytes = 3 * kOperandBytes;
constexpr unsigned kKeys = 0, kScores = kOperandBytes, kUpdate = 2 * kOperandBytes;

template <int kPairs, int kValues>
__device__ __forceinline__ void round_pairs(const float (&x)[kValues],
                                            std::uint32_t (&packed)[kPairs]) {
  static_assert(kValues == 2 * kPairs);
#pragma unroll
  for (int i = 0; i < kPairs; ++i) packed[i] = cuda::pack_bf16(x[2 * i], x[2 * i + 1]);
}

// 64 rows of the state, transposed; w, o [64 values][32 tokens].
__device__ __forceinline__ void run_chunk(std::uint32_t shared, float decay, float (&state)[64],
                                          float (&w)[16], float (&o)[16]) {
  std::uint32_t s[32], operand[8];
#pragma unroll
  for (float& x : state) x *= decay;
  round_pairs(state, s);
  sm90::pin(state), sm90::pin(w), sm90::pin(s);
  sm90::begin_products();
#pragma unroll
  for (int k = 0; k < 8; ++k) {
    const unsigned at = kKeys + (k / 4) * 8192 + (k % 4) * 32;
    sm90::multiply_32(w, s + 4 * k, sm90::describe(sm90::kTokensByChannels, shared, at), 1);
  }
  sm90::commit_products();
#pragma unroll
  for (int k = 0; k < 8; ++k) {
    const unsigned at = kKeys + 4096 + (k / 4) * 8192 + (k % 4) * 32;
    sm90::multiply_32(o, s + 4 * k, sm90::describe(sm90::kTokensByChannels, shared, at), k > 0);
  }
  sm90::commit_products();
  sm90::wait_products<1>();
  sm90::pin(w);

  round_pairs(w, operand);
  sm90::pin(operand);
  sm90::begin_products();
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    const std::uint64_t b = sm90::describe(sm90::kScores, shared, kScores + 32 * k);
    sm90::multiply_32(w, operand + 4 * k, b, k);
  }
  sm90::commit_products();
  sm90::wait_products<0>();
  sm90::pin(w), sm90::pin(o), sm90::pin(s);

  round_pairs(w, operand);
  sm90::pin(operand), sm90::pin(state);
  sm90::begin_products();
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    const std::uint64_t b = sm90::describe(sm90::kChannelsByTokens, shared, kUpdate + 2048 * k);
    sm90::multiply_128(state, operand + 4 * k, b, 1);
  }
  sm90::commit_products();
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    const std::uint64_t b = sm90::describe(sm90::kScores, shared, kScores + 2048 + 32 * k);
    sm90::multiply_32(o, operand + 4 * k, b, 1);
  }
  sm90::commit_products();
  sm90::wait_products<0>();
  sm90::pin(state), sm90::pin(o), sm90::pin(operand);
}

__global__ void __launch_bounds__(384, 1)
    run_chunks(int chunks, float decay, int warpgroups, Stamp* stamps, Background* background) {
  extern __shared__ __align__(1024) std::uint32_t words[];
  __shared__ int running;
  const unsigned measured_warps = 4 * static_cast<unsigned>(warpgroups);
  if (threadIdx.x == 0) running = static_cast<int>(measured_warps);
  clear_shared(words, kSharedBytes);
  if (warp_index() >= measured_warps) {
    return run_background(running, warp_index() - measured_warps, background);
  }
  const std::uint32_t shared = sm90::make_uniform(cuda::shared_address(words));
  float state[64] = {}, w[16] = {}, o[16] = {};
  const Stopwatch watch(stamps);
#pragma unroll 1
  for (int chunk = 0; chunk < chunks; ++chunk) run_chunk(shared, decay, state, w, o);
  watch.finish(sum_of(state) ^ sum_of(w) ^ sum_of(o));
  finish_measured(running);
}

}  // namespace

void measure_chain(Report& report) {
  allow_shared(run_chunks, kSharedBytes);
  const DeviceArray<Background> background(kBackgroundWarps);
  for (const int warpgroups : {1, 2}) {
    for (const int background_warps : {0, kBackgroundWarps}) {
      const auto samples = measure_cycles(report, 4 * warpgroups, [&](Stamp* stamps) {
        run_chunks<<<1, 128 * warpgroups + 32 * background_warps, kSharedBytes>>>(
            report.repeats(), 0.5f, warpgroups, stamps, background.data());
      });
      report.add("chunk of 32, " + std::to_string(warpgroups) + " x 64 value rows" +
                     (background_warps > 0 ? ", beside mma.sync by 4 warps" : ""),
                 "cycles", each(samples, [&](double c) { return c / report.repeats(); }));
    }
  }
}

}  // namespace flash_kda::micro
