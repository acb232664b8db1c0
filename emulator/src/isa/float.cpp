// f32 and f64 arithmetic, and the approximate functions.
#include "isa/handlers.hpp"
#include "isa/lanes.hpp"
#include "num/approx.hpp"
#include "num/fp.hpp"

namespace emulator::isa {
namespace {

using num::canonical;
using num::flush;
using num::Rounding;

struct Plain {
  static float in(float x) { return x; }
  static float out(float x) { return canonical(x); }
};
struct Flushed {
  static float in(float x) { return flush(x); }
  static float out(float x) { return canonical(flush(x)); }
};
// .sat clamps to [0, 1]; NaN becomes +0.
template <class Z>
struct Saturated {
  static float in(float x) { return Z::in(x); }
  static float out(float x) {
    x = Z::out(x);
    return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f;
  }
};

template <class Z>
void add_nearest(Registry& r, const std::string& suffix) {
  auto add =
      binary<float, float, float>([](float x, float y) { return Z::out(Z::in(x) + Z::in(y)); });
  auto sub =
      binary<float, float, float>([](float x, float y) { return Z::out(Z::in(x)-Z::in(y)); });
  auto mul =
      binary<float, float, float>([](float x, float y) { return Z::out(Z::in(x)*Z::in(y)); });
  for (const char* mode : {"", ".rn"}) {
    r.alu("add" + std::string(mode) + suffix, add);
    r.alu("sub" + std::string(mode) + suffix, sub);
    r.alu("mul" + std::string(mode) + suffix, mul);
  }
  auto fma = ternary<float, float, float, float>([](float x, float y, float z) {
    return Z::out(__builtin_fmaf(Z::in(x), Z::in(y), Z::in(z)));
  });
  r.alu("fma.rn" + suffix, fma);
  r.alu("mad.rn" + suffix, fma);
}

template <class Z, Rounding kMode>
void add_directed(Registry& r, const std::string& mode, const std::string& suffix) {
  r.alu("add" + mode + suffix, binary_slow<float, float, float>([](float x, float y) {
          return Z::out(num::add_rounded(Z::in(x), Z::in(y), kMode));
        }));
  r.alu("sub" + mode + suffix, binary_slow<float, float, float>([](float x, float y) {
          return Z::out(num::add_rounded(Z::in(x), -Z::in(y), kMode));
        }));
  r.alu("mul" + mode + suffix, binary_slow<float, float, float>([](float x, float y) {
          return Z::out(num::mul_rounded(Z::in(x), Z::in(y), kMode));
        }));
  auto fma = ternary_slow<float, float, float, float>([](float x, float y, float z) {
    return Z::out(num::fma_rounded(Z::in(x), Z::in(y), Z::in(z), kMode));
  });
  r.alu("fma" + mode + suffix, fma);
  r.alu("mad" + mode + suffix, fma);
}

template <class Z, Rounding kMode>
void add_division(Registry& r, const std::string& mode, const std::string& suffix) {
  r.alu("div" + mode + suffix, binary_slow<float, float, float>([](float x, float y) {
          return Z::out(num::div_rounded(Z::in(x), Z::in(y), kMode));
        }));
  r.alu("rcp" + mode + suffix, unary_slow<float, float>([](float x) {
          return Z::out(num::div_rounded(1.0f, Z::in(x), kMode));
        }));
  r.alu("sqrt" + mode + suffix, unary_slow<float, float>([](float x) {
          return Z::out(num::sqrt_rounded(Z::in(x), kMode));
        }));
}

template <class Z>
void add_all_modes(Registry& r, const std::string& z) {
  add_nearest<Z>(r, z + ".f32");
  add_nearest<Saturated<Z>>(r, z + ".sat.f32");
  add_directed<Z, Rounding::kZero>(r, ".rz", z + ".f32");
  add_directed<Z, Rounding::kDown>(r, ".rm", z + ".f32");
  add_directed<Z, Rounding::kUp>(r, ".rp", z + ".f32");
  add_directed<Saturated<Z>, Rounding::kZero>(r, ".rz", z + ".sat.f32");
  add_directed<Saturated<Z>, Rounding::kDown>(r, ".rm", z + ".sat.f32");
  add_directed<Saturated<Z>, Rounding::kUp>(r, ".rp", z + ".sat.f32");
  r.alu("div.rn" + z + ".f32",
        binary<float, float, float>([](float x, float y) { return Z::out(Z::in(x) / Z::in(y)); }));
  r.alu("rcp.rn" + z + ".f32",
        unary<float, float>([](float x) { return Z::out(1.0f / Z::in(x)); }));
  r.alu("sqrt.rn" + z + ".f32",
        unary<float, float>([](float x) { return Z::out(__builtin_sqrtf(Z::in(x))); }));
  add_division<Z, Rounding::kZero>(r, ".rz", z + ".f32");
  add_division<Z, Rounding::kDown>(r, ".rm", z + ".f32");
  add_division<Z, Rounding::kUp>(r, ".rp", z + ".f32");
}

template <class Z>
void add_min_max(Registry& r, const std::string& z) {
  r.alu("min" + z + ".f32", binary<float, float, float>(
                                [](float x, float y) { return num::min_ptx(Z::in(x), Z::in(y)); }));
  r.alu("max" + z + ".f32", binary<float, float, float>(
                                [](float x, float y) { return num::max_ptx(Z::in(x), Z::in(y)); }));
  r.alu("min" + z + ".NaN.f32", binary<float, float, float>([](float x, float y) {
          return x != x || y != y ? num::bits_to_float(num::kCanonicalNan32)
                                  : num::min_ptx(Z::in(x), Z::in(y));
        }));
  r.alu("max" + z + ".NaN.f32", binary<float, float, float>([](float x, float y) {
          return x != x || y != y ? num::bits_to_float(num::kCanonicalNan32)
                                  : num::max_ptx(Z::in(x), Z::in(y));
        }));
  r.alu("min" + z + ".xorsign.abs.f32", binary<float, float, float>([](float x, float y) {
          const u32 s = (num::float_to_bits(x) ^ num::float_to_bits(y)) & 0x80000000;
          const float m = num::min_ptx(__builtin_fabsf(Z::in(x)), __builtin_fabsf(Z::in(y)));
          return m != m ? m : num::bits_to_float(num::float_to_bits(m) | s);
        }));
  r.alu("max" + z + ".xorsign.abs.f32", binary<float, float, float>([](float x, float y) {
          const u32 s = (num::float_to_bits(x) ^ num::float_to_bits(y)) & 0x80000000;
          const float m = num::max_ptx(__builtin_fabsf(Z::in(x)), __builtin_fabsf(Z::in(y)));
          return m != m ? m : num::bits_to_float(num::float_to_bits(m) | s);
        }));
  r.alu("neg" + z + ".f32",
        unary<u32, float>([](float x) { return num::float_to_bits(Z::in(x)) ^ 0x80000000; }));
  r.alu("abs" + z + ".f32",
        unary<u32, float>([](float x) { return num::float_to_bits(Z::in(x)) & 0x7fffffff; }));
}

// Bounds of the PTX manual: relative where not said otherwise.
constexpr double kEx2Bound = 0x1p-22, kTanhBound = 0x1p-11, kRsqrtBound = 0x1.2p-23,
                 kRcpBound = 0x1p-23, kSqrtBound = 0x1p-23, kDivBound = 0x1p-22,
                 kLg2AbsoluteBound = 0x1p-22, kSinAbsoluteBound = 0x1.6p-21;

template <class Z, bool kInject>
void add_approximate(Registry& r, const std::string& z) {
  r.alu(
      "ex2.approx" + z + ".f32", unary<float, float>([](float x) {
        const float y = num::ex2(Z::in(x));
        return Z::out(kInject ? num::with_relative_error(y, num::float_to_bits(x), kEx2Bound) : y);
      }));
  r.alu("rsqrt.approx" + z + ".f32", unary<float, float>([](float x) {
          const float y = num::rsqrt(Z::in(x));
          return Z::out(kInject ? num::with_relative_error(y, num::float_to_bits(x), kRsqrtBound)
                                : y);
        }));
  r.alu(
      "rcp.approx" + z + ".f32", unary<float, float>([](float x) {
        const float y = num::rcp(Z::in(x));
        return Z::out(kInject ? num::with_relative_error(y, num::float_to_bits(x), kRcpBound) : y);
      }));
  r.alu(
      "sqrt.approx" + z + ".f32", unary<float, float>([](float x) {
        const float y = canonical(__builtin_sqrtf(Z::in(x)));
        return Z::out(kInject ? num::with_relative_error(y, num::float_to_bits(x), kSqrtBound) : y);
      }));
  r.alu("lg2.approx" + z + ".f32", unary_slow<float, float>([](float x) {
          const float y = num::lg2(Z::in(x));
          if (!kInject || !std::isfinite(y)) return Z::out(y);
          const u32 bits = num::float_to_bits(x);
          return Z::out(x > 0.5f && x < 2.0f
                            ? num::with_absolute_error(y, bits, kLg2AbsoluteBound)
                            : num::with_relative_error(y, bits, kLg2AbsoluteBound));
        }));
  r.alu("sin.approx" + z + ".f32", unary_slow<float, float>([](float x) {
          const float y = num::sin_nearest(Z::in(x));
          return Z::out(
              kInject ? num::with_absolute_error(y, num::float_to_bits(x), kSinAbsoluteBound) : y);
        }));
  r.alu("cos.approx" + z + ".f32", unary_slow<float, float>([](float x) {
          const float y = num::cos_nearest(Z::in(x));
          return Z::out(
              kInject ? num::with_absolute_error(y, num::float_to_bits(x), kSinAbsoluteBound) : y);
        }));
  auto div = binary<float, float, float>([](float x, float y) {
    // div.approx returns 0 for 2^126 < |y| < 2^128, div.full scales; both are within 2 ulp.
    const float q = Z::in(x) / Z::in(y);
    const u32 bits = num::float_to_bits(x) * 31 + num::float_to_bits(y);
    return Z::out(kInject ? num::with_relative_error(q, bits, kDivBound) : q);
  });
  r.alu("div.approx" + z + ".f32", div);
  r.alu("div.full" + z + ".f32", div);
}

template <bool kInject>
void add_tanh(Registry& r) {
  r.alu("tanh.approx.f32", unary<float, float>([](float x) {
          const float y = num::tanh_nearest(x);
          return kInject ? num::with_relative_error(y, num::float_to_bits(x), kTanhBound) : y;
        }));
}

template <Rounding kMode>
void add_f64_mode(Registry& r, const std::string& m) {
  r.alu("add" + m + ".f64", binary_slow<double, double, double>(
                                [](double x, double y) { return num::add_rounded(x, y, kMode); }));
  r.alu("sub" + m + ".f64", binary_slow<double, double, double>(
                                [](double x, double y) { return num::add_rounded(x, -y, kMode); }));
  r.alu("mul" + m + ".f64", binary_slow<double, double, double>(
                                [](double x, double y) { return num::mul_rounded(x, y, kMode); }));
  auto fma = ternary_slow<double, double, double, double>(
      [](double x, double y, double z) { return num::fma_rounded(x, y, z, kMode); });
  r.alu("fma" + m + ".f64", fma);
  r.alu("mad" + m + ".f64", fma);
  r.alu("div" + m + ".f64", binary_slow<double, double, double>(
                                [](double x, double y) { return num::div_rounded(x, y, kMode); }));
  r.alu("rcp" + m + ".f64",
        unary_slow<double, double>([](double x) { return num::div_rounded(1.0, x, kMode); }));
  r.alu("sqrt" + m + ".f64",
        unary_slow<double, double>([](double x) { return num::sqrt_rounded(x, kMode); }));
}

void add_f64(Registry& r) {
  add_f64_mode<Rounding::kZero>(r, ".rz");
  add_f64_mode<Rounding::kDown>(r, ".rm");
  add_f64_mode<Rounding::kUp>(r, ".rp");
  for (const std::string m : {"", ".rn"}) {
    r.alu("add" + m + ".f64",
          binary<double, double, double>([](double x, double y) { return x + y; }));
    r.alu("sub" + m + ".f64",
          binary<double, double, double>([](double x, double y) { return x - y; }));
    r.alu("mul" + m + ".f64",
          binary<double, double, double>([](double x, double y) { return x * y; }));
  }
  auto fma = ternary<double, double, double, double>(
      [](double x, double y, double z) { return __builtin_fma(x, y, z); });
  r.alu("fma.rn.f64", fma);
  r.alu("mad.rn.f64", fma);
  r.alu("div.rn.f64", binary<double, double, double>([](double x, double y) { return x / y; }));
  r.alu("rcp.rn.f64", unary<double, double>([](double x) { return 1.0 / x; }));
  r.alu("sqrt.rn.f64", unary<double, double>([](double x) { return __builtin_sqrt(x); }));
  // The hardware forms see only the upper 32 bits; 20 bits of the result are good.
  r.alu("rcp.approx.ftz.f64", unary_slow<double, double>([](double x) {
          if (std::fpclassify(x) == FP_SUBNORMAL) x = std::copysign(0.0, x);
          return std::bit_cast<double>(std::bit_cast<u64>(1.0 / x) & ~0xffffffffull);
        }));
  r.alu("rsqrt.approx.ftz.f64", unary_slow<double, double>([](double x) {
          return std::bit_cast<double>(std::bit_cast<u64>(1.0 / std::sqrt(x)) & ~0xffffffffull);
        }));
  r.alu("rsqrt.approx.f64",
        unary_slow<double, double>([](double x) { return 1.0 / std::sqrt(x); }));
  r.alu("min.f64",
        binary_slow<double, double, double>([](double x, double y) { return std::fmin(x, y); }));
  r.alu("max.f64",
        binary_slow<double, double, double>([](double x, double y) { return std::fmax(x, y); }));
  r.alu("neg.f64", unary<u64, u64>([](u64 x) { return x ^ 0x8000000000000000ull; }));
  r.alu("abs.f64", unary<u64, u64>([](u64 x) { return x & 0x7fffffffffffffffull; }));
}

}  // namespace

void add_float(Registry& r) {
  add_all_modes<Plain>(r, "");
  add_all_modes<Flushed>(r, ".ftz");
  add_min_max<Plain>(r, "");
  add_min_max<Flushed>(r, ".ftz");
  if (options().approx == ApproxPolicy::kInjectError) {
    add_approximate<Plain, true>(r, "");
    add_approximate<Flushed, true>(r, ".ftz");
    add_tanh<true>(r);
  } else {
    add_approximate<Plain, false>(r, "");
    add_approximate<Flushed, false>(r, ".ftz");
    add_tanh<false>(r);
  }
  r.alu("copysign.f32",
        binary<u32, u32, u32>([](u32 a, u32 b) { return (a & 0x80000000) | (b & 0x7fffffff); }));
  r.alu("copysign.f64", binary<u64, u64, u64>([](u64 a, u64 b) {
          return (a & 0x8000000000000000ull) | (b & 0x7fffffffffffffffull);
        }));
  add_f64(r);
}

}  // namespace emulator::isa
