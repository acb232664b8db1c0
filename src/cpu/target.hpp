// The instruction sets that the kernels are built for, which of them this machine has, and which
// one ran last. FLASH_KDA_CPU_TARGET=avx2|avx3|avx512bf16|neon forces one.
#pragma once

#include <optional>
#include <string>

#include "cpu/kernels.hpp"
#include "flash_kda/prefill.hpp"
#include "flash_kda/status.hpp"

namespace flash_kda::cpu {

const char* to_string(Target target);

// Built into this library and possible on this machine.
bool is_available(Target target);

// The best available target for a precision. kAvx3Bf16 serves kBF16 only: its fp32 kernels are
// those of kAvx3. Fails when the environment forces a target that cannot run here or that this
// precision does not use.
Result<Target> choose_target(Precision precision);

// Every available target, best first, comma separated; empty when there is none.
std::string available_targets();

// What the kernels recorded last (record_executed in kernels.hpp).
std::optional<Target> last_executed();
void forget_executed();

}  // namespace flash_kda::cpu
