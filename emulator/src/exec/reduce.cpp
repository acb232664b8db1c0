// Element-wise reductions of bulk copies, atomic for each element.
#include <atomic>

#include "exec/tma.hpp"
#include "num/fp.hpp"

namespace emulator {
namespace {

template <class T>
T integer(T x, T y, BulkReduction op) {
  switch (op) {
    case BulkReduction::kAdd:
      return static_cast<T>(x + y);
    case BulkReduction::kMin:
      return x < y ? x : y;
    case BulkReduction::kMax:
      return x > y ? x : y;
    case BulkReduction::kInc:
      return x >= y ? T{0} : static_cast<T>(x + 1);
    case BulkReduction::kDec:
      return x == 0 || x > y ? y : static_cast<T>(x - 1);
    case BulkReduction::kAnd:
      return x & y;
    case BulkReduction::kOr:
      return x | y;
    case BulkReduction::kXor:
      return x ^ y;
    case BulkReduction::kNone:
      return y;
  }
  return y;
}

float real(float x, float y, BulkReduction op) {
  if (op == BulkReduction::kMin) return num::min_ptx(x, y);
  if (op == BulkReduction::kMax) return num::max_ptx(x, y);
  return num::canonical(x + y);
}

template <class Word, class F>
void each(u8* data, const u8* source, u32 bytes, F&& f) {
  for (u32 k = 0; k + sizeof(Word) <= bytes; k += sizeof(Word)) {
    std::atomic_ref<Word> word(*reinterpret_cast<Word*>(data + k));
    const Word y = load_as<Word>(source + k);
    Word x = word.load();
    while (!word.compare_exchange_weak(x, f(x, y))) {
    }
  }
}

}  // namespace

void reduce_bytes(u8* data, const u8* source, u32 bytes, TensorElement element, BulkReduction op) {
  switch (element) {
    case TensorElement::kU8:
      return each<u8>(data, source, bytes, [=](u8 x, u8 y) { return integer(x, y, op); });
    case TensorElement::kU16:
      return each<u16>(data, source, bytes, [=](u16 x, u16 y) { return integer(x, y, op); });
    case TensorElement::kU32:
      return each<u32>(data, source, bytes, [=](u32 x, u32 y) { return integer(x, y, op); });
    case TensorElement::kS32:
      return each<s32>(data, source, bytes, [=](s32 x, s32 y) { return integer(x, y, op); });
    case TensorElement::kU64:
      return each<u64>(data, source, bytes, [=](u64 x, u64 y) { return integer(x, y, op); });
    case TensorElement::kS64:
      return each<s64>(data, source, bytes, [=](s64 x, s64 y) { return integer(x, y, op); });
    case TensorElement::kF16:
      return each<u16>(data, source, bytes, [=](u16 x, u16 y) {
        return num::float_to_f16(real(num::f16_to_float(x), num::f16_to_float(y), op));
      });
    case TensorElement::kBf16:
      return each<u16>(data, source, bytes, [=](u16 x, u16 y) {
        return num::float_to_bf16(real(num::bf16_to_float(x), num::bf16_to_float(y), op));
      });
    case TensorElement::kF64:
      return each<u64>(data, source, bytes, [=](u64 x, u64 y) {
        return std::bit_cast<u64>(std::bit_cast<double>(x) + std::bit_cast<double>(y));
      });
    default:
      return each<u32>(data, source, bytes, [=](u32 x, u32 y) {
        return num::float_to_bits(real(num::bits_to_float(x), num::bits_to_float(y), op));
      });
  }
}

}  // namespace emulator
