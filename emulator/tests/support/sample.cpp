#include "support/sample.hpp"

#include "host_model/soft_float.hpp"

namespace emulator_tests {
namespace {

using host_model::Format;

std::vector<uint64_t> integer_corners(int bits) {
  const uint64_t top = uint64_t{1} << (bits - 1);
  const uint64_t ones = top | (top - 1);
  return {0,
          1,
          2,
          3,
          7,
          8,
          31,
          32,
          0x7f,
          0x80,
          0xff,
          0x7fff & ones,
          0x8000 & ones,
          0xffff & ones,
          top,
          top - 1,
          top + 1,
          ones,
          ones - 1,
          0x5555555555555555 & ones,
          0xaaaaaaaaaaaaaaaa & ones};
}

std::vector<uint64_t> float_corners(Format f) {
  const uint64_t one = f.one();
  const uint64_t half = one - f.min_normal();
  const std::vector<uint64_t> magnitudes = {
      0, 1, 2, f.min_normal() - 1, f.min_normal(), f.min_normal() + 1, one, one + 1, one - 1, half,
      half + 1, half - 1, one + (f.min_normal() >> 1), f.max_finite(), f.infinity(), f.nan(),
      // Near 2^p, where the spacing of floats passes one, and near 2^31 and 2^15.
      f.one() + (uint64_t(f.fraction_bits) << f.fraction_bits),
      f.one() + (uint64_t(f.fraction_bits + 1) << f.fraction_bits) + 1,
      f.one() + (uint64_t(14) << f.fraction_bits) + 1,
      f.exponent_bits > 5 ? f.one() + (uint64_t(31) << f.fraction_bits) : one};
  std::vector<uint64_t> corners = magnitudes;
  for (const uint64_t magnitude : magnitudes) corners.push_back(magnitude | f.sign_mask());
  return corners;
}

uint64_t random_float(Format f, int exponent_range, std::mt19937_64& random) {
  const uint64_t bits = random();
  const auto exponent = static_cast<uint64_t>(
      f.bias() - exponent_range + static_cast<int>(random() % (2 * exponent_range + 1)));
  return (bits & (f.sign_mask() | (f.min_normal() - 1))) | exponent << f.fraction_bits;
}

uint64_t sample_float(Format f, std::mt19937_64& random) {
  const uint64_t choice = random() % 4;
  if (choice == 0) return random() & (f.sign_mask() | f.magnitude_mask());
  if (choice == 1) return random_float(f, f.bias() - 1, random);
  if (choice == 2) return random_float(f, 3, random);
  const std::vector<uint64_t> corners = float_corners(f);
  return corners[random() % corners.size()];
}

uint64_t sample_integer(int bits, std::mt19937_64& random) {
  const uint64_t mask = bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
  const uint64_t choice = random() % 3;
  if (choice == 0) return random() & mask;
  if (choice == 1) return (random() & mask) >> (random() % bits);
  const std::vector<uint64_t> corners = integer_corners(bits);
  return corners[random() % corners.size()];
}

uint64_t sample_unit(Format f, std::mt19937_64& random) { return random_float(f, 2, random); }

template <class Sample>
uint64_t pair_of(Sample sample) {
  const uint64_t low = sample();
  return low | sample() << 16;
}

}  // namespace

uint64_t sample(Kind kind, std::mt19937_64& random) {
  using namespace host_model;
  switch (kind) {
    case Kind::kNone:
      return 0;
    case Kind::kB16:
      return sample_integer(16, random);
    case Kind::kB32:
      return sample_integer(32, random);
    case Kind::kB64:
      return sample_integer(64, random);
    case Kind::kShift:
      return random() % 8 == 0 ? random() & 0xffffffff : random() % 71;
    case Kind::kByte:
      return random() % (random() % 8 == 0 ? 256 : 71);
    case Kind::kF16:
      return sample_float(kF16, random);
    case Kind::kBf16:
      return sample_float(kBf16, random);
    case Kind::kF16x2:
      return pair_of([&] { return sample_float(kF16, random); });
    case Kind::kBf16x2:
      return pair_of([&] { return sample_float(kBf16, random); });
    case Kind::kTf32:
    case Kind::kF32:
      return sample_float(kF32, random);
    case Kind::kF64:
      return sample_float(kF64, random);
    case Kind::kUnitF32:
      return sample_unit(kF32, random);
    case Kind::kUnitF16:
      return sample_unit(kF16, random);
    case Kind::kUnitBf16:
      return sample_unit(kBf16, random);
    case Kind::kUnitF16x2:
      return pair_of([&] { return sample_unit(kF16, random); });
    case Kind::kUnitBf16x2:
      return pair_of([&] { return sample_unit(kBf16, random); });
  }
  return 0;
}

}  // namespace emulator_tests
