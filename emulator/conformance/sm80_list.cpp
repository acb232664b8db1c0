#include "gemm_case.hpp"

namespace emulator_conformance {

std::vector<GemmImplementation> all_gemms() { return concatenate({sm80_gemms, sm80_split_gemms}); }

}  // namespace emulator_conformance
