// Turns the lines of a vector table into host models; see vector_case.hpp. In a model expression
// a, b and c are the operands as unsigned integers of their width, or doubles in NEAR lines.
#pragma once

#include "vector_case.hpp"

namespace emulator_tests {

template <Kind kKind>
auto operand(uint64_t x) {
  if constexpr (kKind == Kind::kB16 || kKind == Kind::kF16 || kKind == Kind::kBf16 ||
                kKind == Kind::kUnitF16 || kKind == Kind::kUnitBf16) {
    return static_cast<uint16_t>(x);
  } else if constexpr (kKind == Kind::kB64 || kKind == Kind::kF64) {
    return x;
  } else {
    return static_cast<uint32_t>(x);
  }
}

}  // namespace emulator_tests

#define MODEL_OPERANDS(ka, kb, kc)                          \
  [[maybe_unused]] const auto a = operand<Kind::ka>(raw_a); \
  [[maybe_unused]] const auto b = operand<Kind::kb>(raw_b); \
  [[maybe_unused]] const auto c = operand<Kind::kc>(raw_c);

#define MODEL_EXACT(name, text, result, ka, kb, kc, ...)            \
  {#name,                                                           \
   text,                                                            \
   Kind::result,                                                    \
   {Kind::ka, Kind::kb, Kind::kc},                                  \
   [](uint64_t raw_a, uint64_t raw_b, uint64_t raw_c) -> uint64_t { \
     MODEL_OPERANDS(ka, kb, kc)                                     \
     return operand<Kind::result>(__VA_ARGS__);                     \
   },                                                               \
   nullptr,                                                         \
   {}},

#define MODEL_REAL(name, text, result, ka, kb, relative, absolute, ...)         \
  {#name,                                                                       \
   text,                                                                        \
   Kind::result,                                                                \
   {Kind::ka, Kind::kb, Kind::kNone},                                           \
   nullptr,                                                                     \
   []([[maybe_unused]] double a, [[maybe_unused]] double b, double) -> double { \
     return __VA_ARGS__;                                                        \
   },                                                                           \
   {relative, absolute}},

#define OP1(name, text, result, a, ...) \
  MODEL_EXACT(name, text, result, a, kNone, kNone, __VA_ARGS__)
#define OP2(name, text, result, a, b, ...) MODEL_EXACT(name, text, result, a, b, kNone, __VA_ARGS__)
#define OP3(name, text, result, a, b, c, ...) MODEL_EXACT(name, text, result, a, b, c, __VA_ARGS__)
#define NEAR1(name, text, result, a, relative, absolute, ...) \
  MODEL_REAL(name, text, result, a, kNone, relative, absolute, __VA_ARGS__)
#define NEAR2(name, text, result, a, b, relative, absolute, ...) \
  MODEL_REAL(name, text, result, a, b, relative, absolute, __VA_ARGS__)
