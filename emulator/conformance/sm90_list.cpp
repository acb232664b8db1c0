#include "gemm_case.hpp"

namespace emulator_conformance {

std::vector<GemmImplementation> all_gemms() {
  return concatenate({sm90_two_warpgroup_gemms, sm90_tf32_stream_k_gemms});
}

}  // namespace emulator_conformance
