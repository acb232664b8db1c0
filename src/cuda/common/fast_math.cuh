// The special functions of the kernels, one instruction each. Bounds are those of the PTX ISA
// (section "Floating Point Instructions"); they all flush subnormal results to zero.
#pragma once

namespace flash_kda::cuda {

inline constexpr float kLog2e = 1.4426950408889634f;

// 2^x, relative error 2^-22.
__device__ __forceinline__ float exp2_approx(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// log2(x), absolute error 2^-22.6 for x in (0.5, 2), relative error 2^-22.6 elsewhere.
__device__ __forceinline__ float log2_approx(float x) {
  float y;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// 1 / x, 1 ulp.
__device__ __forceinline__ float reciprocal_approx(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// 1 / sqrt(x), relative error 2^-22.9.
__device__ __forceinline__ float rsqrt_approx(float x) {
  float y;
  asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// sigmoid(x) for any x: 2^-x overflows to infinity far left of zero, whose reciprocal is 0.
__device__ __forceinline__ float sigmoid_approx(float x) {
  return reciprocal_approx(1.0f + exp2_approx(-kLog2e * x));
}

}  // namespace flash_kda::cuda
