// Integer instructions of PTX, bit by bit where that is the clearest definition.
#pragma once

#include <bit>
#include <cstdint>

#include "convert.hpp"

namespace host_model {

inline int64_t s16(uint64_t x) { return static_cast<int16_t>(x); }
inline int64_t s32(uint64_t x) { return static_cast<int32_t>(x); }
inline int64_t s64(uint64_t x) { return static_cast<int64_t>(x); }

inline uint64_t saturating_add_s32(uint32_t a, uint32_t b) {
  return static_cast<uint64_t>(kS32.clamp(s32(a) + s32(b)));
}
inline uint64_t saturating_sub_s32(uint32_t a, uint32_t b) {
  return static_cast<uint64_t>(kS32.clamp(s32(a) - s32(b)));
}

// High half of a product of the given type.
inline uint64_t multiply_high(IntegerType type, uint64_t a, uint64_t b) {
  if (type.is_signed) {
    return static_cast<uint64_t>((type.value(a) * type.value(b)) >> type.bits);
  }
  return static_cast<uint64_t>((u128(a & type.mask()) * (b & type.mask())) >> type.bits);
}
inline uint64_t multiply_wide(IntegerType type, uint64_t a, uint64_t b) {
  return static_cast<uint64_t>(type.value(a) * type.value(b));
}

// Bits 47..0 of the product of the low 24 bits.
inline __int128 product_24(bool is_signed, uint32_t a, uint32_t b) {
  const IntegerType type{24, is_signed};
  return type.value(a) * type.value(b);
}

// Division by zero is unspecified in PTX, so the tables keep divisors odd.
inline uint64_t divide(IntegerType type, uint64_t a, uint64_t b) {
  return static_cast<uint64_t>(type.value(a) / type.value(b));
}
inline uint64_t remainder(IntegerType type, uint64_t a, uint64_t b) {
  return static_cast<uint64_t>(type.value(a) % type.value(b));
}

inline uint64_t absolute_difference(IntegerType type, uint64_t a, uint64_t b) {
  const __int128 difference = type.value(a) - type.value(b);
  return static_cast<uint64_t>(difference < 0 ? -difference : difference);
}

inline uint64_t smaller(IntegerType type, uint64_t a, uint64_t b) {
  return type.value(a) < type.value(b) ? a : b;
}
inline uint64_t larger(IntegerType type, uint64_t a, uint64_t b) {
  return type.value(a) > type.value(b) ? a : b;
}

inline uint64_t shift_left(int bits, uint64_t a, uint32_t amount) {
  return amount >= static_cast<uint32_t>(bits) ? 0 : a << amount;
}
inline uint64_t shift_right(IntegerType type, uint64_t a, uint32_t amount) {
  const int limited = static_cast<int>(std::min<uint32_t>(amount, 64));
  return static_cast<uint64_t>(type.value(a) >> limited);
}

enum class FunnelMode { kWrap, kClamp };
inline uint32_t funnel_amount(uint32_t amount, FunnelMode mode) {
  return mode == FunnelMode::kWrap ? amount & 31 : std::min(amount, 32u);
}
inline uint64_t funnel_left(uint32_t low, uint32_t high, uint32_t amount, FunnelMode mode) {
  const uint64_t joined = uint64_t{high} << 32 | low;
  return (joined << funnel_amount(amount, mode)) >> 32;
}
inline uint64_t funnel_right(uint32_t low, uint32_t high, uint32_t amount, FunnelMode mode) {
  const uint64_t joined = uint64_t{high} << 32 | low;
  return joined >> funnel_amount(amount, mode);
}

inline uint64_t lop3(uint32_t a, uint32_t b, uint32_t c, uint32_t table) {
  uint32_t result = 0;
  for (int bit = 0; bit < 32; ++bit) {
    const uint32_t index = (a >> bit & 1) << 2 | (b >> bit & 1) << 1 | (c >> bit & 1);
    result |= (table >> index & 1) << bit;
  }
  return result;
}

inline uint64_t bit_reverse(int bits, uint64_t a) {
  uint64_t result = 0;
  for (int bit = 0; bit < bits; ++bit) result |= (a >> bit & 1) << (bits - 1 - bit);
  return result;
}

// Position of the highest bit that differs from the sign, counted from bit 0; all ones if none.
inline uint64_t find_highest(IntegerType type, uint64_t a) {
  const bool sign = type.is_signed && type.value(a) < 0;
  for (int bit = type.bits - 1; bit >= 0; --bit) {
    if (((a >> bit & 1) != 0) != sign) return static_cast<uint64_t>(bit);
  }
  return 0xffffffffu;
}
inline uint64_t find_highest_shift(IntegerType type, uint64_t a) {
  const uint64_t position = find_highest(type, a);
  return position == 0xffffffffu ? position : static_cast<uint64_t>(type.bits) - 1 - position;
}

inline uint64_t bit_field_extract(IntegerType type, uint64_t a, uint32_t position,
                                  uint32_t length) {
  position &= 0xff;
  length &= 0xff;
  const uint32_t top = static_cast<uint32_t>(type.bits) - 1;
  const bool sign =
      type.is_signed && length != 0 && (a >> std::min(position + length - 1, top) & 1) != 0;
  uint64_t result = 0;
  for (uint32_t bit = 0; bit <= top; ++bit) {
    const bool inside = bit < length && position + bit <= top;
    const uint64_t value = inside ? a >> (position + bit) & 1 : sign;
    result |= value << bit;
  }
  return result;
}

inline uint64_t bit_field_insert(int bits, uint64_t field, uint64_t base, uint32_t position,
                                 uint32_t length) {
  position &= 0xff;
  length &= 0xff;
  for (uint32_t bit = 0; bit < length && position + bit < static_cast<uint32_t>(bits); ++bit) {
    const uint64_t one = uint64_t{1} << (position + bit);
    base = (field >> bit & 1) ? base | one : base & ~one;
  }
  return base;
}

inline uint64_t bit_mask(uint32_t position, uint32_t width, FunnelMode mode) {
  if (mode == FunnelMode::kWrap) {
    position &= 31;
    width &= 31;
  } else {
    position = std::min(position, 32u);
    width = std::min(width, 32u);
  }
  const uint64_t ones = (uint64_t{1} << width) - 1;
  return (ones << position) & 0xffffffffu;
}

inline uint64_t sign_or_zero_extend(IntegerType type, uint32_t a, uint32_t position,
                                    FunnelMode mode) {
  position = mode == FunnelMode::kWrap ? position & 31 : std::min(position, 32u);
  if (position == 0) return 0;
  return static_cast<uint64_t>(IntegerType{static_cast<int>(position), type.is_signed}.value(a)) &
         0xffffffffu;
}

inline uint8_t selected_byte(uint64_t joined, uint32_t selector) {
  const auto byte = static_cast<uint8_t>(joined >> (8 * (selector & 7)));
  return selector & 8 ? (byte & 0x80 ? 0xff : 0) : byte;
}
inline uint64_t permute(uint32_t a, uint32_t b, uint32_t selector) {
  const uint64_t joined = uint64_t{b} << 32 | a;
  uint64_t result = 0;
  for (int i = 0; i < 4; ++i) {
    result |= uint64_t{selected_byte(joined, selector >> (4 * i) & 15)} << (8 * i);
  }
  return result;
}

enum class PermuteMode { kForward4, kBackward4, kReplicate8, kEdgeLeft, kEdgeRight, kReplicate16 };

inline uint64_t permute_mode(uint32_t a, uint32_t b, uint32_t control, PermuteMode mode) {
  const int s = static_cast<int>(control & 3);
  uint32_t selector = 0;
  for (int i = 0; i < 4; ++i) {
    int pick = 0;
    switch (mode) {
      case PermuteMode::kForward4:
        pick = i + s;
        break;
      case PermuteMode::kBackward4:
        pick = (8 + s - i) % 8;
        break;
      case PermuteMode::kReplicate8:
        pick = s;
        break;
      case PermuteMode::kEdgeLeft:
        pick = std::max(i, s);
        break;
      case PermuteMode::kEdgeRight:
        pick = std::min(i, s);
        break;
      case PermuteMode::kReplicate16:
        pick = (s & 1) * 2 + (i & 1);
        break;
    }
    selector |= static_cast<uint32_t>(pick) << (4 * i);
  }
  return permute(a, b, selector);
}

inline int64_t byte_value(uint32_t word, int index, bool is_signed) {
  return static_cast<int64_t>(IntegerType{8, is_signed}.value(word >> (8 * index)));
}
inline uint64_t dot_4(uint32_t a, bool a_signed, uint32_t b, bool b_signed, uint32_t c) {
  int64_t sum = c;
  for (int i = 0; i < 4; ++i) sum += byte_value(a, i, a_signed) * byte_value(b, i, b_signed);
  return static_cast<uint64_t>(sum);
}
inline uint64_t dot_2(uint32_t a, bool a_signed, uint32_t b, bool b_signed, uint32_t c, int first) {
  int64_t sum = c;
  for (int i = 0; i < 2; ++i) {
    const auto half = static_cast<int64_t>(IntegerType{16, a_signed}.value(a >> (16 * i)));
    sum += half * byte_value(b, first + i, b_signed);
  }
  return static_cast<uint64_t>(sum);
}

}  // namespace host_model
