#include "exec/device.hpp"

#include <cctype>
#include <string>

#include "base/options.hpp"

namespace emulator {
namespace {

constexpr u32 kKiB = 1024;
constexpr u64 kGiB = 1ull << 30;

// Limits from the CUDA programming guide (compute capabilities) and the data sheets.
constexpr DeviceProperties kDevices[] = {
    {"A100", "NVIDIA A100-SXM4-80GB", 8, 0, 108, 80 * kGiB, 164 * kKiB, 48 * kKiB, 163 * kKiB, kKiB,
     2048, 32, 65536, 0, 40ull << 20, 1410000, 1593000, 5120},
    {"H20", "NVIDIA H20", 9, 0, 78, 96 * kGiB, 228 * kKiB, 48 * kKiB, 227 * kKiB, kKiB, 2048, 32,
     65536, 8, 60ull << 20, 1980000, 2619000, 6144},
    {"H100", "NVIDIA H100 80GB HBM3", 9, 0, 132, 80 * kGiB, 228 * kKiB, 48 * kKiB, 227 * kKiB, kKiB,
     2048, 32, 65536, 8, 50ull << 20, 1980000, 2619000, 5120},
    {"H200", "NVIDIA H200", 9, 0, 132, 141 * kGiB, 228 * kKiB, 48 * kKiB, 227 * kKiB, kKiB, 2048,
     32, 65536, 8, 50ull << 20, 1980000, 3201000, 6144},
    {"B200", "NVIDIA B200", 10, 0, 148, 180 * kGiB, 228 * kKiB, 48 * kKiB, 227 * kKiB, kKiB, 2048,
     32, 65536, 8, 126ull << 20, 1965000, 3996000, 7680},
    {"RTX4090", "NVIDIA GeForce RTX 4090", 8, 9, 128, 24 * kGiB, 100 * kKiB, 48 * kKiB, 99 * kKiB,
     kKiB, 1536, 24, 65536, 0, 72ull << 20, 2520000, 10501000, 384},
    {"RTX5090", "NVIDIA GeForce RTX 5090", 12, 0, 170, 32 * kGiB, 100 * kKiB, 48 * kKiB, 99 * kKiB,
     kKiB, 1536, 32, 65536, 8, 96ull << 20, 2407000, 14001000, 512},
};

}  // namespace

const DeviceProperties* find_device(std::string_view key) {
  for (const DeviceProperties& d : kDevices)
    if (key == d.key) return &d;
  return nullptr;
}

const DeviceProperties& device() {
  static const DeviceProperties* chosen = [] {
    std::string key;
    for (char c : options().device)
      key += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    const DeviceProperties* d = find_device(key);
    return d ? d : find_device("H100");
  }();
  return *chosen;
}

}  // namespace emulator
