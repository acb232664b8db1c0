#include "sm90_stream_k.cuh"
#include "sm90_tf32.cuh"

namespace emulator_conformance {

std::vector<GemmImplementation> sm90_tf32_stream_k_gemms() {
  return concatenate({tf32::all, stream_k::all});
}

}  // namespace emulator_conformance
