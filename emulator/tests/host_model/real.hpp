// Small formats as doubles, which hold them exactly.
#pragma once

#include <cmath>
#include <cstdint>

#include "convert.hpp"

namespace host_model {

inline double to_double(Format f, uint64_t x) {
  if (is_nan(f, x)) return NAN;
  const Exact exact = unpack(f, x);
  const double magnitude =
      is_infinite(f, x) ? INFINITY
                        : std::ldexp(static_cast<double>(static_cast<uint64_t>(exact.significand)),
                                     exact.exponent);
  return exact.negative ? -magnitude : magnitude;
}

inline uint64_t from_double(Format f, double value) {
  uint64_t bits;
  static_assert(sizeof(bits) == sizeof(value));
  __builtin_memcpy(&bits, &value, sizeof(bits));
  return convert(f, kF64, bits, {});
}

}  // namespace host_model
