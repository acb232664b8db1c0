// Vector helpers of the kernels, compiled once per target: conversions, 2^x, reciprocals, sums.
// clang-format off
#if defined(FLASH_KDA_CPU_VECTOR_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FLASH_KDA_CPU_VECTOR_MATH_INL_H_
#undef FLASH_KDA_CPU_VECTOR_MATH_INL_H_
#else
#define FLASH_KDA_CPU_VECTOR_MATH_INL_H_
#endif
// clang-format on

#include <cstdint>
#include <cstring>

#include "cpu/kernels.hpp"
#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"

// Small fixed loops over registers must vanish: GCC does not always unroll 8 x 2 tiles by itself.
#ifndef FLASH_KDA_UNROLL
#if defined(__clang__)
#define FLASH_KDA_UNROLL _Pragma("clang loop unroll(full)")
#else
#define FLASH_KDA_UNROLL _Pragma("GCC unroll 32")
#endif
#endif

HWY_BEFORE_NAMESPACE();
namespace flash_kda::cpu {
namespace HWY_NAMESPACE {
namespace {  // per translation unit: the bf16 unit compiles these with more instructions

namespace hn = hwy::HWY_NAMESPACE;

using DF = hn::ScalableTag<float>;
using VF = hn::Vec<DF>;
constexpr int kLanes = HWY_LANES(float);
static_assert(kVectorPad % kLanes == 0);

HWY_INLINE VF load(const float* from) { return hn::LoadU(DF(), from); }
HWY_INLINE void store(VF v, float* to) { hn::StoreU(v, DF(), to); }
HWY_INLINE VF set1(float x) { return hn::Set(DF(), x); }

// kLanes elements of a caller's tensor as fp32; exact.
template <DType kType>
HWY_INLINE VF load_as_f32(const void* data, std::int64_t index) {
  if constexpr (kType == DType::kF32) {
    return hn::LoadU(DF(), static_cast<const float*>(data) + index);
  } else if constexpr (kType == DType::kBF16) {
    const hn::Rebind<hwy::bfloat16_t, DF> d16;
    return hn::PromoteTo(DF(), hn::LoadU(d16, static_cast<const hwy::bfloat16_t*>(data) + index));
  } else {
    const hn::Rebind<hwy::float16_t, DF> d16;
    return hn::PromoteTo(DF(), hn::LoadU(d16, static_cast<const hwy::float16_t*>(data) + index));
  }
}

// fp32 to kLanes elements of a caller's tensor, to nearest even.
template <DType kType>
HWY_INLINE void store_from_f32(VF v, void* data, std::int64_t index) {
  if constexpr (kType == DType::kF32) {
    hn::StoreU(v, DF(), static_cast<float*>(data) + index);
  } else if constexpr (kType == DType::kBF16) {
    const hn::RebindToUnsigned<DF> du;
    const hn::Rebind<std::uint16_t, DF> d16;
    const auto bits = hn::BitCast(du, v);
    const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1u));
    const auto rounded = hn::Add(bits, hn::Add(odd, hn::Set(du, 0x7fffu)));
    // Rounding could turn a NaN into infinity; quieting keeps it a NaN.
    const auto quiet = hn::Or(bits, hn::Set(du, 0x400000u));
    const auto is_nan = hn::RebindMask(du, hn::IsNaN(v));
    const auto kept = hn::ShiftRight<16>(hn::IfThenElse(is_nan, quiet, rounded));
    hn::StoreU(hn::TruncateTo(d16, kept), d16, static_cast<std::uint16_t*>(data) + index);
  } else {
    const hn::Rebind<hwy::float16_t, DF> d16;
    hn::StoreU(hn::DemoteTo(d16, v), d16, static_cast<hwy::float16_t*>(data) + index);
  }
}

constexpr std::size_t bytes_of(DType type) { return type == DType::kF32 ? 4 : 2; }

// `count` elements, then zeros up to `padded` (a multiple of kLanes).
template <DType kType>
HWY_INLINE void load_row(const void* data, std::int64_t first, int count, int padded, float* to) {
  int i = 0;
  for (; i + kLanes <= count; i += kLanes) store(load_as_f32<kType>(data, first + i), to + i);
  if (i < count) {
    HWY_ALIGN unsigned char rest[64] = {};
    std::memcpy(rest,
                static_cast<const char*>(data) + (first + i) * static_cast<int>(bytes_of(kType)),
                static_cast<std::size_t>(count - i) * bytes_of(kType));
    store(load_as_f32<kType>(rest, 0), to + i);
    i += kLanes;
  }
  for (; i < padded; i += kLanes) store(hn::Zero(DF()), to + i);
}

template <DType kType>
HWY_INLINE void store_row(const float* from, int count, void* data, std::int64_t first) {
  int i = 0;
  for (; i + kLanes <= count; i += kLanes) store_from_f32<kType>(load(from + i), data, first + i);
  if (i < count) {
    HWY_ALIGN unsigned char rest[64];
    store_from_f32<kType>(load(from + i), rest, 0);
    std::memcpy(static_cast<char*>(data) + (first + i) * static_cast<int>(bytes_of(kType)), rest,
                static_cast<std::size_t>(count - i) * bytes_of(kType));
  }
}

// Calls body.template operator()<DType>() with the run-time type as a constant.
template <typename Body>
HWY_INLINE void with_dtype(DType type, const Body& body) {
  if (type == DType::kBF16) {
    body.template operator()<DType::kBF16>();
  } else if (type == DType::kF32) {
    body.template operator()<DType::kF32>();
  } else {
    body.template operator()<DType::kF16>();
  }
}

// One value of a tensor of the caller, fp32.
HWY_INLINE float load_scalar(const Rows& rows, std::int64_t row) {
  HWY_ALIGN float one[kVectorPad];
  with_dtype(rows.dtype, [&]<DType kType>() HWY_ATTR {
    load_row<kType>(rows.data, row * rows.stride, 1, kLanes, one);
  });
  return one[0];
}

// min(x, limit) and max(x, limit) that pass a NaN in x on. The x86 instructions return their second
// operand then; those of NEON would return the limit.
HWY_INLINE VF at_most(VF x, float limit) {
#if HWY_TARGET == HWY_NEON
  return hn::IfThenElse(hn::Gt(x, set1(limit)), set1(limit), x);
#else
  return hn::Min(set1(limit), x);
#endif
}
HWY_INLINE VF at_least(VF x, float limit) {
#if HWY_TARGET == HWY_NEON
  return hn::IfThenElse(hn::Lt(x, set1(limit)), set1(limit), x);
#else
  return hn::Max(set1(limit), x);
#endif
}

// 2^x as 2^n (1 + minus_one) with n = round(x).
struct Exp2Parts {
  VF n;
  VF minus_one;  // 2^(x - n) - 1, in [-0.3, 0.42]
};

// The polynomial is 2^f - 1 = f P(f) on |f| <= 1/2, P the Chebyshev interpolant of degree 5: 5.2e-9
// relative to 2^f. x is held in [-200, 127]; below -126 the result is subnormal or zero.
HWY_INLINE Exp2Parts exp2_parts(VF x) {
  x = at_least(at_most(x, 127.0f), -200.0f);
  const VF n = hn::Round(x);
  const VF f = hn::Sub(x, n);
  VF p = set1(1.5461447751e-4f);
  p = hn::MulAdd(p, f, set1(1.3390866807e-3f));
  p = hn::MulAdd(p, f, set1(9.6180569381e-3f));
  p = hn::MulAdd(p, f, set1(5.5503569543e-2f));
  p = hn::MulAdd(p, f, set1(2.4022650719e-1f));
  p = hn::MulAdd(p, f, set1(6.9314718246e-1f));
  return {n, hn::Mul(p, f)};
}

// v 2^n for integers n in [-200, 127].
HWY_INLINE VF scale_by_power(VF v, VF n) {
#if HWY_TARGET == HWY_AVX3
  // The masked form: GCC 12 warns of an undefined operand inside the plain one.
  return VF{_mm512_maskz_scalef_ps(0xffff, v.raw, n.raw)};
#else
  // Adding 1.5 * 2^23 puts an integer into the low bits; 127 more is the exponent's bias.
  const hn::RebindToUnsigned<DF> du;
  const VF shifted = hn::Add(at_least(n, -126.0f), set1(12582912.0f + 127.0f));
  const VF power = hn::BitCast(DF(), hn::ShiftLeft<23>(hn::BitCast(du, shifted)));
  return hn::Mul(v, hn::IfThenZeroElse(hn::Lt(n, set1(-126.0f)), power));
#endif
}

HWY_INLINE VF exp2_f32(VF x) {
  const Exp2Parts parts = exp2_parts(x);
  return scale_by_power(hn::Add(parts.minus_one, set1(1.0f)), parts.n);
}

struct TwoFloats {
  VF hi, lo;
};
// hi + lo is 2^x to about 2^-27. Near 1, where slow decays lie, one fp32 cannot hold it to better
// than 3e-8, an error that a long sequence with a constant gate would multiply.
HWY_INLINE TwoFloats exp2_two_floats(VF x) {
  const Exp2Parts parts = exp2_parts(x);
  const VF one = set1(1.0f);
  const VF hi = hn::Add(one, parts.minus_one);
  const VF lo = hn::Sub(parts.minus_one, hn::Sub(hi, one));
  return {scale_by_power(hi, parts.n), scale_by_power(lo, parts.n)};
}

// 1 / x for x in [1, 2^120], within 2 units in the last place.
HWY_INLINE VF reciprocal(VF x) {
  const VF two = set1(2.0f);
  VF r = hn::ApproximateReciprocal(x);  // 14 bits on AVX-512, 12 on AVX2, 8 on NEON
  r = hn::Mul(r, hn::NegMulAdd(x, r, two));
#if HWY_TARGET != HWY_AVX3
  r = hn::Mul(r, hn::NegMulAdd(x, r, two));
#endif
#if HWY_TARGET == HWY_NEON
  r = hn::Mul(r, hn::NegMulAdd(x, r, two));
#endif
  return r;
}

constexpr float kLog2E = 1.44269504f;

// 1 / (1 + 2^y), which is the sigmoid of -y / log2(e); relative error below 4e-7, zero past 2^120.
HWY_INLINE VF sigmoid_of_negative_log2(VF y) {
  return reciprocal(hn::Add(exp2_f32(at_most(y, 120.0f)), set1(1.0f)));
}
HWY_INLINE VF sigmoid(VF x) { return sigmoid_of_negative_log2(hn::Mul(x, set1(-kLog2E))); }

// log(1 + e^x), relative error below 4e-7 on both sides.
HWY_INLINE VF softplus(VF x) {
  const DF d;
  const VF e = exp2_f32(hn::Mul(hn::Abs(x), set1(-kLog2E)));
  return hn::Add(at_least(x, 0.0f), hn::Log1p(d, e));
}

// kLanes accumulators to one vector of their lane sums, in order.
HWY_INLINE VF sum_block4(VF a0, VF a1, VF a2, VF a3) {
  const DF d;
  const hn::Repartition<double, DF> d64;
  const VF s01 = hn::Add(hn::InterleaveLower(d, a0, a1), hn::InterleaveUpper(d, a0, a1));
  const VF s23 = hn::Add(hn::InterleaveLower(d, a2, a3), hn::InterleaveUpper(d, a2, a3));
  const auto lo = hn::InterleaveLower(d64, hn::BitCast(d64, s01), hn::BitCast(d64, s23));
  const auto hi = hn::InterleaveUpper(d64, hn::BitCast(d64, s01), hn::BitCast(d64, s23));
  return hn::Add(hn::BitCast(d, lo), hn::BitCast(d, hi));
}

HWY_INLINE VF sum_lanes(const VF* a) {
#if HWY_TARGET == HWY_AVX3
  const DF d;
  const VF x0 = sum_block4(a[0], a[1], a[2], a[3]);
  const VF x1 = sum_block4(a[4], a[5], a[6], a[7]);
  const VF x2 = sum_block4(a[8], a[9], a[10], a[11]);
  const VF x3 = sum_block4(a[12], a[13], a[14], a[15]);
  // Blocks of y02: x0, x0, x2, x2; of y13 likewise.
  const VF y02 = hn::Add(hn::ConcatLowerLower(d, x2, x0), hn::ConcatUpperUpper(d, x2, x0));
  const VF y13 = hn::Add(hn::ConcatLowerLower(d, x3, x1), hn::ConcatUpperUpper(d, x3, x1));
  const VF even = hn::OddEvenBlocks(hn::SwapAdjacentBlocks(y13), y02);
  const VF odd = hn::OddEvenBlocks(y13, hn::SwapAdjacentBlocks(y02));
  return hn::Add(even, odd);
#elif HWY_TARGET == HWY_AVX2
  const DF d;
  const VF x0 = sum_block4(a[0], a[1], a[2], a[3]);
  const VF x1 = sum_block4(a[4], a[5], a[6], a[7]);
  return hn::Add(hn::ConcatLowerLower(d, x1, x0), hn::ConcatUpperUpper(d, x1, x0));
#else
  return sum_block4(a[0], a[1], a[2], a[3]);
#endif
}

// kCount (a multiple of 4) lane sums.
template <int kCount>
HWY_INLINE void sums_of_lanes(const VF* accumulators, float* sums) {
  if constexpr (kCount >= kLanes) {
    static_assert(kCount % kLanes == 0);
    FLASH_KDA_UNROLL
    for (int i = 0; i < kCount; i += kLanes) store(sum_lanes(accumulators + i), sums + i);
  } else {
    VF all[kLanes];
    FLASH_KDA_UNROLL
    for (int i = 0; i < kLanes; ++i) all[i] = i < kCount ? accumulators[i] : hn::Zero(DF());
    HWY_ALIGN float buffer[kLanes];
    store(sum_lanes(all), buffer);
    FLASH_KDA_UNROLL
    for (int i = 0; i < kCount; ++i) sums[i] = buffer[i];
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace flash_kda::cpu
HWY_AFTER_NAMESPACE();

#endif
