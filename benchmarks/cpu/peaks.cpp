#include "peaks.hpp"

#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace flash_kda::benchmarks {
namespace {

constexpr int kRounds = 5;
constexpr std::size_t kBufferBytes = std::size_t{32} << 20;  // each of source and destination
constexpr long kLoops = 1'500'000;                           // about 7 ms of 16 FMAs at 3.5 GHz

// Keeps a value alive, so that the loop which made it stays.
template <typename T>
void keep(const T& value) {
  asm volatile("" : : "r"(&value) : "memory");
}

#if defined(__x86_64__)

// 16 independent sums: more than latency (4 cycles) times FMAs a cycle (2) on any current core.
__attribute__((target("avx512f"))) double fma_flops_avx512() {
  __m512 sums[16];
  for (__m512& s : sums) s = _mm512_set1_ps(1.0f);
  const __m512 a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(0.001f);
  for (long i = 0; i < kLoops; ++i) {
#pragma GCC unroll 16
    for (__m512& s : sums) s = _mm512_fmadd_ps(s, a, b);
  }
  keep(sums);
  return 16.0 * 16.0 * 2.0 * kLoops;
}

__attribute__((target("avx2,fma"))) double fma_flops_avx2() {
  __m256 sums[12];
  for (__m256& s : sums) s = _mm256_set1_ps(1.0f);
  const __m256 a = _mm256_set1_ps(0.999f), b = _mm256_set1_ps(0.001f);
  for (long i = 0; i < kLoops; ++i) {
#pragma GCC unroll 12
    for (__m256& s : sums) s = _mm256_fmadd_ps(s, a, b);
  }
  keep(sums);
  return 12.0 * 8.0 * 2.0 * kLoops;
}

__attribute__((target("avx512f,avx512bf16"))) double bf16_flops_avx512() {
  __m512 sums[16];
  for (__m512& s : sums) s = _mm512_set1_ps(1.0f);
  const __m512bh a = _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.5f), _mm512_set1_ps(0.25f));
  const __m512bh b = _mm512_cvtne2ps_pbh(_mm512_set1_ps(1e-3f), _mm512_set1_ps(1e-3f));
  for (long i = 0; i < kLoops; ++i) {
#pragma GCC unroll 16
    for (__m512& s : sums) s = _mm512_dpbf16_ps(s, a, b);
  }
  keep(sums);
  return 16.0 * 32.0 * 2.0 * kLoops;
}

double fma_flops() {
  if (__builtin_cpu_supports("avx512f")) return fma_flops_avx512();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return fma_flops_avx2();
  return 0.0;
}

double bf16_flops() {
  return __builtin_cpu_supports("avx512bf16") ? bf16_flops_avx512() : fma_flops();
}

#else

double fma_flops() {
  float sums[64];
  std::fill(std::begin(sums), std::end(sums), 1.0f);
  for (long i = 0; i < kLoops; ++i) {
    for (float& s : sums) s = __builtin_fmaf(s, 0.999f, 0.001f);
  }
  keep(sums);
  return 64.0 * 2.0 * kLoops;
}

double bf16_flops() { return fma_flops(); }

#endif

double copy_bytes(std::vector<char>& from, std::vector<char>& to) {
  std::memcpy(to.data(), from.data(), from.size());
  keep(to);
  return 2.0 * static_cast<double>(from.size());
}

double read_bytes(std::vector<char>& from, std::vector<char>&) {
  std::size_t sums[8] = {};
  for (std::size_t i = 0; i + 64 <= from.size(); i += 64) {
    std::size_t words[8];
    std::memcpy(words, from.data() + i, sizeof(words));
    for (int j = 0; j < 8; ++j) sums[j] += words[j];
  }
  keep(sums);
  return static_cast<double>(from.size());
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

template <typename Work>
double rate(Work& work) {
  const auto start = std::chrono::steady_clock::now();
  const double amount = work();
  return amount / seconds_since(start) * 1e-9;
}

// Sum of the threads' best rates; they start each round together.
template <typename MakeWork>
double summed_rate(int threads, const MakeWork& make_work) {
  std::vector<double> best(static_cast<std::size_t>(threads), 0.0);
  std::atomic<int> arrived{0};
  const auto body = [&](int t) {
    auto work = make_work();
    for (int round = 0; round < kRounds; ++round) {
      arrived.fetch_add(1);
      while (arrived.load() < threads * (round + 1)) std::this_thread::yield();
      best[static_cast<std::size_t>(t)] = std::max(best[static_cast<std::size_t>(t)], rate(work));
    }
  };
  std::vector<std::thread> others;
  for (int t = 1; t < threads; ++t) others.emplace_back(body, t);
  body(0);
  for (std::thread& other : others) other.join();
  double sum = 0.0;
  for (double b : best) sum += b;
  return sum;
}

template <typename Move>
double memory_rate(int threads, const Move& move) {
  return summed_rate(threads, [&] {
    return [&move, from = std::vector<char>(kBufferBytes, 1),
            to = std::vector<char>(kBufferBytes, 2)]() mutable { return move(from, to); };
  });
}

}  // namespace

Peaks measure_peaks(int threads) {
  threads = std::max(threads, 1);
  return {.fma_gflops = summed_rate(threads, [] { return fma_flops; }),
          .bf16_gflops = summed_rate(threads, [] { return bf16_flops; }),
          .copy_gbs = memory_rate(threads, copy_bytes),
          .read_gbs = memory_rate(threads, read_bytes)};
}

Peaks sample_arithmetic_peaks() {
  const auto cpu_rate = [](double (*work)()) {
    const double start = thread_cpu_seconds();
    const double amount = work();
    return amount / (thread_cpu_seconds() - start) * 1e-9;
  };
  return {.fma_gflops = cpu_rate(fma_flops), .bf16_gflops = cpu_rate(bf16_flops)};
}

double thread_cpu_seconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

}  // namespace flash_kda::benchmarks
