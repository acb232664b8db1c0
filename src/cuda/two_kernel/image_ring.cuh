// The ring of shared-memory stages through which chunk images stream into the recurrence.
//
// All threads of a block call start, acquire and release together, chunk by chunk. A stage is
// refilled one chunk after its last reader is done, so that a warp may run ahead of the others by
// one chunk without waiting; kStages - 2 images are always on their way.
#pragma once

#include <cstdint>

#include "cuda/common/async_copy.cuh"

namespace flash_kda::cuda {

inline constexpr int kStages = 4;

template <int kImageBytes>
struct RingStorage {
  alignas(128) std::byte stages[kStages][kImageBytes];
  std::uint64_t full[kStages];
  std::uint64_t empty[kStages];
};

template <int kImageBytes>
class ImageRing {
 public:
  // `images` is the first of `count` images, `pitch` bytes apart.
  __device__ ImageRing(RingStorage<kImageBytes>& storage, const std::byte* images,
                       std::int64_t pitch, int count)
      : storage_(storage), images_(images), pitch_(pitch), count_(count) {}

#if __CUDA_ARCH__ >= 900

  __device__ void start() {
    if (threadIdx.x == 0) {
      for (int stage = 0; stage < kStages; ++stage) {
        init_barrier(&storage_.full[stage], 1);
        init_barrier(&storage_.empty[stage], static_cast<int>(blockDim.x) / 32);
      }
      publish_barriers();
    }
    __syncthreads();  // nobody may wait on a barrier before it exists
    if (threadIdx.x == 0) {
      for (int i = 0; i < kStages && i < count_; ++i) fill(i);
    }
  }

  // The image of chunk i, once it has landed.
  __device__ const std::byte* acquire(int i) {
    const int stage = static_cast<int>(i % kStages);
    wait_phase(&storage_.full[stage], round_parity(i));
    return storage_.stages[stage];
  }

  // This warp has read all of chunk i.
  __device__ void release(int i) {
    __syncwarp();  // the other lanes' reads come before lane 0's arrival
    if (threadIdx.x % 32 == 0) arrive(&storage_.empty[i % kStages]);
    const int done = i - 1;
    if (threadIdx.x == 0 && done >= 0 && done + kStages < count_) {
      wait_phase(&storage_.empty[done % kStages], round_parity(done));
      fill(done + kStages);
    }
  }

 private:
  __device__ static std::uint32_t round_parity(int i) {
    return static_cast<std::uint32_t>(i / kStages) & 1;
  }

  __device__ void fill(int i) {
    std::uint64_t* full = &storage_.full[i % kStages];
    arrive_expecting(full, kImageBytes);
    copy_block_async(shared_address(storage_.stages[i % kStages]), images_ + i * pitch_,
                     kImageBytes, full);
  }

#else

  __device__ void start() {
    for (int i = 0; i < kStages - 1; ++i) fill(i);
  }

  __device__ const std::byte* acquire(int i) {
    wait_copies<kStages - 2>();
    __syncthreads();  // every thread's part has landed; every warp is done with chunk i - 1
    fill(i + kStages - 1);
    return storage_.stages[i % kStages];
  }

  __device__ void release(int) {}

 private:
  // Commits a group even when there is nothing left to copy, so that groups count chunks.
  __device__ void fill(int i) {
    if (i < count_) {
      const std::byte* from = images_ + i * pitch_;
      const std::uint32_t to = shared_address(storage_.stages[i % kStages]);
      for (int at = static_cast<int>(threadIdx.x) * 16; at < kImageBytes;
           at += static_cast<int>(blockDim.x) * 16) {
        copy_16_async(to + at, from + at);
      }
    }
    commit_copies();
  }

#endif

  RingStorage<kImageBytes>& storage_;
  const std::byte* images_;
  std::int64_t pitch_;
  int count_;
};

}  // namespace flash_kda::cuda
