// wgmma.mma_async in every shape of vectors/wgmma.inc, one warpgroup each.
#include "support/ptx.cuh"
#include "support/register_lists.cuh"
#include "support/wgmma_case.hpp"

namespace emulator_tests {
namespace {

#define K_f16 "k16"
#define K_bf16 "k16"
#define K_tf32 "k8"
// The flags that choose the major exist for 16-bit types only.
#define TRANSPOSE_K "0"
#define TRANSPOSE_Mn "1"
#define MAJORS_SS_f16(a, b) ", " TRANSPOSE_##a ", " TRANSPOSE_##b
#define MAJORS_SS_bf16(a, b) ", " TRANSPOSE_##a ", " TRANSPOSE_##b
#define MAJORS_SS_tf32(a, b) ""
#define MAJORS_RS_f16(b) ", " TRANSPOSE_##b
#define MAJORS_RS_bf16(b) ", " TRANSPOSE_##b
#define MAJORS_RS_tf32(b) ""
#define SIGN_Plus "1"
#define SIGN_Minus "-1"
#define OPERAND_ss "%2"
#define OPERAND_rs "{%4, %5, %6, %7}"
#define MAJORS_ss(in, a, b) MAJORS_SS_##in(a, b)
#define MAJORS_rs(in, a, b) MAJORS_RS_##in(b)
#define WGMMA_NAME(source, N, in, acc, a, b, sign_a, sign_b) \
  wgmma_##source##_n##N##_##in##_##acc##_##a##b##_##sign_a##sign_b

__device__ uint64_t place(uint64_t descriptor, const void* image) {
  return descriptor + (ptx::shared_address(image) >> 4);
}

#define WGMMA_BODY(groups, instruction, a_operand, sign_and_majors)                       \
  asm volatile(                                                                           \
      "{.reg .pred p; .reg .b64 address; mov.b64 address, %0; setp.ne.b32 p, %1, "        \
      "0; " DECLARE_##groups LOAD_##groups                                                \
      "wgmma.fence.sync.aligned; wgmma.mma_async.sync.aligned." instruction               \
      " {" REGISTERS_##groups                                                             \
      "}, " a_operand ", %3, p, " sign_and_majors                                         \
      "; "                                                                                \
      "wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0; " STORE_##groups \
      "}" ::"l"(accumulators),                                                            \
      "r"(arguments.scale_d), "l"(descriptor_a), "l"(descriptor_b), "r"(a[0]), "r"(a[1]), \
      "r"(a[2]), "r"(a[3])                                                                \
      : "memory")

#define WGMMA_KERNEL(name, groups, instruction, a_operand, sign_and_majors)     \
  __global__ void __launch_bounds__(128) name(WgmmaArguments arguments) {       \
    extern __shared__ __align__(1024) uint8_t image[];                          \
    const uint32_t thread = threadIdx.x;                                        \
    for (uint32_t i = thread; i < arguments.image_bytes / 4; i += 128) {        \
      reinterpret_cast<uint32_t*>(image)[i] =                                   \
          reinterpret_cast<const uint32_t*>(arguments.image)[i];                \
    }                                                                           \
    ptx::fence_proxy_async();                                                   \
    __syncthreads();                                                            \
    uint32_t* accumulators = arguments.accumulators + thread * (groups * 4);    \
    const uint64_t descriptor_a = place(arguments.descriptor_a, image);         \
    const uint64_t descriptor_b = place(arguments.descriptor_b, image);         \
    uint32_t a[4];                                                              \
    for (int i = 0; i < 4; ++i) a[i] = arguments.a_registers[i * 128 + thread]; \
    WGMMA_BODY(groups, instruction, a_operand, sign_and_majors);                \
  }

#define WGMMA(source, N, groups, in, acc, a_major, b_major, sign_a, sign_b)              \
  WGMMA_KERNEL(WGMMA_NAME(source, N, in, acc, a_major, b_major, sign_a, sign_b), groups, \
               "m64n" #N K_##in "." #acc "." #in "." #in, OPERAND_##source,              \
               SIGN_##sign_a ", " SIGN_##sign_b MAJORS_##source(in, a_major, b_major))
#include "vectors/wgmma.inc"

}  // namespace

#define INPUT_f16 WgmmaInput::kF16
#define INPUT_bf16 WgmmaInput::kBf16
#define INPUT_tf32 WgmmaInput::kTf32
#define ACCUMULATOR_f32 WgmmaAccumulator::kF32
#define ACCUMULATOR_f16 WgmmaAccumulator::kF16
#define SOURCE_ss WgmmaSource::kShared
#define SOURCE_rs WgmmaSource::kRegisters
#define SIGN_VALUE_Plus 1
#define SIGN_VALUE_Minus -1
#define LISTED_NAME(name) #name
#define LISTED_NAME_OF(name) LISTED_NAME(name)
#undef WGMMA
#define WGMMA(source, N, groups, in, acc, a_major, b_major, sign_a, sign_b)          \
  {LISTED_NAME_OF(WGMMA_NAME(source, N, in, acc, a_major, b_major, sign_a, sign_b)), \
   WGMMA_NAME(source, N, in, acc, a_major, b_major, sign_a, sign_b),                 \
   N,                                                                                \
   INPUT_##in,                                                                       \
   ACCUMULATOR_##acc,                                                                \
   SOURCE_##source,                                                                  \
   OperandMajor::k##a_major,                                                         \
   OperandMajor::k##b_major,                                                         \
   SIGN_VALUE_##sign_a,                                                              \
   SIGN_VALUE_##sign_b},
const WgmmaVariant kWgmmaVariants[] = {
#include "vectors/wgmma.inc"
};
const int kWgmmaVariantCount = sizeof(kWgmmaVariants) / sizeof(kWgmmaVariants[0]);

}  // namespace emulator_tests
