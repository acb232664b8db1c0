#include "exec/access.hpp"

#include <algorithm>

#include "exec/counters.hpp"
#include "exec/memory.hpp"

namespace emulator {
namespace {

constexpr u32 kOffsetMask = (1u << kSharedRankShift) - 1;

[[noreturn, gnu::cold]] void violation(Warp& w, const Inst& i, u32 lane, check::Rule rule,
                                       FaultKind kind, const std::string& text) {
  if (auto* o = observer_of(w)) o->violation(event_of(w, i, 1u << lane), rule, text);
  fault(w, i, kind, "lane %u: %s", lane, text.c_str());
}

void misaligned(Warp& w, const Inst& i, u32 lane, u64 address, u32 bytes) {
  violation(w, i, lane, check::Rule::kMisaligned, FaultKind::kMisalignedAddress,
            format_text("address 0x%llx is not aligned to %u bytes",
                        static_cast<unsigned long long>(address), bytes));
}

void shared_out_of_bounds(Warp& w, const Inst& i, u32 lane, u32 offset, u32 bytes) {
  violation(w, i, lane, check::Rule::kOutOfBounds, FaultKind::kIllegalAddress,
            format_text("%u bytes of shared memory at offset %u; the CTA has %u to %u", bytes,
                        offset, kSharedReserved, w.shared_limit));
}

void resolve_shared(Warp& w, const Inst& i, u32 mask, u32 bytes, const check::WarpAccess& access,
                    LanePointers& lanes) {
  u32 foreign = 0, bad = 0;
  u32 offsets[kWarpSize];
  for (u32 l = 0; l < kWarpSize; ++l) {
    const u32 o = static_cast<u32>(lanes.address[l]) - w.shared_base;
    offsets[l] = o;
    lanes.pointer[l] = w.shared + o;
  }
  const u32 limit = w.shared_limit - bytes;
  u32 worst = 0, low_bits = 0;
  for (u32 l = 0; l < kWarpSize; ++l) {
    const u32 live = mask >> l & 1 ? ~0u : 0u;
    worst |= (offsets[l] - kSharedReserved > limit - kSharedReserved ? 1u : 0u) & live;
    low_bits |= offsets[l] & live;
  }
  if (low_bits & (bytes - 1))
    for_lanes(mask, [&](u32 l) {
      if (offsets[l] & (bytes - 1)) misaligned(w, i, l, lanes.address[l], bytes);
    });
  if (worst) {
    for_lanes(mask, [&](u32 l) {
      if (offsets[l] - kSharedReserved <= limit - kSharedReserved) return;
      const u32 address = static_cast<u32>(lanes.address[l]);
      if ((address ^ w.shared_base) >> kSharedRankShift == 0) {
        bad |= 1u << l;
        shared_out_of_bounds(w, i, l, offsets[l], bytes);
      }
      foreign |= 1u << l;
    });
  }
  if (InstCount* count = counts_of(w, i)) [[unlikely]]
    count_shared(*count, mask, bytes, offsets);
  if (const u32 own = mask & ~foreign; own)
    if (auto* o = observer_of(w)) [[unlikely]]
      o->shared_access(event_of(w, i, own), access, w.cta->linear_id, offsets);
  for_lanes(foreign, [&](u32 l) {
    Cta* owner;
    lanes.pointer[l] =
        shared_pointer(w, i, static_cast<u32>(lanes.address[l]), bytes, bytes, &owner);
    if (auto* o = observer_of(w)) {
      offsets[l] = static_cast<u32>(lanes.address[l]) & kOffsetMask;
      o->shared_access(event_of(w, i, 1u << l), access, owner->linear_id, offsets);
    }
  });
}

void resolve_global(Warp& w, const Inst& i, u32 mask, u32 bytes, const check::WarpAccess& access,
                    LanePointers& lanes) {
  u64 low = ~0ull, high = 0, low_bits = 0;
  for (u32 l = 0; l < kWarpSize; ++l) {
    const u64 live = mask >> l & 1 ? ~0ull : 0ull;
    const u64 a = lanes.address[l];
    lanes.pointer[l] = reinterpret_cast<u8*>(a);
    low = std::min(low, a | ~live);
    high = std::max(high, a & live);
    low_bits |= a & live;
  }
  if (low_bits & (bytes - 1))
    for_lanes(mask, [&](u32 l) {
      if (lanes.address[l] & (bytes - 1)) misaligned(w, i, l, lanes.address[l], bytes);
    });
  const DeviceMemory& memory = DeviceMemory::instance();
  if (!memory.contains(low, high - low + bytes)) {
    for_lanes(mask, [&](u32 l) {
      const u64 a = lanes.address[l];
      if (memory.contains(a, bytes)) return;
      AllocationInfo info;
      const bool freed = memory.find(a, info) && info.freed;
      violation(w, i, l, freed ? check::Rule::kUseAfterFree : check::Rule::kOutOfBounds,
                FaultKind::kIllegalAddress, memory.explain(a, bytes));
    });
  }
  if (InstCount* count = counts_of(w, i)) [[unlikely]]
    count_global(*count, mask, bytes, lanes.address);
  if (auto* o = observer_of(w)) [[unlikely]]
    o->global_access(event_of(w, i, mask), access, lanes.address);
}

void resolve_local(Warp& w, const Inst& i, u32 mask, u32 bytes, LanePointers& lanes) {
  const u32 size = w.kernel->local_bytes;
  for_lanes(mask, [&](u32 l) {
    const u64 a = lanes.address[l] & ~kTagMask;
    if (a & (bytes - 1)) misaligned(w, i, l, a, bytes);
    if (a + bytes > size)
      violation(w, i, l, check::Rule::kOutOfBounds, FaultKind::kIllegalAddress,
                format_text("%u bytes of local memory at offset %llu of %u", bytes,
                            static_cast<unsigned long long>(a), size));
    lanes.pointer[l] = w.local + size_t{l} * size + a;
  });
}

void resolve_constant(Warp& w, const Inst& i, u32 mask, u32 bytes, LanePointers& lanes) {
  for_lanes(mask, [&](u32 l) {
    const u64 a = lanes.address[l];
    if (a & (bytes - 1)) misaligned(w, i, l, a, bytes);
    if (!DeviceMemory::instance().contains(a, bytes))
      violation(w, i, l, check::Rule::kOutOfBounds, FaultKind::kIllegalAddress,
                DeviceMemory::instance().explain(a, bytes));
    lanes.pointer[l] = reinterpret_cast<u8*>(a);
  });
}

bool is_params(const Warp& w, u64 address) {
  return address - reinterpret_cast<u64>(w.cta->grid->params) < w.kernel->param_bytes;
}

void resolve_generic(Warp& w, const Inst& i, u32 mask, u32 bytes, const check::WarpAccess& access,
                     LanePointers& lanes) {
  u32 shared = 0, local = 0, constant = 0;
  for_lanes(mask, [&](u32 l) {
    const u64 tag = lanes.address[l] & kTagMask;
    shared |= u32{tag == kSharedTag} << l;
    local |= u32{tag == kLocalTag} << l;
    constant |= u32{tag == 0 && is_params(w, lanes.address[l])} << l;
  });
  const u32 global = mask & ~(shared | local | constant);
  if (shared == mask) return resolve_shared(w, i, mask, bytes, access, lanes);
  if (global == mask) return resolve_global(w, i, mask, bytes, access, lanes);
  u8* found[kWarpSize] = {};
  auto part = [&](u32 m, auto&& f) {
    if (!m) return;
    f(m);
    for_lanes(m, [&](u32 l) { found[l] = lanes.pointer[l]; });
  };
  part(shared, [&](u32 m) { resolve_shared(w, i, m, bytes, access, lanes); });
  part(global, [&](u32 m) { resolve_global(w, i, m, bytes, access, lanes); });
  part(local, [&](u32 m) { resolve_local(w, i, m, bytes, lanes); });
  part(constant, [&](u32 m) { resolve_constant(w, i, m, bytes, lanes); });
  std::copy(std::begin(found), std::end(found), lanes.pointer);
}

}  // namespace

void resolve(Warp& w, const Inst& i, Space space, u32 mask, u32 bytes,
             const check::WarpAccess& access, LanePointers& lanes) {
  switch (space) {
    case Space::kShared:
      return resolve_shared(w, i, mask, bytes, access, lanes);
    case Space::kGlobal:
      return resolve_global(w, i, mask, bytes, access, lanes);
    case Space::kLocal:
      return resolve_local(w, i, mask, bytes, lanes);
    case Space::kConstant:
      return resolve_constant(w, i, mask, bytes, lanes);
    case Space::kGeneric:
      return resolve_generic(w, i, mask, bytes, access, lanes);
  }
}

Cta* shared_owner(Warp& w, const Inst& i, u32 address) {
  const u32 rank = address >> kSharedRankShift;
  Cluster& cluster = *w.cta->cluster;
  if (rank >= cluster.ctas.size())
    fault(w, i, FaultKind::kIllegalAddress, "shared address 0x%x names CTA %u of a cluster of %zu",
          address, rank, cluster.ctas.size());
  return cluster.ctas[rank].get();
}

u8* shared_pointer(Warp& w, const Inst& i, u32 address, u32 bytes, u32 alignment, Cta** owner) {
  Cta* cta = shared_owner(w, i, address);
  const u32 offset = address & kOffsetMask;
  if (offset & (alignment - 1)) misaligned(w, i, 0, address, alignment);
  if (offset < kSharedReserved || u64{offset} + bytes > cta->shared_bytes)
    shared_out_of_bounds(w, i, 0, offset, bytes);
  if (owner) *owner = cta;
  return cta->shared + offset;
}

u8* global_pointer(Warp& w, const Inst& i, u64 address, u64 bytes, u32 alignment) {
  if (address & (alignment - 1)) misaligned(w, i, 0, address, alignment);
  if (!DeviceMemory::instance().contains(address, bytes)) {
    AllocationInfo info;
    const bool freed = DeviceMemory::instance().find(address, info) && info.freed;
    violation(w, i, 0, freed ? check::Rule::kUseAfterFree : check::Rule::kOutOfBounds,
              FaultKind::kIllegalAddress, DeviceMemory::instance().explain(address, bytes));
  }
  return reinterpret_cast<u8*>(address);
}

}  // namespace emulator
