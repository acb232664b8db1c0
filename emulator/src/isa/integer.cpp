// Integer arithmetic: add, sub, mul, mad, sad, div, rem, min, max, abs, neg, shifts, carry chains.
#include <type_traits>

#include "isa/handlers.hpp"
#include "isa/lanes.hpp"

namespace emulator::isa {
namespace {

using u128 = unsigned __int128;
using s128 = __int128;

template <class T>
struct Wide;
template <>
struct Wide<u16> {
  using type = u32;
};
template <>
struct Wide<s16> {
  using type = s32;
};
template <>
struct Wide<u32> {
  using type = u64;
};
template <>
struct Wide<s32> {
  using type = s64;
};
template <>
struct Wide<u64> {
  using type = u128;
};
template <>
struct Wide<s64> {
  using type = s128;
};

template <class T>
constexpr u32 kBits = sizeof(T) * 8;

// Division by zero does not trap on the device; all ones is what hardware returns.
template <class T>
T divide(T x, T y) {
  if (y == 0) return static_cast<T>(-1);
  if constexpr (std::is_signed_v<T>)
    if (y == -1) return static_cast<T>(0 - static_cast<std::make_unsigned_t<T>>(x));
  return static_cast<T>(x / y);
}

template <class T>
T remainder(T x, T y) {
  if (y == 0) return x;
  if constexpr (std::is_signed_v<T>)
    if (y == -1) return 0;
  return static_cast<T>(x % y);
}

template <class T>
T shift_right(T x, u32 n) {
  if (n >= kBits<T>) return x < 0 ? static_cast<T>(-1) : T{0};
  return static_cast<T>(x >> n);
}

template <class T>
void add_arithmetic(Registry& r, const std::string& t) {
  using U = std::make_unsigned_t<T>;
  using W = typename Wide<T>::type;
  r.alu("add." + t, binary<U, U, U>([](U x, U y) { return static_cast<U>(x + y); }));
  r.alu("sub." + t, binary<U, U, U>([](U x, U y) { return static_cast<U>(x - y); }));
  r.alu("mul.lo." + t,
        binary<U, U, U>([](U x, U y) { return static_cast<U>(static_cast<u64>(x) * y); }));
  r.alu("mul.hi." + t, binary<T, T, T>([](T x, T y) {
          return static_cast<T>((static_cast<W>(x) * static_cast<W>(y)) >> kBits<T>);
        }));
  r.alu("mad.lo." + t, ternary<U, U, U, U>([](U x, U y, U z) {
          return static_cast<U>(static_cast<u64>(x) * y + z);
        }));
  r.alu(
      "mad.hi." + t, ternary<T, T, T, T>([](T x, T y, T z) {
        return static_cast<T>(static_cast<U>((static_cast<W>(x) * static_cast<W>(y)) >> kBits<T>) +
                              static_cast<U>(z));
      }));
  r.alu("sad." + t, ternary<U, T, T, U>([](T x, T y, U z) {
          const U d =
              x < y ? static_cast<U>(y) - static_cast<U>(x) : static_cast<U>(x) - static_cast<U>(y);
          return static_cast<U>(z + d);
        }));
  r.alu("div." + t, binary_slow<T, T, T>([](T x, T y) { return divide(x, y); }));
  r.alu("rem." + t, binary_slow<T, T, T>([](T x, T y) { return remainder(x, y); }));
  r.alu("min." + t, binary<T, T, T>([](T x, T y) { return x < y ? x : y; }));
  r.alu("max." + t, binary<T, T, T>([](T x, T y) { return x > y ? x : y; }));
  r.alu("shr." + t, binary<T, T, u32>([](T x, u32 n) { return shift_right(x, n); }));
  if constexpr (sizeof(T) < 8) {
    r.alu("mul.wide." + t, binary<W, T, T>([](T x, T y) {
            return static_cast<W>(static_cast<W>(x) * static_cast<W>(y));
          }));
    r.alu("mad.wide." + t, ternary<W, T, T, W>([](T x, T y, W z) {
            using UW = std::make_unsigned_t<W>;
            return static_cast<W>(static_cast<UW>(static_cast<W>(x) * static_cast<W>(y)) +
                                  static_cast<UW>(z));
          }));
  }
}

template <class T>
void add_signed(Registry& r, const std::string& t) {
  using U = std::make_unsigned_t<T>;
  r.alu("neg." + t, unary<U, U>([](U x) { return static_cast<U>(0 - x); }));
  r.alu("abs." + t, unary<U, T>([](T x) {
          return static_cast<U>(x < 0 ? 0 - static_cast<U>(x) : static_cast<U>(x));
        }));
}

s32 saturate32(s64 v) {
  return static_cast<s32>(v > INT32_MAX ? INT32_MAX : v < INT32_MIN ? INT32_MIN : v);
}

s32 sign24(u32 x) { return static_cast<s32>(x << 8) >> 8; }

enum class Sign { kUnsigned, kSigned };

void add_packed(Registry& r, const std::string& t, Sign sign) {
  r.alu("add." + t, binary<u32, u32, u32>([](u32 x, u32 y) {
          return ((x + y) & 0xffff) | ((x >> 16) + (y >> 16)) << 16;
        }));
  if (sign == Sign::kSigned) {
    r.alu("min." + t, binary<u32, u32, u32>([](u32 x, u32 y) {
            const s16 a = static_cast<s16>(x), b = static_cast<s16>(y);
            const s16 c = static_cast<s16>(x >> 16), d = static_cast<s16>(y >> 16);
            return static_cast<u32>(static_cast<u16>(a < b ? a : b)) |
                   static_cast<u32>(static_cast<u16>(c < d ? c : d)) << 16;
          }));
    r.alu("max." + t, binary<u32, u32, u32>([](u32 x, u32 y) {
            const s16 a = static_cast<s16>(x), b = static_cast<s16>(y);
            const s16 c = static_cast<s16>(x >> 16), d = static_cast<s16>(y >> 16);
            return static_cast<u32>(static_cast<u16>(a > b ? a : b)) |
                   static_cast<u32>(static_cast<u16>(c > d ? c : d)) << 16;
          }));
  } else {
    r.alu("min." + t, binary<u32, u32, u32>([](u32 x, u32 y) {
            const u32 a = x & 0xffff, b = y & 0xffff, c = x >> 16, d = y >> 16;
            return (a < b ? a : b) | (c < d ? c : d) << 16;
          }));
    r.alu("max." + t, binary<u32, u32, u32>([](u32 x, u32 y) {
            const u32 a = x & 0xffff, b = y & 0xffff, c = x >> 16, d = y >> 16;
            return (a > b ? a : b) | (c > d ? c : d) << 16;
          }));
  }
}

// The condition code CC.CF is a hidden predicate register (inst.e).
enum CarryFlags : u32 { kCarryIn = 1, kCarryOut = 2, kSubtract = 4 };

template <class T>
void carry_lanes(Warp& w, const Inst& i, u32 mask) {
  const T *a = w.reg<T>(i.a), *b = w.reg<T>(i.b);
  T* d = w.reg<T>(i.d);
  u32& carry = w.predicate(i.e);
  for_lanes(mask, [&](u32 l) {
    const T x = a[l];
    const T y = i.flags & kSubtract ? static_cast<T>(~b[l]) : b[l];
    const bool borrow = i.flags & kSubtract;
    // A borrow is kept as CC = 1, as sub.cc says; inside it is the inverted carry.
    const bool in = i.flags & kCarryIn ? ((carry >> l & 1) != 0) != borrow : borrow;
    const u128 sum = static_cast<u128>(x) + y + in;
    const bool out = (sum >> kBits<T>) != 0;
    d[l] = static_cast<T>(sum);
    if (i.flags & kCarryOut) carry = (carry & ~(1u << l)) | static_cast<u32>(out != borrow) << l;
  });
}

template <class T>
void mad_carry_lanes(Warp& w, const Inst& i, u32 mask) {
  using W = typename Wide<T>::type;
  const T *a = w.reg<T>(i.a), *b = w.reg<T>(i.b), *c = w.reg<T>(i.c);
  T* d = w.reg<T>(i.d);
  u32& carry = w.predicate(i.e);
  for_lanes(mask, [&](u32 l) {
    const W product = static_cast<W>(a[l]) * static_cast<W>(b[l]);
    const T x = static_cast<T>(i.flags & 8 ? product >> kBits<T> : product);
    const bool in = (i.flags & kCarryIn) && (carry >> l & 1);
    using U = std::make_unsigned_t<T>;
    const u128 sum = static_cast<u128>(static_cast<U>(x)) + static_cast<U>(c[l]) + in;
    d[l] = static_cast<T>(sum);
    if (i.flags & kCarryOut)
      carry = (carry & ~(1u << l)) | static_cast<u32>((sum >> kBits<T>)&1) << l;
  });
}

bool is_64(std::string_view type) { return ptx::type_bytes(type) == 8; }

void decode_carry(Decode& d) {
  const bool mad = d.mods.mnemonic == "mad" || d.mods.mnemonic == "madc";
  const bool takes = d.mods.mnemonic.back() == 'c';
  const bool sub = d.mods.mnemonic.substr(0, 3) == "sub";
  const std::string_view type = d.mods.take_last();
  const u32 size = ptx::type_bytes(type);
  const bool out = d.mods.take("cc");
  if (!takes && !out) reject("unknown form");
  const bool high = mad && d.mods.take("hi");
  if (mad && !high && !d.mods.take("lo")) reject("needs .lo or .hi");
  if (size != 4 && size != 8) reject("unknown type");
  d.inst.flags = (takes ? u32{kCarryIn} : 0u) | (out ? u32{kCarryOut} : 0u) |
                 (sub ? u32{kSubtract} : 0u) | (high ? 8u : 0u);
  d.inst.a = d.use(1, size);
  d.inst.b = d.use(2, size);
  if (mad) d.inst.c = d.use(3, size);
  d.inst.d = d.def(0, size);
  d.inst.e = d.builder.carry_register();
  const bool s = type[0] == 's';
  if (mad) {
    d.inst.run = is_64(type) ? (s ? &mad_carry_lanes<s64> : &mad_carry_lanes<u64>)
                             : (s ? &mad_carry_lanes<s32> : &mad_carry_lanes<u32>);
  } else {
    d.inst.run = is_64(type) ? &carry_lanes<u64> : &carry_lanes<u32>;
  }
}

}  // namespace

void add_integer(Registry& r) {
  add_arithmetic<u16>(r, "u16");
  add_arithmetic<s16>(r, "s16");
  add_arithmetic<u32>(r, "u32");
  add_arithmetic<s32>(r, "s32");
  add_arithmetic<u64>(r, "u64");
  add_arithmetic<s64>(r, "s64");
  add_signed<s16>(r, "s16");
  add_signed<s32>(r, "s32");
  add_signed<s64>(r, "s64");
  add_packed(r, "u16x2", Sign::kUnsigned);
  add_packed(r, "s16x2", Sign::kSigned);
  r.alu("add.sat.s32",
        binary<s32, s32, s32>([](s32 x, s32 y) { return saturate32(static_cast<s64>(x) + y); }));
  r.alu("sub.sat.s32",
        binary<s32, s32, s32>([](s32 x, s32 y) { return saturate32(static_cast<s64>(x) - y); }));
  r.alu("mad.hi.sat.s32", ternary<s32, s32, s32, s32>([](s32 x, s32 y, s32 z) {
          return saturate32(((static_cast<s64>(x) * y) >> 32) + z);
        }));
  r.alu("min.relu.s32", binary<s32, s32, s32>([](s32 x, s32 y) {
          const s32 m = x < y ? x : y;
          return m < 0 ? 0 : m;
        }));
  r.alu("max.relu.s32", binary<s32, s32, s32>([](s32 x, s32 y) {
          const s32 m = x > y ? x : y;
          return m < 0 ? 0 : m;
        }));
  r.alu("mul24.lo.u32",
        binary<u32, u32, u32>([](u32 x, u32 y) { return (x & 0xffffff) * (y & 0xffffff); }));
  r.alu("mul24.lo.s32", binary<s32, u32, u32>([](u32 x, u32 y) {
          return static_cast<s32>(static_cast<s64>(sign24(x)) * sign24(y));
        }));
  r.alu("mul24.hi.u32", binary<u32, u32, u32>([](u32 x, u32 y) {
          return static_cast<u32>(u64{x & 0xffffff} * (y & 0xffffff) >> 16);
        }));
  r.alu("mul24.hi.s32", binary<s32, u32, u32>([](u32 x, u32 y) {
          return static_cast<s32>(static_cast<s64>(sign24(x)) * sign24(y) >> 16);
        }));
  r.alu("mad24.lo.u32", ternary<u32, u32, u32, u32>([](u32 x, u32 y, u32 z) {
          return (x & 0xffffff) * (y & 0xffffff) + z;
        }));
  r.alu("mad24.lo.s32", ternary<s32, u32, u32, s32>([](u32 x, u32 y, s32 z) {
          return static_cast<s32>(static_cast<s64>(sign24(x)) * sign24(y) + z);
        }));
  for (const char* m : {"add", "addc", "sub", "subc", "madc", "mad"}) r.family(m, &decode_carry);
}

}  // namespace emulator::isa
