#include "gemm_case.hpp"

namespace emulator_conformance {

std::vector<GemmImplementation> all_gemms() {
  return concatenate(
      {sm90_pingpong_gemms, sm90_cooperative_gemms, sm90_tf32_gemms, sm90_stream_k_gemms});
}

}  // namespace emulator_conformance
