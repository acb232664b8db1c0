// Loops over the 32 lanes of a register. Full warps run a plain loop that the compiler vectorises;
// partial ones compute all lanes and blend, so operations must be total (no trap on any input).
#pragma once

#include "exec/warp.hpp"
#include "isa/decoder.hpp"

namespace emulator::isa {

template <class D, class F>
inline __attribute__((always_inline)) void store_lanes(D* d, u32 mask, F&& value) {
  if (mask == kAllLanes) {
#pragma GCC ivdep
    for (u32 l = 0; l < kWarpSize; ++l) d[l] = value(l);
  } else {
#pragma GCC ivdep
    for (u32 l = 0; l < kWarpSize; ++l) {
      const D v = value(l);
      d[l] = (mask >> l & 1) ? v : d[l];
    }
  }
}

// Lane masks are built from bytes: this form is the one that g++ turns into vector compares.
template <class F>
inline __attribute__((always_inline)) u32 mask_of(F&& test) {
  u32 mask = 0;
#pragma GCC unroll 32
  for (u32 l = 0; l < kWarpSize; ++l) mask |= static_cast<u32>(test(l)) << l;
  return mask;
}

inline void set_predicate(Warp& w, u32 offset, u32 mask, u32 value) {
  u32& p = w.predicate(offset);
  p = (p & ~mask) | (value & mask);
}

template <class D, class A, class F>
void unary_lanes(Warp& w, const Inst& i, u32 mask) {
  const A* a = w.reg<A>(i.a);
  store_lanes(w.reg<D>(i.d), mask, [=](u32 l) { return static_cast<D>(F{}(a[l])); });
}

template <class D, class A, class B, class F>
void binary_lanes(Warp& w, const Inst& i, u32 mask) {
  const A* a = w.reg<A>(i.a);
  const B* b = w.reg<B>(i.b);
  store_lanes(w.reg<D>(i.d), mask, [=](u32 l) { return static_cast<D>(F{}(a[l], b[l])); });
}

template <class D, class A, class B, class C, class F>
void ternary_lanes(Warp& w, const Inst& i, u32 mask) {
  const A* a = w.reg<A>(i.a);
  const B* b = w.reg<B>(i.b);
  const C* c = w.reg<C>(i.c);
  store_lanes(w.reg<D>(i.d), mask, [=](u32 l) { return static_cast<D>(F{}(a[l], b[l], c[l])); });
}

// A lane at a time, for operations too long to be worth vectorising or that may trap.
template <class D, class A, class F>
void unary_each(Warp& w, const Inst& i, u32 mask) {
  const A* a = w.reg<A>(i.a);
  D* d = w.reg<D>(i.d);
  for_lanes(mask, [=](u32 l) { d[l] = static_cast<D>(F{}(a[l])); });
}

template <class D, class A, class B, class F>
void binary_each(Warp& w, const Inst& i, u32 mask) {
  const A* a = w.reg<A>(i.a);
  const B* b = w.reg<B>(i.b);
  D* d = w.reg<D>(i.d);
  for_lanes(mask, [=](u32 l) { d[l] = static_cast<D>(F{}(a[l], b[l])); });
}

template <class D, class A, class B, class C, class F>
void ternary_each(Warp& w, const Inst& i, u32 mask) {
  const A* a = w.reg<A>(i.a);
  const B* b = w.reg<B>(i.b);
  const C* c = w.reg<C>(i.c);
  D* d = w.reg<D>(i.d);
  for_lanes(mask, [=](u32 l) { d[l] = static_cast<D>(F{}(a[l], b[l], c[l])); });
}

template <class D, class A, class F>
AluEntry unary(F) {
  return {&unary_lanes<D, A, F>, 1, {sizeof(D), sizeof(A), 0, 0}};
}
template <class D, class A, class B, class F>
AluEntry binary(F) {
  return {&binary_lanes<D, A, B, F>, 2, {sizeof(D), sizeof(A), sizeof(B), 0}};
}
template <class D, class A, class B, class C, class F>
AluEntry ternary(F) {
  return {&ternary_lanes<D, A, B, C, F>, 3, {sizeof(D), sizeof(A), sizeof(B), sizeof(C)}};
}
template <class D, class A, class F>
AluEntry unary_slow(F) {
  return {&unary_each<D, A, F>, 1, {sizeof(D), sizeof(A), 0, 0}};
}
template <class D, class A, class B, class F>
AluEntry binary_slow(F) {
  return {&binary_each<D, A, B, F>, 2, {sizeof(D), sizeof(A), sizeof(B), 0}};
}
template <class D, class A, class B, class C, class F>
AluEntry ternary_slow(F) {
  return {&ternary_each<D, A, B, C, F>, 3, {sizeof(D), sizeof(A), sizeof(B), sizeof(C)}};
}

}  // namespace emulator::isa
