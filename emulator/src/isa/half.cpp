// f16, bf16 and their packed pairs.
#include "isa/handlers.hpp"
#include "isa/lanes.hpp"
#include "num/approx.hpp"
#include "num/fp.hpp"

namespace emulator::isa {
namespace {

using num::add_to_odd;

struct F16 {
  static float load(u16 x) { return num::f16_to_float(x); }
  static u16 store(float x) { return num::float_to_f16(x); }
  static u16 store(double x) { return num::float_to_f16(num::to_float_odd(x)); }
  static constexpr u16 kInfinity = 0x7c00;
};
struct Bf16 {
  static float load(u16 x) { return num::bf16_to_float(x); }
  static u16 store(float x) { return num::float_to_bf16(x); }
  static u16 store(double x) { return num::float_to_bf16(num::to_float_odd(x)); }
  static constexpr u16 kInfinity = 0x7f80;
};

template <class H>
bool is_nan(u16 x) {
  return (x & 0x7fff) > H::kInfinity;
}

// Variants of an operation: what happens to subnormal inputs and results, and to the sign.
struct Keep {
  static constexpr bool kFlush = false, kSaturate = false, kRelu = false;
};
struct Ftz {
  static constexpr bool kFlush = true, kSaturate = false, kRelu = false;
};
struct Sat {
  static constexpr bool kFlush = false, kSaturate = true, kRelu = false;
};
struct FtzSat {
  static constexpr bool kFlush = true, kSaturate = true, kRelu = false;
};
struct Relu {
  static constexpr bool kFlush = false, kSaturate = false, kRelu = true;
};
struct FtzRelu {
  static constexpr bool kFlush = true, kSaturate = false, kRelu = true;
};

template <class H, class V>
u16 input(u16 x) {
  if constexpr (V::kFlush)
    if (!(x & H::kInfinity)) return x & 0x8000;
  return x;
}

template <class H, class V>
u16 output(u16 x) {
  if constexpr (V::kFlush)
    if (!(x & H::kInfinity)) x &= 0x8000;
  if constexpr (V::kSaturate) {
    if (is_nan<H>(x) || (x & 0x8000)) return 0;
    const u16 one = H::store(1.0f);
    return x > one ? one : x;
  }
  if constexpr (V::kRelu)
    if (!is_nan<H>(x) && (x & 0x8000)) return 0;
  return x;
}

template <class H, class V>
u16 add(u16 x, u16 y) {
  return output<H, V>(H::store(H::load(input<H, V>(x)) + H::load(input<H, V>(y))));
}
template <class H, class V>
u16 sub(u16 x, u16 y) {
  return add<H, V>(x, y ^ 0x8000);
}
template <class H, class V>
u16 mul(u16 x, u16 y) {
  // The product of two 11-bit numbers is exact in double also where float would be subnormal.
  const double product =
      static_cast<double>(H::load(input<H, V>(x))) * static_cast<double>(H::load(input<H, V>(y)));
  // An H200 flushes what is too small before rounding, also where rounding would have saved it.
  constexpr double kMinNormalF16 = 0x1p-14;
  if constexpr (V::kFlush && std::is_same_v<H, F16>)
    if (std::fabs(product) < kMinNormalF16)
      return output<H, V>(H::store(std::copysign(0.0, product)));
  return output<H, V>(H::store(product));
}
template <class H, class V>
u16 fma(u16 x, u16 y, u16 z) {
  const double product =
      static_cast<double>(H::load(input<H, V>(x))) * static_cast<double>(H::load(input<H, V>(y)));
  return output<H, V>(H::store(add_to_odd(product, static_cast<double>(H::load(input<H, V>(z))))));
}

template <class H>
u16 minimum(u16 x, u16 y) {
  if (is_nan<H>(x)) return is_nan<H>(y) ? num::kCanonicalNan16 : y;
  if (is_nan<H>(y)) return x;
  const float a = H::load(x), b = H::load(y);
  if (a == b) return x | y;  // -0 is the smaller zero; otherwise the bits are equal
  return a < b ? x : y;
}
template <class H>
u16 maximum(u16 x, u16 y) {
  if (is_nan<H>(x)) return is_nan<H>(y) ? num::kCanonicalNan16 : y;
  if (is_nan<H>(y)) return x;
  const float a = H::load(x), b = H::load(y);
  if (a == b) return x & y;
  return a > b ? x : y;
}
template <class H>
bool any_nan(u16 x, u16 y) {
  return is_nan<H>(x) || is_nan<H>(y);
}

template <class F>
u32 pairwise(u32 x, u32 y, F f) {
  return static_cast<u32>(f(static_cast<u16>(x), static_cast<u16>(y))) |
         static_cast<u32>(f(static_cast<u16>(x >> 16), static_cast<u16>(y >> 16))) << 16;
}

// Registers the scalar and the packed form of an operation, lane by lane: vectorising all variants
// would triple the time to compile this file. The common ones are replaced at the end.
template <class F>
void add_unary(Registry& r, const std::string& op, const std::string& type, F) {
  r.alu(op + "." + type, unary_slow<u16, u16>(F{}));
  r.alu(op + "." + type + "x2", unary_slow<u32, u32>([](u32 x) {
          return static_cast<u32>(F{}(static_cast<u16>(x))) |
                 static_cast<u32>(F{}(static_cast<u16>(x >> 16))) << 16;
        }));
}
template <class F>
void add_binary(Registry& r, const std::string& op, const std::string& type, F) {
  r.alu(op + "." + type, binary_slow<u16, u16, u16>(F{}));
  r.alu(op + "." + type + "x2",
        binary_slow<u32, u32, u32>([](u32 x, u32 y) { return pairwise(x, y, F{}); }));
}
template <class F>
void add_ternary(Registry& r, const std::string& op, const std::string& type, F) {
  r.alu(op + "." + type, ternary_slow<u16, u16, u16, u16>(F{}));
  r.alu(op + "." + type + "x2", ternary_slow<u32, u32, u32, u32>([](u32 x, u32 y, u32 z) {
          return static_cast<u32>(
                     F{}(static_cast<u16>(x), static_cast<u16>(y), static_cast<u16>(z))) |
                 static_cast<u32>(F{}(static_cast<u16>(x >> 16), static_cast<u16>(y >> 16),
                                      static_cast<u16>(z >> 16)))
                     << 16;
        }));
}

template <class H, class V>
void add_arithmetic(Registry& r, const std::string& variant, const std::string& type) {
  for (const char* mode : {"", ".rn"}) {
    const std::string m = mode + variant;
    add_binary(r, "add" + m, type, [](u16 x, u16 y) { return add<H, V>(x, y); });
    add_binary(r, "sub" + m, type, [](u16 x, u16 y) { return sub<H, V>(x, y); });
    add_binary(r, "mul" + m, type, [](u16 x, u16 y) { return mul<H, V>(x, y); });
  }
}
template <class H, class V>
void add_fma(Registry& r, const std::string& variant, const std::string& type) {
  add_ternary(r, "fma.rn" + variant, type, [](u16 x, u16 y, u16 z) { return fma<H, V>(x, y, z); });
}

template <class H, class V>
void add_min_max(Registry& r, const std::string& z, const std::string& type) {
  add_binary(r, "min" + z, type,
             [](u16 x, u16 y) { return minimum<H>(input<H, V>(x), input<H, V>(y)); });
  add_binary(r, "max" + z, type,
             [](u16 x, u16 y) { return maximum<H>(input<H, V>(x), input<H, V>(y)); });
  add_binary(r, "min" + z + ".NaN", type, [](u16 x, u16 y) {
    return any_nan<H>(x, y) ? num::kCanonicalNan16 : minimum<H>(input<H, V>(x), input<H, V>(y));
  });
  add_binary(r, "max" + z + ".NaN", type, [](u16 x, u16 y) {
    return any_nan<H>(x, y) ? num::kCanonicalNan16 : maximum<H>(input<H, V>(x), input<H, V>(y));
  });
  add_binary(r, "min" + z + ".xorsign.abs", type, [](u16 x, u16 y) {
    const u16 m = minimum<H>(input<H, V>(x) & 0x7fff, input<H, V>(y) & 0x7fff);
    return static_cast<u16>(is_nan<H>(m) ? m : m | ((x ^ y) & 0x8000));
  });
  add_binary(r, "max" + z + ".xorsign.abs", type, [](u16 x, u16 y) {
    const u16 m = maximum<H>(input<H, V>(x) & 0x7fff, input<H, V>(y) & 0x7fff);
    return static_cast<u16>(is_nan<H>(m) ? m : m | ((x ^ y) & 0x8000));
  });
  add_unary(r, "neg" + z, type, [](u16 x) { return static_cast<u16>(input<H, V>(x) ^ 0x8000); });
  add_unary(r, "abs" + z, type, [](u16 x) { return static_cast<u16>(input<H, V>(x) & 0x7fff); });
}

constexpr double kEx2F16Bound = 0x1p-9, kEx2Bf16Bound = 0x1p-7, kTanhF16Bound = 0x1p-10,
                 kTanhBf16Bound = 0x1p-8;

template <bool kInject>
void add_approximate(Registry& r) {
  auto ex2_f16 = [](u16 x) {
    const float y = num::ex2(F16::load(x));
    return F16::store(kInject ? num::with_relative_error(y, x, kEx2F16Bound) : y);
  };
  add_unary(r, "ex2.approx", "f16", ex2_f16);
  add_unary(r, "ex2.approx.ftz", "f16", [](u16 x) {
    const float y = num::ex2(F16::load(input<F16, Ftz>(x)));
    return output<F16, Ftz>(F16::store(kInject ? num::with_relative_error(y, x, kEx2F16Bound) : y));
  });
  add_unary(r, "ex2.approx.ftz", "bf16", [](u16 x) {
    const float y = num::ex2(Bf16::load(input<Bf16, Ftz>(x)));
    return output<Bf16, Ftz>(
        Bf16::store(kInject ? num::with_relative_error(y, x, kEx2Bf16Bound) : y));
  });
  add_unary(r, "tanh.approx", "f16", [](u16 x) {
    const float y = num::tanh_nearest(F16::load(x));
    return F16::store(kInject ? num::with_relative_error(y, x, kTanhF16Bound) : y);
  });
  add_unary(r, "tanh.approx", "bf16", [](u16 x) {
    const float y = num::tanh_nearest(Bf16::load(x));
    return Bf16::store(kInject ? num::with_relative_error(y, x, kTanhBf16Bound) : y);
  });
}

template <class H>
void add_common(Registry& r, const std::string& type) {
  for (const char* mode : {".", ".rn."}) {
    r.alu("add" + (mode + type), binary<u32, u32, u32>([](u32 x, u32 y) {
            return pairwise(x, y, [](u16 a, u16 b) { return add<H, Keep>(a, b); });
          }));
    r.alu("sub" + (mode + type), binary<u32, u32, u32>([](u32 x, u32 y) {
            return pairwise(x, y, [](u16 a, u16 b) { return sub<H, Keep>(a, b); });
          }));
    r.alu("mul" + (mode + type), binary<u32, u32, u32>([](u32 x, u32 y) {
            return pairwise(x, y, [](u16 a, u16 b) { return mul<H, Keep>(a, b); });
          }));
  }
  r.alu("fma.rn." + type, ternary<u32, u32, u32, u32>([](u32 x, u32 y, u32 z) {
          auto one = [](u32 a, u32 b, u32 c) {
            return static_cast<u32>(
                fma<H, Keep>(static_cast<u16>(a), static_cast<u16>(b), static_cast<u16>(c)));
          };
          return one(x, y, z) | one(x >> 16, y >> 16, z >> 16) << 16;
        }));
}

}  // namespace

void add_half(Registry& r) {
  add_arithmetic<F16, Keep>(r, "", "f16");
  add_arithmetic<F16, Ftz>(r, ".ftz", "f16");
  add_arithmetic<F16, Sat>(r, ".sat", "f16");
  add_arithmetic<F16, FtzSat>(r, ".ftz.sat", "f16");
  add_arithmetic<Bf16, Keep>(r, "", "bf16");
  add_fma<F16, Keep>(r, "", "f16");
  add_fma<F16, Ftz>(r, ".ftz", "f16");
  add_fma<F16, Sat>(r, ".sat", "f16");
  add_fma<F16, FtzSat>(r, ".ftz.sat", "f16");
  add_fma<F16, Relu>(r, ".relu", "f16");
  add_fma<F16, FtzRelu>(r, ".ftz.relu", "f16");
  add_fma<Bf16, Keep>(r, "", "bf16");
  add_fma<Bf16, Relu>(r, ".relu", "bf16");
  add_min_max<F16, Keep>(r, "", "f16");
  add_min_max<F16, Ftz>(r, ".ftz", "f16");
  add_min_max<Bf16, Keep>(r, "", "bf16");
  add_common<F16>(r, "f16x2");
  add_common<Bf16>(r, "bf16x2");
  if (options().approx == ApproxPolicy::kInjectError) {
    add_approximate<true>(r);
  } else {
    add_approximate<false>(r);
  }
}

}  // namespace emulator::isa
