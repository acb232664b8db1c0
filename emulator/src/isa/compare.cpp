// setp, set, selp, slct, testp, and logic on predicates.
#include "isa/handlers.hpp"
#include "isa/lanes.hpp"
#include "num/fp.hpp"

namespace emulator::isa {
namespace {

enum class Test : u8 {
  kEq,
  kNe,
  kLt,
  kLe,
  kGt,
  kGe,
  kEqu,
  kNeu,
  kLtu,
  kLeu,
  kGtu,
  kGeu,
  kNum,
  kNan
};
enum Combine : u32 { kNoCombine = 0, kAnd = 1, kOr = 2, kXor = 3, kCombineMask = 3, kInvert = 4 };

struct F16Bits {
  u16 bits;
  operator float() const { return num::f16_to_float(bits); }
};
struct Bf16Bits {
  u16 bits;
  operator float() const { return num::bf16_to_float(bits); }
};
struct FlushedFloat {
  float value;
  operator float() const { return num::flush(value); }
};

template <class T>
struct Value {
  using type = T;
};
template <>
struct Value<F16Bits> {
  using type = float;
};
template <>
struct Value<Bf16Bits> {
  using type = float;
};
template <>
struct Value<FlushedFloat> {
  using type = float;
};

template <Test kTest, class V>
inline bool compare(V x, V y) {
  switch (kTest) {
    case Test::kEq:
      return x == y;
    case Test::kNe:
      return x < y || x > y;  // ordered: false with NaN
    case Test::kLt:
      return x < y;
    case Test::kLe:
      return x <= y;
    case Test::kGt:
      return x > y;
    case Test::kGe:
      return x >= y;
    case Test::kEqu:
      return !(x < y) && !(x > y);
    case Test::kNeu:
      return !(x == y);
    case Test::kLtu:
      return !(x >= y);
    case Test::kLeu:
      return !(x > y);
    case Test::kGtu:
      return !(x <= y);
    case Test::kGeu:
      return !(x < y);
    case Test::kNum:
      return x == x && y == y;
    case Test::kNan:
      return x != x || y != y;
  }
  return false;
}

template <class T, Test kTest>
u32 test_lanes(Warp& w, const Inst& i) {
  using V = typename Value<T>::type;
  const T *a = w.reg<T>(i.a), *b = w.reg<T>(i.b);
  return mask_of([=](u32 l) { return compare<kTest, V>(a[l], b[l]); });
}

u32 combine(Warp& w, const Inst& i, u32 value) {
  if ((i.flags & kCombineMask) == kNoCombine) return value;
  u32 q = w.predicate(i.e);
  if (i.flags & kInvert) q = ~q;
  if ((i.flags & kCombineMask) == kAnd) return value & q;
  if ((i.flags & kCombineMask) == kOr) return value | q;
  return value ^ q;
}

template <class T, Test kTest>
void setp_lanes(Warp& w, const Inst& i, u32 mask) {
  const u32 tested = test_lanes<T, kTest>(w, i);
  const u32 p = combine(w, i, tested);
  const u32 q = i.c == kNone ? 0 : combine(w, i, ~tested);
  set_predicate(w, i.d, mask, p);
  if (i.c != kNone) set_predicate(w, i.c, mask, q);
}

// Packed halves: one predicate for each half.
template <class T, Test kTest>
void setp_pair_lanes(Warp& w, const Inst& i, u32 mask) {
  const T *a = w.reg<T>(i.a), *b = w.reg<T>(i.b);
  const u32 low = mask_of([=](u32 l) { return compare<kTest, float>(a[2 * l], b[2 * l]); });
  const u32 high =
      mask_of([=](u32 l) { return compare<kTest, float>(a[2 * l + 1], b[2 * l + 1]); });
  const u32 p = combine(w, i, low), q = combine(w, i, high);
  set_predicate(w, i.d, mask, p);
  set_predicate(w, i.c, mask, q);
}

// set: the result is a number. imm: value for true; width of d in inst.space.
template <class T, Test kTest>
void set_lanes(Warp& w, const Inst& i, u32 mask) {
  const u32 value = combine(w, i, test_lanes<T, kTest>(w, i));
  if (i.imm >> 32) {
    u16* d = w.reg<u16>(i.d);
    for_lanes(mask, [&](u32 l) { d[l] = value >> l & 1 ? static_cast<u16>(i.imm) : u16{0}; });
  } else {
    u32* d = w.reg<u32>(i.d);
    for_lanes(mask, [&](u32 l) { d[l] = value >> l & 1 ? static_cast<u32>(i.imm) : 0u; });
  }
}

template <class T, Test kTest>
void set_pair_lanes(Warp& w, const Inst& i, u32 mask) {
  const T *a = w.reg<T>(i.a), *b = w.reg<T>(i.b);
  u32* d = w.reg<u32>(i.d);
  for_lanes(mask, [&](u32 l) {
    const u32 half = static_cast<u32>(i.imm) & 0xffff;
    d[l] = (compare<kTest, float>(a[2 * l], b[2 * l]) ? half : 0) |
           (compare<kTest, float>(a[2 * l + 1], b[2 * l + 1]) ? half << 16 : 0);
  });
}

enum class Form { kSetp, kSetpPair, kSet, kSetPair };

template <class T, Test kTest>
Handler handler_of(Form form) {
  if (form == Form::kSetp) return &setp_lanes<T, kTest>;
  if (form == Form::kSet) return &set_lanes<T, kTest>;
  if constexpr (std::is_same_v<T, F16Bits> || std::is_same_v<T, Bf16Bits>) {
    if (form == Form::kSetpPair) return &setp_pair_lanes<T, kTest>;
    return &set_pair_lanes<T, kTest>;
  }
  return nullptr;
}

template <class T>
Handler pick(std::string_view name, Form form) {
  if (name == "eq") return handler_of<T, Test::kEq>(form);
  if (name == "ne") return handler_of<T, Test::kNe>(form);
  if (name == "lt" || name == "lo") return handler_of<T, Test::kLt>(form);
  if (name == "le" || name == "ls") return handler_of<T, Test::kLe>(form);
  if (name == "gt" || name == "hi") return handler_of<T, Test::kGt>(form);
  if (name == "ge" || name == "hs") return handler_of<T, Test::kGe>(form);
  if constexpr (!std::is_integral_v<T>) {
    if (name == "equ") return handler_of<T, Test::kEqu>(form);
    if (name == "neu") return handler_of<T, Test::kNeu>(form);
    if (name == "ltu") return handler_of<T, Test::kLtu>(form);
    if (name == "leu") return handler_of<T, Test::kLeu>(form);
    if (name == "gtu") return handler_of<T, Test::kGtu>(form);
    if (name == "geu") return handler_of<T, Test::kGeu>(form);
    if (name == "num") return handler_of<T, Test::kNum>(form);
    if (name == "nan") return handler_of<T, Test::kNan>(form);
  }
  reject("unknown comparison ." + std::string(name));
}

Handler pick_type(std::string_view type, std::string_view test, Form form, bool ftz) {
  if (type == "s16") return pick<s16>(test, form);
  if (type == "u16" || type == "b16") return pick<u16>(test, form);
  if (type == "s32") return pick<s32>(test, form);
  if (type == "u32" || type == "b32") return pick<u32>(test, form);
  if (type == "s64") return pick<s64>(test, form);
  if (type == "u64" || type == "b64") return pick<u64>(test, form);
  if (type == "f32") return ftz ? pick<FlushedFloat>(test, form) : pick<float>(test, form);
  if (type == "f64") return pick<double>(test, form);
  if (type == "f16" || type == "f16x2") return pick<F16Bits>(test, form);
  if (type == "bf16" || type == "bf16x2") return pick<Bf16Bits>(test, form);
  reject("unknown type ." + std::string(type));
}

struct Comparison {
  std::string_view type, test;
  bool ftz, pair;
};

// Takes the modifiers that setp and set share: CmpOp, BoolOp, ftz.
Comparison take_comparison(Decode& d, std::string_view type) {
  Comparison c{
      type, {}, d.mods.take("ftz"), type.size() > 2 && type.substr(type.size() - 2) == "x2"};
  c.test = d.mods.take_one_of({"eq", "ne", "lt", "le", "gt", "ge", "lo", "ls", "hi", "hs", "equ",
                               "neu", "ltu", "leu", "gtu", "geu", "num", "nan"});
  const std::string_view op = d.mods.take_one_of({"and", "or", "xor"});
  d.inst.flags = op == "and" ? kAnd : op == "or" ? kOr : op == "xor" ? kXor : kNoCombine;
  return c;
}

void take_sources(Decode& d, const Comparison& c) {
  const u32 size = ptx::type_bytes(c.type);
  d.inst.a = d.use(1, size);
  d.inst.b = d.use(2, size);
  if (d.inst.flags & kCombineMask) {
    d.inst.e = d.use_predicate(3);
    if (d.op(3).negated) d.inst.flags |= kInvert;
  }
}

void decode_setp(Decode& d) {
  const Comparison c = take_comparison(d, d.mods.take_last());
  take_sources(d, c);
  if (d.op(0).kind == ptx::Operand::Kind::kPair) {
    d.inst.d = d.builder.def_predicate(d.op(0).elements[0]);
    d.inst.c = d.builder.def_predicate(d.op(0).elements[1]);
  } else {
    if (c.pair) reject("packed setp needs two predicates");
    d.inst.d = d.def_predicate(0);
  }
  d.inst.run = pick_type(c.type, c.test, c.pair ? Form::kSetpPair : Form::kSetp, c.ftz);
}

void decode_set(Decode& d) {
  const std::string_view from = d.mods.take_last(), to = d.mods.take_last();
  const Comparison c = take_comparison(d, from);
  take_sources(d, c);
  u64 truth = 0;
  if (to == "u32" || to == "s32" || to == "b32") truth = 0xffffffff;
  if (to == "f32") truth = num::float_to_bits(1.0f);
  if (to == "f16" || to == "f16x2") truth = 0x3c00;
  if (to == "bf16" || to == "bf16x2") truth = 0x3f80;
  if (to == "u16" || to == "s16") truth = 0xffff;
  if (!truth) reject("unknown type ." + std::string(to));
  const u32 size = ptx::type_bytes(to);
  d.inst.imm = static_cast<s64>(truth | (size == 2 ? 1ull << 32 : 0));
  d.inst.d = d.def(0, size);
  d.inst.run = pick_type(c.type, c.test, c.pair ? Form::kSetPair : Form::kSet, c.ftz);
}

template <class T>
void select_lanes(Warp& w, const Inst& i, u32 mask) {
  const T *a = w.reg<T>(i.a), *b = w.reg<T>(i.b);
  const u32 p = w.predicate(i.c);
  store_lanes(w.reg<T>(i.d), mask, [=](u32 l) { return (p >> l & 1) ? a[l] : b[l]; });
}

void decode_selp(Decode& d) {
  const u32 size = ptx::type_bytes(d.mods.take_last());
  if (size != 2 && size != 4 && size != 8) reject("unknown type");
  d.inst.a = d.use(1, size);
  d.inst.b = d.use(2, size);
  d.inst.c = d.use_predicate(3);
  d.inst.d = d.def(0, size);
  d.inst.run = size == 2 ? &select_lanes<u16> : size == 4 ? &select_lanes<u32> : &select_lanes<u64>;
}

template <class T, class C>
void slct_lanes(Warp& w, const Inst& i, u32 mask) {
  const T *a = w.reg<T>(i.a), *b = w.reg<T>(i.b);
  const C* c = w.reg<C>(i.c);
  store_lanes(w.reg<T>(i.d), mask, [=](u32 l) { return c[l] >= 0 ? a[l] : b[l]; });
}

void decode_slct(Decode& d) {
  const std::string_view selector = d.mods.take_last();
  const u32 size = ptx::type_bytes(d.mods.take_last());
  d.mods.take("ftz");
  if (selector != "s32" && selector != "f32") reject("unknown selector type");
  const bool f = selector == "f32";
  d.inst.a = d.use(1, size);
  d.inst.b = d.use(2, size);
  d.inst.c = d.use(3, 4);
  d.inst.d = d.def(0, size);
  if (size == 2) d.inst.run = f ? &slct_lanes<u16, float> : &slct_lanes<u16, s32>;
  if (size == 4) d.inst.run = f ? &slct_lanes<u32, float> : &slct_lanes<u32, s32>;
  if (size == 8) d.inst.run = f ? &slct_lanes<u64, float> : &slct_lanes<u64, s32>;
  if (!d.inst.run) reject("unknown type");
}

template <class T>
void testp_lanes(Warp& w, const Inst& i, u32 mask) {
  const T* a = w.reg<T>(i.a);
  u32 r = 0;
  for_lanes(mask, [&](u32 l) {
    const int c = std::fpclassify(a[l]);
    const bool yes = i.flags == 0   ? std::isfinite(a[l])
                     : i.flags == 1 ? c == FP_INFINITE
                     : i.flags == 2 ? c != FP_NAN
                     : i.flags == 3 ? c == FP_NAN
                     : i.flags == 4 ? c == FP_NORMAL || c == FP_ZERO
                                    : c == FP_SUBNORMAL;
    r |= u32{yes} << l;
  });
  set_predicate(w, i.d, mask, r);
}

void decode_testp(Decode& d) {
  const u32 size = ptx::type_bytes(d.mods.take_last());
  static constexpr std::string_view kNames[] = {"finite",     "infinite", "number",
                                                "notanumber", "normal",   "subnormal"};
  u32 which = 6;
  for (u32 k = 0; k < 6; ++k)
    if (d.mods.take(kNames[k])) which = k;
  if (which == 6) reject("unknown class");
  d.inst.flags = which;
  d.inst.a = d.use(1, size);
  d.inst.d = d.def_predicate(0);
  d.inst.run = size == 4 ? &testp_lanes<float> : &testp_lanes<double>;
}

template <u32 kOp>
void predicate_logic(Warp& w, const Inst& i, u32 mask) {
  const u32 a = w.predicate(i.a), b = i.b == kNone ? 0 : w.predicate(i.b);
  set_predicate(w, i.d, mask, kOp == 0 ? a & b : kOp == 1 ? a | b : kOp == 2 ? a ^ b : ~a);
}

}  // namespace

void add_compare(Registry& r) {
  r.family("setp", &decode_setp);
  r.family("set", &decode_set);
  r.family("selp", &decode_selp);
  r.family("slct", &decode_slct);
  r.family("testp", &decode_testp);
  r.alu("and.pred", {&predicate_logic<0>, 2, {0, 0, 0, 0}});
  r.alu("or.pred", {&predicate_logic<1>, 2, {0, 0, 0, 0}});
  r.alu("xor.pred", {&predicate_logic<2>, 2, {0, 0, 0, 0}});
  r.alu("not.pred", {&predicate_logic<3>, 1, {0, 0, 0, 0}});
}

}  // namespace emulator::isa
