// The headers alone take nvcc 20 s, so that several kernels share a file.
#include "sm90_cooperative.cuh"
#include "sm90_pingpong.cuh"

namespace emulator_conformance {

std::vector<GemmImplementation> sm90_two_warpgroup_gemms() {
  return concatenate({pingpong::all, cooperative::all});
}

}  // namespace emulator_conformance
