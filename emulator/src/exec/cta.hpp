// Building the CTAs of a cluster.
#pragma once

#include <memory>

#include "exec/warp.hpp"

namespace emulator {

// `index` counts clusters of the grid, x fastest.
std::unique_ptr<Cluster> make_cluster(Grid& grid, u64 index);

}  // namespace emulator
