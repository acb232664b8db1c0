#include "sm80_multistage.cuh"
#include "sm80_split.cuh"

namespace emulator_conformance {

std::vector<GemmImplementation> all_gemms() { return concatenate({multistage::all, split::all}); }

}  // namespace emulator_conformance
