// cvt in all its forms, and the packed conversions.
#include <cmath>

#include "isa/handlers.hpp"
#include "isa/lanes.hpp"
#include "num/fp.hpp"
#include "num/fp8.hpp"

namespace emulator::isa {
namespace {

using num::Rounding;

enum class Kind : u8 { kUnsigned, kSigned, kFloat, kF16, kBf16, kDouble };

struct Type {
  Kind kind;
  u32 bits;
};

bool find_type(std::string_view name, Type& t) {
  if (name == "f16") return t = {Kind::kF16, 16}, true;
  if (name == "bf16") return t = {Kind::kBf16, 16}, true;
  if (name == "f32") return t = {Kind::kFloat, 32}, true;
  if (name == "f64") return t = {Kind::kDouble, 64}, true;
  const bool is_signed = name[0] == 's';
  if (!is_signed && name[0] != 'u') return false;
  const u32 bytes = ptx::type_bytes(name);
  if (bytes == kNone) return false;
  t = {is_signed ? Kind::kSigned : Kind::kUnsigned, bytes * 8};
  return true;
}

bool is_integer(const Type& t) { return t.kind == Kind::kSigned || t.kind == Kind::kUnsigned; }

// Packed into inst.flags.
struct Plan {
  Kind from, to;
  u32 from_bits, to_bits;
  Rounding rounding;
  bool integral, ftz, saturate, relu;
  u32 pack() const {
    return static_cast<u32>(from) | static_cast<u32>(to) << 3 | (from_bits / 8) << 6 |
           (to_bits / 8) << 10 | static_cast<u32>(rounding) << 14 | u32{integral} << 17 |
           u32{ftz} << 18 | u32{saturate} << 19 | u32{relu} << 20;
  }
  static Plan unpack(u32 f) {
    return {static_cast<Kind>(f & 7),
            static_cast<Kind>(f >> 3 & 7),
            (f >> 6 & 15) * 8,
            (f >> 10 & 15) * 8,
            static_cast<Rounding>(f >> 14 & 7),
            (f >> 17 & 1) != 0,
            (f >> 18 & 1) != 0,
            (f >> 19 & 1) != 0,
            (f >> 20 & 1) != 0};
  }
};

u64 read_raw(const u8* base, u32 size, u32 lane) {
  u64 v = 0;
  std::memcpy(&v, base + size_t{lane} * size, size);
  return v;
}
void write_raw(u8* base, u32 size, u32 lane, u64 v) {
  std::memcpy(base + size_t{lane} * size, &v, size);
}

s64 sign_extend(u64 v, u32 bits) {
  return bits == 64 ? static_cast<s64>(v) : static_cast<s64>(v << (64 - bits)) >> (64 - bits);
}
u64 zero_extend(u64 v, u32 bits) { return bits == 64 ? v : v & ((1ull << bits) - 1); }

double to_double(const Plan& p, u64 raw) {
  switch (p.from) {
    case Kind::kF16:
      return static_cast<double>(num::f16_to_float(static_cast<u16>(raw)));
    case Kind::kBf16:
      return static_cast<double>(num::bf16_to_float(static_cast<u16>(raw)));
    case Kind::kFloat: {
      const float f = num::bits_to_float(static_cast<u32>(raw));
      return static_cast<double>(p.ftz ? num::flush(f) : f);
    }
    default:
      return std::bit_cast<double>(raw);
  }
}

u64 from_double(const Plan& p, double x) {
  if (p.integral) x = num::round_to_integral(x, p.rounding);
  if (p.saturate) x = x > 0 ? (x < 1 ? x : 1.0) : 0.0;  // NaN becomes 0
  if (p.relu && std::signbit(x) && x == x) x = 0;
  const Rounding mode = p.integral ? Rounding::kNearestEven : p.rounding;
  switch (p.to) {
    case Kind::kF16:
      return num::double_to_f16(x, mode);
    case Kind::kBf16:
      return num::double_to_bf16(x, mode);
    case Kind::kFloat: {
      const float f = num::double_to_f32(x, mode);
      return num::float_to_bits(p.ftz ? num::flush(f) : f);
    }
    default:
      return std::bit_cast<u64>(x != x ? std::bit_cast<double>(0x7ff8000000000000ull) : x);
  }
}

// .sat of an integer: 0 and below become 0, everything else 1.
u64 saturated_unit(const Plan& p, bool positive) {
  if (!positive) return 0;
  return p.to == Kind::kFloat ? num::float_to_bits(1.0f) : std::bit_cast<u64>(1.0);
}

u64 integer_to_float(const Plan& p, u64 raw) {
  const bool is_signed = p.from == Kind::kSigned;
  const s64 s = sign_extend(raw, p.from_bits);
  const u64 u = zero_extend(raw, p.from_bits);
  if (p.saturate && (p.to == Kind::kFloat || p.to == Kind::kDouble))
    return saturated_unit(p, is_signed ? s > 0 : u > 0);
  if (p.to == Kind::kFloat)
    return num::float_to_bits(is_signed ? num::from_integer<float>(s, p.rounding)
                                        : num::from_integer<float>(u, p.rounding));
  if (p.to == Kind::kDouble)
    return std::bit_cast<u64>(is_signed ? num::from_integer<double>(s, p.rounding)
                                        : num::from_integer<double>(u, p.rounding));
  // Beyond 2^53 a half is infinite or 65504 either way, so truncation to double does not matter.
  const double x = is_signed ? num::from_integer<double>(s, Rounding::kZero)
                             : num::from_integer<double>(u, Rounding::kZero);
  return from_double(p, x);
}

u64 float_to_integer(const Plan& p, double x) {
  const bool is_signed = p.to == Kind::kSigned;
  // NaN becomes 0, or the top bit alone if either side has 64 bits.
  if (x != x) return p.from_bits == 64 || p.to_bits == 64 ? u64{1} << (p.to_bits - 1) : 0;
  switch (p.to_bits) {
    case 8:
      return is_signed ? static_cast<u64>(static_cast<s64>(num::to_integer<s8>(x, p.rounding)))
                       : num::to_integer<u8>(x, p.rounding);
    case 16:
      return is_signed ? static_cast<u64>(static_cast<s64>(num::to_integer<s16>(x, p.rounding)))
                       : num::to_integer<u16>(x, p.rounding);
    case 32:
      return is_signed ? static_cast<u64>(static_cast<s64>(num::to_integer<s32>(x, p.rounding)))
                       : num::to_integer<u32>(x, p.rounding);
    default:
      return is_signed ? static_cast<u64>(num::to_integer<s64>(x, p.rounding))
                       : num::to_integer<u64>(x, p.rounding);
  }
}

u64 integer_to_integer(const Plan& p, u64 raw) {
  const bool from_signed = p.from == Kind::kSigned, to_signed = p.to == Kind::kSigned;
  u64 v =
      from_signed ? static_cast<u64>(sign_extend(raw, p.from_bits)) : zero_extend(raw, p.from_bits);
  if (p.saturate) {
    const u64 high = to_signed ? (1ull << (p.to_bits - 1)) - 1 : zero_extend(~0ull, p.to_bits);
    if (from_signed && static_cast<s64>(v) < 0) {
      const s64 low = to_signed ? -static_cast<s64>(high) - 1 : 0;
      if (static_cast<s64>(v) < low) v = static_cast<u64>(low);
    } else if (v > high) {
      v = high;
    }
  }
  return to_signed ? static_cast<u64>(sign_extend(v, p.to_bits)) : zero_extend(v, p.to_bits);
}

void convert_any(Warp& w, const Inst& i, u32 mask) {
  const Plan p = Plan::unpack(i.flags);
  const u32 from_size = static_cast<u32>(i.imm >> 8), to_size = static_cast<u32>(i.imm & 0xff);
  const u8* a = w.regs + i.a;
  u8* d = w.regs + i.d;
  const bool from_integer = p.from == Kind::kSigned || p.from == Kind::kUnsigned;
  const bool to_integer = p.to == Kind::kSigned || p.to == Kind::kUnsigned;
  for_lanes(mask, [&](u32 l) {
    const u64 raw = read_raw(a, from_size, l);
    u64 v;
    if (from_integer) {
      v = to_integer ? integer_to_integer(p, raw) : integer_to_float(p, raw);
    } else {
      v = to_integer ? float_to_integer(p, to_double(p, raw)) : from_double(p, to_double(p, raw));
    }
    write_raw(d, to_size, l, v);
  });
}

// cvt of two f32 into a packed pair; a becomes the upper half.
enum PairFlags : u32 { kPairBf16 = 1, kPairRelu = 2, kPairSatfinite = 4, kPairZero = 8 };

u16 narrow(float x, u32 flags) {
  if ((flags & kPairRelu) && std::signbit(x) && x == x) x = 0;
  const Rounding mode = flags & kPairZero ? Rounding::kZero : Rounding::kNearestEven;
  const bool bf16 = flags & kPairBf16;
  const double v = static_cast<double>(x);
  u16 h;
  if (mode == Rounding::kNearestEven) {
    h = bf16 ? num::float_to_bf16(x) : num::float_to_f16(x);
  } else {
    h = bf16 ? num::double_to_bf16(v, mode) : num::double_to_f16(v, mode);
  }
  const u16 infinity = bf16 ? 0x7f80 : 0x7c00;
  if ((flags & kPairSatfinite) && (h & 0x7fff) == infinity)
    h = static_cast<u16>((h & 0x8000) | (infinity - 1));
  return h;
}

void convert_pair(Warp& w, const Inst& i, u32 mask) {
  const float *a = w.reg<float>(i.a), *b = w.reg<float>(i.b);
  u32* d = w.reg<u32>(i.d);
  for_lanes(mask, [=](u32 l) {
    d[l] = static_cast<u32>(narrow(a[l], i.flags)) << 16 | narrow(b[l], i.flags);
  });
}

void convert_single_narrow(Warp& w, const Inst& i, u32 mask) {
  const float* a = w.reg<float>(i.a);
  u16* d = w.reg<u16>(i.d);
  for_lanes(mask, [=](u32 l) { d[l] = narrow(a[l], i.flags); });
}

void convert_tf32(Warp& w, const Inst& i, u32 mask) {
  const float* a = w.reg<float>(i.a);
  u32* d = w.reg<u32>(i.d);
  for_lanes(mask, [=](u32 l) {
    float x = a[l];
    if ((i.flags & 16) && x < 0) x = 0;
    if (x != x) {
      d[l] = num::kCanonicalNan32;
      return;
    }
    double v =
        num::round_to(static_cast<double>(x), num::kTf32, static_cast<Rounding>(i.flags & 7));
    if ((i.flags & 8) && std::isinf(v)) v = std::copysign(0x1.ffcp127, v);
    d[l] = num::float_to_bits(static_cast<float>(v));
  });
}

enum Fp8Flags : u32 { kE5m2 = 1, kFp8Relu = 2, kFromHalf = 4 };

void convert_to_fp8(Warp& w, const Inst& i, u32 mask) {
  u16* d = w.reg<u16>(i.d);
  for_lanes(mask, [&](u32 l) {
    float high, low;
    if (i.flags & kFromHalf) {
      const u32 v = w.reg<u32>(i.a)[l];
      high = num::f16_to_float(static_cast<u16>(v >> 16));
      low = num::f16_to_float(static_cast<u16>(v));
    } else {
      high = w.reg<float>(i.a)[l];
      low = w.reg<float>(i.b)[l];
    }
    auto one = [&](float x) {
      if ((i.flags & kFp8Relu) && x < 0) x = 0;
      return i.flags & kE5m2 ? num::float_to_e5m2(x) : num::float_to_e4m3(x);
    };
    d[l] = static_cast<u16>(one(high) << 8 | one(low));
  });
}

void convert_from_fp8(Warp& w, const Inst& i, u32 mask) {
  const u16* a = w.reg<u16>(i.a);
  u32* d = w.reg<u32>(i.d);
  for_lanes(mask, [&](u32 l) {
    auto one = [&](u8 x) {
      float f = i.flags & kE5m2 ? num::e5m2_to_float(x) : num::e4m3_to_float(x);
      if ((i.flags & kFp8Relu) && f < 0) f = 0;
      return static_cast<u32>(num::float_to_f16(f));
    };
    d[l] = one(static_cast<u8>(a[l] >> 8)) << 16 | one(static_cast<u8>(a[l]));
  });
}

bool is_fp8_pair(std::string_view t) { return t == "e4m3x2" || t == "e5m2x2"; }

void decode_fp8(Decode& d, std::string_view to, std::string_view from) {
  const bool relu = d.mods.take("relu");
  if (!d.mods.take("rn")) reject("needs .rn");
  if (is_fp8_pair(to)) {
    if (!d.mods.take("satfinite")) reject("needs .satfinite");
    d.inst.flags = (to == "e5m2x2" ? kE5m2 : 0u) | (relu ? kFp8Relu : 0u);
    if (from == "f16x2") {
      d.inst.flags |= kFromHalf;
      d.inst.a = d.use(1, 4);
    } else if (from == "f32") {
      d.inst.a = d.use(1, 4);
      d.inst.b = d.use(2, 4);
    } else {
      reject("unknown source type");
    }
    d.inst.d = d.def(0, 2);
    d.inst.run = &convert_to_fp8;
  } else {
    if (to != "f16x2") reject("unknown destination type");
    d.inst.flags = (from == "e5m2x2" ? kE5m2 : 0u) | (relu ? kFp8Relu : 0u);
    d.inst.a = d.use(1, 2);
    d.inst.d = d.def(0, 4);
    d.inst.run = &convert_from_fp8;
  }
}

void decode_narrow(Decode& d, bool bf16, bool pair) {
  d.inst.flags = bf16 ? u32{kPairBf16} : 0u;
  if (d.mods.take("rz")) {
    d.inst.flags |= kPairZero;
  } else if (!d.mods.take("rn")) {
    reject("needs .rn or .rz");
  }
  if (d.mods.take("relu")) d.inst.flags |= kPairRelu;
  if (d.mods.take("satfinite")) d.inst.flags |= kPairSatfinite;
  d.inst.a = d.use(1, 4);
  if (pair) d.inst.b = d.use(2, 4);
  d.inst.d = d.def(0, pair ? 4 : 2);
  d.inst.run = pair ? &convert_pair : &convert_single_narrow;
}

void decode_tf32(Decode& d) {
  const std::string_view mode = d.mods.take_one_of({"rna", "rn", "rz"});
  if (mode.empty()) reject("needs a rounding");
  const Rounding r = mode == "rna"  ? Rounding::kNearestAway
                     : mode == "rn" ? Rounding::kNearestEven
                                    : Rounding::kZero;
  d.inst.flags = static_cast<u32>(r);
  if (d.mods.take("satfinite")) d.inst.flags |= 8;
  if (d.mods.take("relu")) d.inst.flags |= 16;
  d.inst.a = d.use(1, 4);
  d.inst.d = d.def(0, 4);
  d.inst.run = &convert_tf32;
}

bool take_rounding(Decode& d, Plan& p) {
  static constexpr struct {
    std::string_view name;
    Rounding rounding;
    bool integral;
  } kModes[] = {{"rni", Rounding::kNearestEven, true}, {"rzi", Rounding::kZero, true},
                {"rmi", Rounding::kDown, true},        {"rpi", Rounding::kUp, true},
                {"rn", Rounding::kNearestEven, false}, {"rz", Rounding::kZero, false},
                {"rm", Rounding::kDown, false},        {"rp", Rounding::kUp, false},
                {"rna", Rounding::kNearestAway, false}};
  for (const auto& m : kModes) {
    if (!d.mods.take(m.name)) continue;
    p.rounding = m.rounding;
    p.integral = m.integral;
    return true;
  }
  return false;
}

// cvt.pack.sat: two saturated values side by side; above two bytes, the lower half of c.
u32 clamp_to(s32 x, s32 low, s32 high) {
  return static_cast<u32>(x < low ? low : x > high ? high : x);
}

template <s32 kLow, s32 kHigh>
void pack_bytes(Warp& w, const Inst& i, u32 mask) {
  const s32 *a = w.reg<s32>(i.a), *b = w.reg<s32>(i.b);
  const u32* c = w.reg<u32>(i.c);
  u32* d = w.reg<u32>(i.d);
  for_lanes(mask, [=](u32 l) {
    d[l] = c[l] << 16 | (clamp_to(a[l], kLow, kHigh) & 0xff) << 8 |
           (clamp_to(b[l], kLow, kHigh) & 0xff);
  });
}

template <s32 kLow, s32 kHigh>
void pack_halves(Warp& w, const Inst& i, u32 mask) {
  const s32 *a = w.reg<s32>(i.a), *b = w.reg<s32>(i.b);
  u32* d = w.reg<u32>(i.d);
  for_lanes(mask, [=](u32 l) {
    d[l] = clamp_to(a[l], kLow, kHigh) << 16 | (clamp_to(b[l], kLow, kHigh) & 0xffff);
  });
}

void decode_pack(Decode& d) {
  if (!d.mods.take("sat")) reject("needs .sat");
  const bool bytes = d.mods.take("b32");
  const std::string_view type = d.mods.take_one_of({"s8", "u8", "s16", "u16"});
  if (!d.mods.take("s32") || bytes != (type == "s8" || type == "u8")) reject("unknown types");
  d.inst.a = d.use(1, 4);
  d.inst.b = d.use(2, 4);
  if (bytes) d.inst.c = d.use(3, 4);
  d.inst.d = d.def(0, 4);
  d.inst.run = type == "s8"    ? &pack_bytes<-128, 127>
               : type == "u8"  ? &pack_bytes<0, 255>
               : type == "s16" ? &pack_halves<-32768, 32767>
                               : &pack_halves<0, 65535>;
}

void decode_cvt(Decode& d) {
  if (d.mods.take("pack")) return decode_pack(d);
  const std::string_view from = d.mods.take_last(), to = d.mods.take_last();
  if (is_fp8_pair(from) || is_fp8_pair(to)) return decode_fp8(d, to, from);
  if (to == "tf32" && from == "f32") return decode_tf32(d);
  if ((to == "f16x2" || to == "bf16x2") && from == "f32")
    return decode_narrow(d, to == "bf16x2", /*pair=*/true);
  if ((to == "f16" || to == "bf16") && from == "f32" &&
      (d.mods.has("relu") || d.mods.has("satfinite")))
    return decode_narrow(d, to == "bf16", /*pair=*/false);
  Type f, t;
  if (!find_type(from, f) || !find_type(to, t)) reject("unknown type");
  Plan p{f.kind, t.kind, f.bits, t.bits, Rounding::kNearestEven, false, false, false, false};
  const bool has_mode = take_rounding(d, p);
  p.ftz = d.mods.take("ftz");
  p.saturate = d.mods.take("sat");
  p.relu = d.mods.take("relu");
  if (!is_integer(f) && is_integer(t) && (!has_mode || !p.integral))
    reject("needs an integer rounding");
  if (is_integer(f) && !is_integer(t) && (!has_mode || p.integral)) reject("needs a rounding");
  d.inst.flags = p.pack();
  const ptx::Operand& source = d.op(1);
  const u32 from_size =
      d.builder.is_register(source) ? d.builder.register_size(source) : f.bits / 8;
  const u32 to_size = d.builder.register_size(d.op(0));
  if (from_size * 8 < f.bits || to_size * 8 < t.bits) reject("register is too narrow");
  d.inst.a = d.use(1, from_size);
  d.inst.d = d.def(0, to_size);
  d.inst.imm = from_size << 8 | to_size;
  d.inst.run = &convert_any;
}

template <class D, class S>
void add_plain(Registry& r, const std::string& to, const std::string& from) {
  r.alu("cvt." + to + "." + from, unary<D, S>([](S x) { return static_cast<D>(x); }));
}

template <class S>
void add_plain_to_all(Registry& r, const std::string& from) {
  add_plain<u16, S>(r, "u16", from);
  add_plain<s16, S>(r, "s16", from);
  add_plain<u32, S>(r, "u32", from);
  add_plain<s32, S>(r, "s32", from);
  add_plain<u64, S>(r, "u64", from);
  add_plain<s64, S>(r, "s64", from);
}

}  // namespace

void add_convert(Registry& r) {
  r.family("cvt", &decode_cvt);
  // The common ones, as plain vector loops.
  add_plain_to_all<u16>(r, "u16");
  add_plain_to_all<s16>(r, "s16");
  add_plain_to_all<u32>(r, "u32");
  add_plain_to_all<s32>(r, "s32");
  add_plain_to_all<u64>(r, "u64");
  add_plain_to_all<s64>(r, "s64");
  r.alu("cvt.rn.f32.s32", unary<float, s32>([](s32 x) { return static_cast<float>(x); }));
  r.alu("cvt.rn.f32.u32", unary<float, u32>([](u32 x) { return static_cast<float>(x); }));
  r.alu("cvt.rn.f64.s32", unary<double, s32>([](s32 x) { return static_cast<double>(x); }));
  r.alu("cvt.f64.f32", unary<double, float>([](float x) { return static_cast<double>(x); }));
  r.alu("cvt.f32.f16", unary<float, u16>([](u16 x) { return num::f16_to_float(x); }));
  r.alu("cvt.f32.bf16", unary<float, u16>([](u16 x) { return num::bf16_to_float(x); }));
  r.alu("cvt.rn.f16.f32", unary<u16, float>([](float x) { return num::float_to_f16(x); }));
  r.alu("cvt.rn.bf16.f32", unary<u16, float>([](float x) { return num::float_to_bf16(x); }));
  r.alu("cvt.rn.f16x2.f32", binary<u32, float, float>([](float x, float y) {
          return static_cast<u32>(num::float_to_f16(x)) << 16 | num::float_to_f16(y);
        }));
  r.alu("cvt.rn.bf16x2.f32", binary<u32, float, float>([](float x, float y) {
          return static_cast<u32>(num::float_to_bf16(x)) << 16 | num::float_to_bf16(y);
        }));
}

}  // namespace emulator::isa
