// TMA: how long one box takes, and how fast the boxes that the fused kernel reads stream in.
#include <cuda.h>

#include "cuda/sm90/ptx.cuh"
#include "device.cuh"

namespace flash_kda::micro {
namespace {

namespace sm90 = cuda::sm90;

constexpr int kTensors = 4;  // q, k, v, g
constexpr int kStages = 5;
constexpr unsigned kBoxBytes = 8192;  // [2 halves][32 tokens][64 channels] of 16 bits
constexpr unsigned kStageBytes = kTensors * kBoxBytes;
constexpr unsigned kSharedBytes = kStages * kStageBytes + kBoxBytes;

struct Maps {
  CUtensorMap in[kTensors], out;
};

__device__ __forceinline__ void load_stage(const Maps& maps, std::uint32_t shared, int token,
                                           std::uint64_t* barrier) {
  const sm90::BoxPlace at = {token, static_cast<int>(blockIdx.x), 0};
  const std::uint32_t address = cuda::shared_address(barrier);
  sm90::arrive_expecting_at(address, kStageBytes);
#pragma unroll
  for (int i = 0; i < kTensors; ++i) {
    sm90::load_box(shared + i * kBoxBytes, maps.in[i], at, 0, address);
  }
}

enum class Output { kNone, kStored };

// Block h reads head h from beginning to end, five stages ahead.
template <Output kOutput>
__global__ void stream(const __grid_constant__ Maps maps, int chunks) {
  extern __shared__ __align__(1024) std::uint32_t words[];
  __shared__ std::uint64_t full[kStages];
  if constexpr (kOutput == Output::kStored) {
    clear_shared(words + kStages * kStageBytes / 4, kBoxBytes);
  }
  if (threadIdx.x != 0) return;
  for (std::uint64_t& barrier : full) cuda::init_barrier(&barrier, 1);
  cuda::publish_barriers();
  const std::uint32_t shared = cuda::shared_address(words);
  for (int i = 0; i < kStages && i < chunks; ++i) {
    load_stage(maps, shared + i * kStageBytes, 32 * i, &full[i]);
  }
#pragma unroll 1
  for (int chunk = 0; chunk < chunks; ++chunk) {
    const int slot = chunk % kStages;
    sm90::wait_at(cuda::shared_address(&full[slot]), chunk / kStages & 1);
    if constexpr (kOutput == Output::kStored) {
      const sm90::BoxPlace at = {32 * chunk, static_cast<int>(blockIdx.x), 0};
      sm90::store_box(maps.out, at, 0, shared + kStages * kStageBytes);
      sm90::commit_stores();
    }
    if (chunk + kStages < chunks) {
      load_stage(maps, shared + slot * kStageBytes, 32 * (chunk + kStages), &full[slot]);
    }
  }
  if constexpr (kOutput == Output::kStored) sm90::wait_stores();
}

// One box at a time, twice over the same boxes: from memory, then from L2.
__global__ void load_boxes(const __grid_constant__ Maps maps, int boxes, long long* cycles) {
  extern __shared__ __align__(1024) std::uint32_t words[];
  __shared__ std::uint64_t barrier;
  if (threadIdx.x != 0) return;
  cuda::init_barrier(&barrier, 1);
  cuda::publish_barriers();
  const std::uint32_t shared = cuda::shared_address(words);
  const std::uint32_t address = cuda::shared_address(&barrier);
  for (int i = 0; i < 2 * boxes; ++i) {
    const long long begin = now();
    sm90::arrive_expecting_at(address, kBoxBytes);
    sm90::load_box(shared, maps.in[0], {32 * (i % boxes), 0, 0}, 0, address);
    sm90::wait_at(address, i & 1);
    cycles[i] = now() - begin;
  }
}

// Into its place: g++ 12 does not align a returned map's temporary.
void encode_map(CUtensorMap& map, void* data, int tokens, int heads) {
  void* entry = nullptr;
  cudaDriverEntryPointQueryResult found{};
  check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry, 12000, cudaEnableDefault,
                                         &found),
        "cuTensorMapEncodeTiled");
  const auto encode = reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(entry);
  const auto pitch = static_cast<cuuint64_t>(heads) * 256;
  const cuuint64_t dims[5] = {64, static_cast<cuuint64_t>(tokens), 2,
                              static_cast<cuuint64_t>(heads), 1};
  const cuuint64_t strides[4] = {pitch, 128, 256, pitch * static_cast<cuuint64_t>(tokens)};
  const cuuint32_t box[5] = {64, 32, 2, 1, 1};
  const cuuint32_t steps[5] = {1, 1, 1, 1, 1};
  if (encode(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 5, data, dims, strides, box, steps,
             CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
             CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
             CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) != CUDA_SUCCESS) {
    throw std::runtime_error("cuTensorMapEncodeTiled refused the map");
  }
}

void measure_latency(Report& report, const Maps& maps, int boxes) {
  const DeviceArray<char> flush(report.effort() == Effort::kFull ? 256 << 20 : 1 << 10);
  const DeviceArray<long long> cycles(2 * static_cast<size_t>(boxes));
  check(cudaMemset(flush.data(), 1, flush.size()), "cudaMemset");
  load_boxes<<<1, 32, kBoxBytes>>>(maps, boxes, cycles.data());
  const auto seen = cycles.download();
  report.add("box of 8 KB, from memory", "cycles", {seen.begin(), seen.begin() + boxes});
  report.add("box of 8 KB, from L2", "cycles", {seen.begin() + boxes, seen.end()});
}

template <Output kOutput>
void measure_stream(Report& report, const Maps& maps, int tokens, int heads) {
  allow_shared(stream<kOutput>, kSharedBytes);
  const auto ms = measure_milliseconds(
      report, [&] { stream<kOutput><<<heads, 32, kSharedBytes>>>(maps, tokens / 32); });
  check(cudaGetLastError(), "launch");
  const double tensors = kTensors + (kOutput == Output::kStored ? 1 : 0);
  const double bytes = 256.0 * tensors * tokens * heads;
  report.add(std::to_string(heads) + " blocks read q, k, v, g" +
                 (kOutput == Output::kStored ? " and write out" : ""),
             "GB/s", each(ms, [&](double x) { return bytes / x / 1e6; }));
}

}  // namespace

void measure_boxes(Report& report) {
  const bool full = report.effort() == Effort::kFull;
  const int tokens = full ? 8192 : 256;
  for (const int heads : {8, 64, 96, 132}) {
    if (!full && heads > 8) break;
    const size_t bytes = static_cast<size_t>(tokens) * heads * 256;
    const DeviceArray<char> data((kTensors + 1) * bytes);
    Maps maps;
    for (int i = 0; i < kTensors; ++i) {
      encode_map(maps.in[i], data.data() + i * bytes, tokens, heads);
    }
    encode_map(maps.out, data.data() + kTensors * bytes, tokens, heads);
    if (heads == 8) measure_latency(report, maps, full ? 128 : 4);
    measure_stream<Output::kNone>(report, maps, tokens, heads);
    measure_stream<Output::kStored>(report, maps, tokens, heads);
  }
}

}  // namespace flash_kda::micro
