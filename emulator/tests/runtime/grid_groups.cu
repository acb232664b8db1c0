// Grid-wide synchronisation through CUDA's own library, which finds its barrier in the environment
// registers of a cooperative launch.
#include <cooperative_groups.h>

#include "support/runtime_case.hpp"

namespace emulator_tests {

__global__ void cooperative_groups_sync(int* data, int* out, int rounds) {
  const auto grid = cooperative_groups::this_grid();
  const int rank = static_cast<int>(grid.thread_rank());
  const int size = static_cast<int>(grid.size());
  for (int round = 0; round < rounds; ++round) {
    data[rank] = round * 10000 + rank;
    grid.sync();
    out[rank] = data[(rank + blockDim.x) % size];
    grid.sync();
  }
}

}  // namespace emulator_tests
