// mapa, getctarank, griddepcontrol, and stores to shared memory of the cluster that complete on an
// mbarrier (st.async, red.async).
#include "exec/access.hpp"
#include "exec/async.hpp"
#include "exec/mbarrier.hpp"
#include "isa/handlers.hpp"
#include "isa/lanes.hpp"
#include "isa/memory_order.hpp"

namespace emulator::isa {
namespace {

constexpr u32 kOffsetMask = (1u << kSharedRankShift) - 1;

template <class T>
void map_lanes(Warp& w, const Inst& i, u32 mask) {
  const T* a = w.reg<T>(i.a);
  const u32* rank = w.reg<u32>(i.b);
  T* d = w.reg<T>(i.d);
  const size_t ctas = w.cta->cluster->ctas.size();
  for_lanes(mask, [&](u32 l) {
    if (rank[l] >= ctas)
      fault(w, i, FaultKind::kHardwareRule, "lane %u: mapa to CTA %u of a cluster of %zu", l,
            rank[l], ctas);
    const T tag = static_cast<T>(a[l] & static_cast<T>(kTagMask));
    d[l] =
        tag | static_cast<T>((static_cast<u32>(a[l]) & kOffsetMask) | rank[l] << kSharedRankShift);
  });
}

void decode_mapa(Decode& d) {
  const u32 size = ptx::type_bytes(d.mods.take_last());
  d.mods.take("shared::cluster");
  d.inst.a = d.use(1, size);
  d.inst.b = d.use(2, 4);
  d.inst.d = d.def(0, size);
  d.inst.run = size == 8 ? &map_lanes<u64> : &map_lanes<u32>;
}

template <class T>
void rank_lanes(Warp& w, const Inst& i, u32 mask) {
  const T* a = w.reg<T>(i.a);
  store_lanes(w.reg<u32>(i.d), mask,
              [=](u32 l) { return static_cast<u32>(a[l]) >> kSharedRankShift; });
}

void decode_getctarank(Decode& d) {
  const u32 size = ptx::type_bytes(d.mods.take_last());
  d.mods.take("shared::cluster");
  d.inst.a = d.use(1, size);
  d.inst.d = d.def(0, 4);
  d.inst.run = size == 8 ? &rank_lanes<u64> : &rank_lanes<u32>;
}

void griddep_wait(Warp& w, const Inst& i, u32 mask) {
  if (auto* o = observer_of(w)) o->griddep_wait(event_of(w, i, mask));
}
void griddep_launch(Warp& w, const Inst& i, u32 mask) {
  if (auto* o = observer_of(w)) o->griddep_launch(event_of(w, i, mask));
}

// Launches of a stream run one after another, so there is nothing to wait for; only the checker
// has to know.
void decode_griddepcontrol(Decode& d) {
  if (d.mods.take("wait")) {
    d.inst.run = &griddep_wait;
  } else if (d.mods.take("launch_dependents")) {
    d.inst.run = &griddep_launch;
  } else {
    reject("unknown form");
  }
}

struct RemoteStore final : AsyncOp {
  u8* to = nullptr;
  u8 data[16] = {};
  u32 bytes = 0;
  u32 mbarrier = 0;
  bool is_signed = false;
  u32 operation = 0;
  void finish(Cta& cta) override {
    if (operation == 0) {
      std::memcpy(to, data, bytes);
    } else {
      reduce();
    }
    if (auto* o = cta.observer.get()) o->bulk_end(observed);
    MbarrierChange change;
    change.complete_tx = static_cast<s32>(bytes);
    mbarrier_update(cta.warps[warp], *inst, mbarrier, change);
  }
  void reduce() {
    u64 x = 0, y = 0;
    std::memcpy(&x, to, bytes);
    std::memcpy(&y, data, bytes);
    const s64 sx = bytes == 4 ? static_cast<s32>(x) : static_cast<s64>(x);
    const s64 sy = bytes == 4 ? static_cast<s32>(y) : static_cast<s64>(y);
    switch (operation) {
      case 1:
        x += y;
        break;
      case 2:
        x = is_signed ? (sx < sy ? x : y) : (x < y ? x : y);
        break;
      case 3:
        x = is_signed ? (sx > sy ? x : y) : (x > y ? x : y);
        break;
      case 4:
        x = x >= y ? 0 : x + 1;
        break;
      case 5:
        x = x == 0 || x > y ? y : x - 1;
        break;
      case 6:
        x &= y;
        break;
      case 7:
        x |= y;
        break;
      default:
        x ^= y;
    }
    std::memcpy(to, &x, bytes);
  }
};

constexpr u32 kAddress64 = 1, kMbar64 = 2, kSigned = 4, kSizeShift = 8, kOperationShift = 16;

void remote_lanes(Warp& w, const Inst& i, u32 mask) {
  const u32 element = i.flags >> kSizeShift & 0xff, bytes = element * i.op_count;
  for_lanes(mask, [&](u32 l) {
    auto op = std::make_unique<RemoteStore>();
    op->kind = AsyncOp::Kind::kBulkLoad;
    op->mask = 1u << l;
    op->bytes = bytes;
    op->operation = i.flags >> kOperationShift & 0xf;
    op->is_signed = i.flags & kSigned;
    const u32 address = static_cast<u32>(
        (i.flags & kAddress64 ? w.reg<u64>(i.a)[l] : w.reg<u32>(i.a)[l]) + static_cast<u64>(i.imm));
    op->mbarrier = static_cast<u32>((i.flags & kMbar64 ? w.reg<u64>(i.b)[l] : w.reg<u32>(i.b)[l]) +
                                    u64{i.target});
    Cta* owner;
    op->to = shared_pointer(w, i, address, bytes, bytes, &owner);
    Cta* barrier_owner;
    mbarrier_load(w, i, op->mbarrier, &barrier_owner);
    if (owner != barrier_owner)
      fault(w, i, FaultKind::kHardwareRule, "lane %u: data and mbarrier lie in different CTAs", l);
    for (u32 k = 0; k < i.op_count; ++k)
      std::memcpy(op->data + k * element, w.regs + i.ops[k] + size_t{l} * element, element);
    if (auto* o = observer_of(w)) {
      const check::CopySegment segment{address & kOffsetMask, bytes, 0};
      check::BulkCopy copy;
      copy.kind = check::BulkKind::kSharedToShared;
      copy.lane = l;
      copy.shared_cta = copy.mbarrier_cta = owner->linear_id;
      copy.mbarrier_offset = op->mbarrier & kOffsetMask;
      copy.segments = {&segment, 1};
      op->observed = o->bulk_begin(event_of(w, i, 1u << l), copy);
    }
    enqueue(w, i, std::move(op));
  });
}

void take_remote(Decode& d, std::string_view type) {
  if (!d.mods.take("async")) reject("needs .async");
  take_order(d.mods, check::Order::kWeak);
  take_scope(d.mods, check::Scope::kCluster);
  take_space(d.mods);
  if (!d.mods.take("mbarrier::complete_tx::bytes")) reject("needs .mbarrier::complete_tx::bytes");
  const u32 element = ptx::type_bytes(type);
  if (element != 4 && element != 8) reject("unknown type");
  u32 flags = element << kSizeShift | (type[0] == 's' ? kSigned : 0);
  if (d.mods.take("v2") || d.mods.take("v4")) {
  }
  if (d.address(d.op(2), d.inst.b) == 8) flags |= kMbar64;
  d.inst.target = static_cast<u32>(d.inst.imm);
  if (d.address(d.op(0), d.inst.a) == 8) flags |= kAddress64;
  d.set_ops(d.use_list(d.op(1), element));
  d.inst.flags = flags;
  d.inst.run = &remote_lanes;
}

}  // namespace

void decode_st_async(Decode& d) { take_remote(d, d.mods.take_last()); }

void decode_red_async(Decode& d) {
  static constexpr std::string_view kOps[] = {"add", "min", "max", "inc",
                                              "dec", "and", "or",  "xor"};
  const std::string_view type = d.mods.take_last();
  u32 operation = 0;
  for (u32 k = 0; k < 8; ++k)
    if (d.mods.take(kOps[k])) operation = k + 1;
  if (!operation) reject("needs an operation");
  take_remote(d, type);
  d.inst.flags |= operation << kOperationShift;
}

void add_cluster(Registry& r) {
  r.family("mapa", &decode_mapa);
  r.family("getctarank", &decode_getctarank);
  r.family("griddepcontrol", &decode_griddepcontrol);
}

}  // namespace emulator::isa
