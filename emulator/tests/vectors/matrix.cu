// ldmatrix, stmatrix, movmatrix and mma.sync, one warp each.
#include "support/matrix_case.hpp"
#include "support/ptx.cuh"

namespace emulator_tests {
namespace {

constexpr int kStageBytes = 1024;

#define LDMATRIX_KERNEL(name, count, text, ...)                                        \
  __global__ void name(const uint8_t* in, const uint32_t* row_offset, uint32_t* out) { \
    __shared__ __align__(16) uint8_t stage[kStageBytes];                               \
    const uint32_t lane = threadIdx.x;                                                 \
    for (int i = lane; i < kStageBytes; i += 32) stage[i] = in[i];                     \
    __syncwarp();                                                                      \
    uint32_t r[4] = {0, 0, 0, 0};                                                      \
    asm volatile(text:__VA_ARGS__                                                      \
                 : "r"(ptx::shared_address(stage) + row_offset[lane])                  \
                 : "memory");                                                          \
    for (int i = 0; i < count; ++i) out[i * 32 + lane] = r[i];                         \
  }
#define LDMATRIX(name, trans)                                                                  \
  LDMATRIX_KERNEL(ldmatrix_x1##name, 1,                                                        \
                  "ldmatrix.sync.aligned.m8n8.x1" trans ".shared.b16 {%0}, [%1];", "=r"(r[0])) \
  LDMATRIX_KERNEL(ldmatrix_x2##name, 2,                                                        \
                  "ldmatrix.sync.aligned.m8n8.x2" trans ".shared::cta.b16 {%0, %1}, [%2];",    \
                  "=r"(r[0]), "=r"(r[1]))                                                      \
  LDMATRIX_KERNEL(ldmatrix_x4##name, 4,                                                        \
                  "ldmatrix.sync.aligned.m8n8.x4" trans ".shared.b16 {%0, %1, %2, %3}, [%4];", \
                  "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]))
LDMATRIX(, "")
LDMATRIX(_trans, ".trans")

#define STMATRIX_KERNEL(name, text, ...)                                                \
  __global__ void name(const uint32_t* in, const uint32_t* row_offset, uint8_t* out) {  \
    __shared__ __align__(16) uint8_t stage[kStageBytes];                                \
    const uint32_t lane = threadIdx.x;                                                  \
    for (int i = lane; i < kStageBytes; i += 32) stage[i] = 0xee;                       \
    __syncwarp();                                                                       \
    uint32_t r[4];                                                                      \
    for (int i = 0; i < 4; ++i) r[i] = in[i * 32 + lane];                               \
    asm volatile(text ::"r"(ptx::shared_address(stage) + row_offset[lane]), __VA_ARGS__ \
                 : "memory");                                                           \
    __syncwarp();                                                                       \
    for (int i = lane; i < kStageBytes; i += 32) out[i] = stage[i];                     \
  }
#define STMATRIX(name, trans)                                                                     \
  STMATRIX_KERNEL(stmatrix_x1##name,                                                              \
                  "stmatrix.sync.aligned.m8n8.x1" trans ".shared.b16 [%0], {%1};", "r"(r[0]))     \
  STMATRIX_KERNEL(stmatrix_x2##name,                                                              \
                  "stmatrix.sync.aligned.m8n8.x2" trans ".shared.b16 [%0], {%1, %2};", "r"(r[0]), \
                  "r"(r[1]))                                                                      \
  STMATRIX_KERNEL(stmatrix_x4##name,                                                              \
                  "stmatrix.sync.aligned.m8n8.x4" trans                                           \
                  ".shared::cta.b16 [%0], {%1, %2, %3, %4};",                                     \
                  "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3]))
STMATRIX(, "")
STMATRIX(_trans, ".trans")

#define MMA_PROLOGUE(a_count, b_count, c_count)              \
  const uint32_t lane = threadIdx.x;                         \
  uint32_t x[4], y[2], z[4];                                 \
  for (int i = 0; i < a_count; ++i) x[i] = a[i * 32 + lane]; \
  for (int i = 0; i < b_count; ++i) y[i] = b[i * 32 + lane]; \
  for (int i = 0; i < c_count; ++i) z[i] = c[i * 32 + lane];
#define MMA_EPILOGUE(c_count) \
  for (int i = 0; i < c_count; ++i) d[i * 32 + lane] = z[i];
#define MMA_SIGNATURE const uint32_t *a, const uint32_t *b, const uint32_t *c, uint32_t *d

// Shapes with four A registers and two B registers.
#define MMA_LARGE_F32(name, text)                                                     \
  __global__ void name(MMA_SIGNATURE) {                                               \
    MMA_PROLOGUE(4, 2, 4)                                                             \
    asm volatile("mma.sync.aligned." text                                             \
                 " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"   \
                 : "+r"(z[0]), "+r"(z[1]), "+r"(z[2]), "+r"(z[3])                     \
                 : "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]), "r"(y[0]), "r"(y[1])); \
    MMA_EPILOGUE(4)                                                                   \
  }
#define MMA_SMALL_F32(name, text)                                                                \
  __global__ void name(MMA_SIGNATURE) {                                                          \
    MMA_PROLOGUE(2, 1, 4)                                                                        \
    asm volatile("mma.sync.aligned." text " {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};" \
                 : "+r"(z[0]), "+r"(z[1]), "+r"(z[2]), "+r"(z[3])                                \
                 : "r"(x[0]), "r"(x[1]), "r"(y[0]));                                             \
    MMA_EPILOGUE(4)                                                                              \
  }
MMA_LARGE_F32(mma_f16_k16, "m16n8k16.row.col.f32.f16.f16.f32")
MMA_LARGE_F32(mma_bf16_k16, "m16n8k16.row.col.f32.bf16.bf16.f32")
MMA_LARGE_F32(mma_tf32_k8, "m16n8k8.row.col.f32.tf32.tf32.f32")
MMA_SMALL_F32(mma_f16_k8, "m16n8k8.row.col.f32.f16.f16.f32")
MMA_SMALL_F32(mma_bf16_k8, "m16n8k8.row.col.f32.bf16.bf16.f32")
MMA_SMALL_F32(mma_tf32_k4, "m16n8k4.row.col.f32.tf32.tf32.f32")
__global__ void mma_f16_k16_f16(MMA_SIGNATURE) {
  MMA_PROLOGUE(4, 2, 2)
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16 {%0, %1}, {%2, %3, %4, %5}, {%6, %7}, "
      "{%0, %1};"
      : "+r"(z[0]), "+r"(z[1])
      : "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]), "r"(y[0]), "r"(y[1]));
  MMA_EPILOGUE(2)
}
__global__ void mma_f16_k8_f16(MMA_SIGNATURE) {
  MMA_PROLOGUE(2, 1, 2)
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f16.f16.f16.f16 {%0, %1}, {%2, %3}, {%4}, {%0, %1};"
      : "+r"(z[0]), "+r"(z[1])
      : "r"(x[0]), "r"(x[1]), "r"(y[0]));
  MMA_EPILOGUE(2)
}

}  // namespace

const LdmatrixKernel kLdmatrix[6] = {ldmatrix_x1,       ldmatrix_x2,       ldmatrix_x4,
                                     ldmatrix_x1_trans, ldmatrix_x2_trans, ldmatrix_x4_trans};
const StmatrixKernel kStmatrix[6] = {stmatrix_x1,       stmatrix_x2,       stmatrix_x4,
                                     stmatrix_x1_trans, stmatrix_x2_trans, stmatrix_x4_trans};

const MmaVariant kMmaVariants[] = {
    {"m16n8k16_f16", mma_f16_k16, 16, MmaInput::kF16, MmaAccumulator::kF32},
    {"m16n8k16_bf16", mma_bf16_k16, 16, MmaInput::kBf16, MmaAccumulator::kF32},
    {"m16n8k8_tf32", mma_tf32_k8, 8, MmaInput::kTf32, MmaAccumulator::kF32},
    {"m16n8k8_f16", mma_f16_k8, 8, MmaInput::kF16, MmaAccumulator::kF32},
    {"m16n8k8_bf16", mma_bf16_k8, 8, MmaInput::kBf16, MmaAccumulator::kF32},
    {"m16n8k4_tf32", mma_tf32_k4, 4, MmaInput::kTf32, MmaAccumulator::kF32},
    {"m16n8k16_f16_f16", mma_f16_k16_f16, 16, MmaInput::kF16, MmaAccumulator::kF16},
    {"m16n8k8_f16_f16", mma_f16_k8_f16, 8, MmaInput::kF16, MmaAccumulator::kF16},
};

__global__ void movmatrix_kernel(const uint32_t* in, uint32_t* out) {
  asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;"
               : "=r"(out[threadIdx.x])
               : "r"(in[threadIdx.x]));
}

}  // namespace emulator_tests
