// What one instruction, barrier, copy or launch costs on this GPU: the numbers that the kernels'
// design rests on.
#pragma once

#include <cuda_runtime_api.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace flash_kda::micro {

inline void check(cudaError_t error, const char* what) {
  if (error != cudaSuccess) {
    throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(error));
  }
}

// kQuick: enough to see that a measurement runs, as in the emulator.
enum class Effort { kQuick, kFull };

struct Row {
  std::string group, name, unit;
  double median, low, high;  // low, high: the tenth and the ninetieth percentile
  int samples;
};

class Report {
 public:
  Report(std::string group, Effort effort) : group_(std::move(group)), effort_(effort) {}

  Effort effort() const { return effort_; }
  // How often a kernel is launched, and how often it repeats what it times.
  int rounds() const { return effort_ == Effort::kQuick ? 1 : 15; }
  int repeats() const { return effort_ == Effort::kQuick ? 2 : 64; }

  void add(const std::string& name, const std::string& unit, std::vector<double> samples);
  const std::vector<Row>& rows() const { return rows_; }

 private:
  std::string group_;
  Effort effort_;
  std::vector<Row> rows_;
};

// What a warp saw on its multiprocessor's clock; `used` is what it computed, which ptxas would
// otherwise leave out.
struct Stamp {
  long long begin, end;
  unsigned used;
};

template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(size_t count) : count_(count) {
    check(cudaMalloc(reinterpret_cast<void**>(&data_), count * sizeof(T)), "cudaMalloc");
    check(cudaMemset(data_, 0, count * sizeof(T)), "cudaMemset");
  }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;
  ~DeviceArray() { cudaFree(data_); }

  T* data() const { return data_; }
  size_t size() const { return count_; }
  std::vector<T> download() const {
    std::vector<T> values(count_);
    check(cudaMemcpy(values.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost),
          "a kernel, or the copy after it");
    return values;
  }

 private:
  T* data_ = nullptr;
  size_t count_;
};

// The stamps of warps [0, warps) of one block, from launches of `launch(Stamp*)`; the first launch
// only warms up. Returns, for each, latest end - earliest begin.
template <class Launch>
std::vector<double> measure_cycles(const Report& report, int warps, Launch launch) {
  const DeviceArray<Stamp> stamps(static_cast<size_t>(warps));
  std::vector<double> samples;
  for (int round = 0; round <= report.rounds(); ++round) {
    launch(stamps.data());
    check(cudaGetLastError(), "launch");
    const std::vector<Stamp> seen = stamps.download();
    Stamp all = seen[0];
    for (const Stamp& stamp : seen) {
      all.begin = stamp.begin < all.begin ? stamp.begin : all.begin;
      all.end = stamp.end > all.end ? stamp.end : all.end;
    }
    if (round > 0) samples.push_back(static_cast<double>(all.end - all.begin));
  }
  return samples;
}

// Milliseconds between two events around `work()`; the first time only warms up.
template <class Work>
std::vector<double> measure_milliseconds(const Report& report, Work work) {
  cudaEvent_t begin, end;
  check(cudaEventCreate(&begin), "cudaEventCreate");
  check(cudaEventCreate(&end), "cudaEventCreate");
  std::vector<double> samples;
  for (int round = 0; round <= report.rounds(); ++round) {
    check(cudaEventRecord(begin), "cudaEventRecord");
    work();
    check(cudaEventRecord(end), "cudaEventRecord");
    check(cudaEventSynchronize(end), "cudaEventSynchronize");
    float ms = 0.0f;
    check(cudaEventElapsedTime(&ms, begin, end), "cudaEventElapsedTime");
    if (round > 0) samples.push_back(ms);
  }
  check(cudaEventDestroy(begin), "cudaEventDestroy");
  check(cudaEventDestroy(end), "cudaEventDestroy");
  return samples;
}

// Each sample x becomes f(x).
template <class Function>
std::vector<double> each(std::vector<double> samples, Function f) {
  for (double& x : samples) x = f(x);
  return samples;
}

void measure_products(Report& report);
void measure_chain(Report& report);
void measure_functions(Report& report);
void measure_shared_memory(Report& report);
void measure_barriers(Report& report);
void measure_boxes(Report& report);
void measure_handover(Report& report);
void measure_launches(Report& report);
void measure_code_size(Report& report);

}  // namespace flash_kda::micro
