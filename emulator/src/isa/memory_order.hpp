// Modifiers that many memory instructions share.
#pragma once

#include "check/observer.hpp"
#include "isa/decoder.hpp"

namespace emulator::isa {

// Order and scope are packed into inst.flags: bits 0..2 order, 3..4 scope.
inline u32 pack_order(check::Order o, check::Scope s) {
  return static_cast<u32>(o) | static_cast<u32>(s) << 3;
}
inline check::Order order_of(u32 flags) { return static_cast<check::Order>(flags & 7); }
inline check::Scope scope_of(u32 flags) { return static_cast<check::Scope>(flags >> 3 & 3); }

inline check::Scope take_scope(Modifiers& m, check::Scope otherwise) {
  if (m.take("cta")) return check::Scope::kCta;
  if (m.take("cluster")) return check::Scope::kCluster;
  if (m.take("gpu")) return check::Scope::kGpu;
  if (m.take("sys")) return check::Scope::kSys;
  return otherwise;
}

inline check::Order take_order(Modifiers& m, check::Order otherwise) {
  if (m.take("weak")) return check::Order::kWeak;
  if (m.take("relaxed")) return check::Order::kRelaxed;
  if (m.take("acquire")) return check::Order::kAcquire;
  if (m.take("release")) return check::Order::kRelease;
  if (m.take("acq_rel")) return check::Order::kAcqRel;
  return otherwise;
}

// Hints that change no value.
inline void take_cache_hints(Modifiers& m) {
  while (!m.take_prefix("L1::").empty() || !m.take_prefix("L2::").empty()) {
  }
  m.take_one_of({"ca", "cg", "cs", "lu", "cv", "wb", "wt"});
}

inline Space take_space(Modifiers& m) {
  if (m.take("shared") || m.take("shared::cta") || m.take("shared::cluster")) return Space::kShared;
  if (m.take("global")) return Space::kGlobal;
  if (m.take("local")) return Space::kLocal;
  if (m.take("const") || m.take("param") || m.take("param::entry") || m.take("param::func"))
    return Space::kConstant;
  return Space::kGeneric;
}

}  // namespace emulator::isa
