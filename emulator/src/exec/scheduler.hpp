// Runs the CTAs of one cluster, a turn at a time.
#pragma once

#include "exec/warp.hpp"

namespace emulator {

enum class RoundResult { kActive, kSpinning, kBlocked, kDone };

// Every warp gets one turn. kSpinning: instructions were executed, but none that another warp could
// wait for; kBlocked: nothing could run at all.
RoundResult run_round(Cluster& cluster);

// Where every live warp stands, for deadlock reports.
std::string positions(const Cluster& cluster);

}  // namespace emulator
