// Tensor maps that a kernel edits: tensormap.replace and tensormap.cp_fenceproxy.
#include <tuple>

#include "exec/access.hpp"
#include "exec/tensor_map.hpp"
#include "isa/handlers.hpp"
#include "isa/lanes.hpp"
#include "isa/memory_order.hpp"

namespace emulator::isa {
namespace {

constexpr u32 kMapBytes = 128, kPiece = 16;

enum class Field : u32 {
  kAddress,
  kRank,
  kBox,
  kDimension,
  kStride,
  kElementStride,
  kElementType,
  kInterleave,
  kSwizzle,
  kFill,
  kCount
};

constexpr std::string_view kFieldNames[] = {
    "global_address", "rank",     "box_dim",           "global_dim",   "global_stride",
    "element_stride", "elemtype", "interleave_layout", "swizzle_mode", "fill_mode"};
static_assert(std::size(kFieldNames) == static_cast<u32>(Field::kCount));

// In the order of the PTX manual, which is not that of the driver.
constexpr std::pair<TensorElement, u8> kElements[] = {
    {TensorElement::kU8, 1},     {TensorElement::kU16, 2},  {TensorElement::kU32, 4},
    {TensorElement::kS32, 4},    {TensorElement::kU64, 8},  {TensorElement::kS64, 8},
    {TensorElement::kF16, 2},    {TensorElement::kF32, 4},  {TensorElement::kF32Ftz, 4},
    {TensorElement::kF64, 8},    {TensorElement::kBf16, 2}, {TensorElement::kTf32, 4},
    {TensorElement::kTf32Ftz, 4}};

// inst.flags: field, then kWide; inst.target: ordinal
constexpr u32 kAddress64 = 1 << 8;

// False: the field cannot hold the value.
bool replace_field(TensorMap& t, Field field, u32 ordinal, u64 value) {
  switch (field) {
    case Field::kAddress:
      t.base = value;
      return value % 16 == 0;
    case Field::kRank:  // minus one
      t.rank = static_cast<u8>(value + 1);
      return value < 5;
    case Field::kBox:
      t.box[ordinal] = static_cast<u16>(value);
      return value >= 1 && value <= 256;
    case Field::kDimension:
      t.dim[ordinal] = static_cast<u32>(value);
      return true;
    case Field::kStride:  // of dimension ordinal + 1, in bytes
      if (ordinal < 4) t.stride[ordinal] = value;
      return ordinal < 4 && value % 16 == 0 && value < (1ull << 40);
    case Field::kElementStride:
      t.traversal[ordinal] = static_cast<u8>(value);
      return value >= 1 && value <= 8;
    case Field::kElementType:
      if (value >= std::size(kElements)) return false;
      std::tie(t.element, t.element_bytes) = kElements[value];
      return true;
    case Field::kInterleave:
      return value == 0;
    case Field::kSwizzle:
      t.swizzle = static_cast<u8>(value);
      return value <= 3;
    case Field::kFill:
      t.nan_fill = static_cast<u8>(value);
      return value <= 1;
    default:
      return false;
  }
}

// The 128 bytes as eight accesses of each lane.
void resolve_map(Warp& w, const Inst& i, Space space, u32 mask, check::AccessKind kind,
                 const u64* addresses, u8** first) {
  for (u32 at = kMapBytes; at; at -= kPiece) {
    LanePointers lanes;
    for (u32 l = 0; l < kWarpSize; ++l) lanes.address[l] = addresses[l] + at - kPiece;
    resolve(w, i, space, mask, kPiece, {kind, kPiece, check::Order::kWeak, check::Scope::kGpu},
            lanes);
    std::copy(std::begin(lanes.pointer), std::end(lanes.pointer), first);
  }
}

void replace_lanes(Warp& w, const Inst& i, u32 mask) {
  u64 addresses[kWarpSize];
  u8* maps[kWarpSize] = {};
  load_addresses(w, i.a, i.flags & kAddress64 ? 8 : 4, i.imm, addresses);
  resolve_map(w, i, static_cast<Space>(i.space), mask, check::AccessKind::kStore, addresses, maps);
  const Field field = static_cast<Field>(i.flags & 0xff);
  const bool wide = field == Field::kAddress || field == Field::kStride;
  for_lanes(mask, [&](u32 l) {
    TensorMap t;
    std::memcpy(&t, maps[l], sizeof t);
    const u64 value = wide ? w.reg<u64>(i.b)[l] : w.reg<u32>(i.b)[l];
    if (t.magic != TensorMap::kMagic || !replace_field(t, field, i.target, value))
      fault(w, i, FaultKind::kHardwareRule, "lane %u: %s", l,
            t.magic != TensorMap::kMagic ? "not a tensor map (never encoded)"
                                         : "the field cannot hold this value");
    std::memcpy(maps[l], &t, sizeof t);
  });
  note_activity(w);
}

void decode_replace(Decode& d) {
  if (!d.mods.take("tile")) reject("only mode .tile is supported");
  u32 field = 0;
  while (field < std::size(kFieldNames) && !d.mods.take(kFieldNames[field])) ++field;
  if (field == std::size(kFieldNames)) reject("unknown field");
  const std::string_view type = d.mods.take_last();
  const Field f = static_cast<Field>(field);
  const bool wide = f == Field::kAddress || f == Field::kStride;
  if (type != (wide ? "b64" : "b32") || !d.mods.take("b1024")) reject("unknown type");
  d.inst.space = static_cast<u8>(take_space(d.mods));
  d.inst.flags = field;
  if (d.address(d.op(0), d.inst.a) == 8) d.inst.flags |= kAddress64;
  const bool has_ordinal = f == Field::kBox || f == Field::kDimension || f == Field::kStride ||
                           f == Field::kElementStride;
  if (has_ordinal) {
    const s64 ordinal = d.immediate(1);
    if (ordinal < 0 || ordinal > 4) reject("ordinal must be 0..4");
    d.inst.target = static_cast<u32>(ordinal);
  }
  d.inst.b = d.use(has_ordinal ? 2 : 1, wide ? 8 : 4);
  d.inst.run = &replace_lanes;
}

// A warp copies the map, four bytes a lane, and makes it known to the tensor map proxy.
void copy_and_fence(Warp& w, const Inst& i, u32 mask) {
  LanePointers from, to;
  load_addresses(w, i.a, 8, 0, to.address);
  load_addresses(w, i.b, i.flags & kAddress64 ? 8 : 4, 0, from.address);
  for (u32 l = 0; l < kWarpSize; ++l) {
    from.address[l] += 4 * l;
    to.address[l] += 4 * l;
  }
  resolve(w, i, Space::kShared, mask, 4,
          {check::AccessKind::kLoad, 4, check::Order::kWeak, check::Scope::kGpu}, from);
  resolve(w, i, Space::kGlobal, mask, 4,
          {check::AccessKind::kStore, 4, check::Order::kWeak, check::Scope::kGpu}, to);
  for_lanes(mask, [&](u32 l) { std::memcpy(to.pointer[l], from.pointer[l], 4); });
  note_activity(w);
  if (auto* o = observer_of(w)) {
    o->warp_sync(event_of(w, i, mask));  // the copy is one operation of the warp
    check::Fence f;
    f.kind = check::FenceKind::kTensormapRelease;
    f.order = check::Order::kRelease;
    f.scope = static_cast<check::Scope>(i.target);
    o->fence(event_of(w, i, mask), f);
  }
}

void decode_copy_fence(Decode& d) {
  const bool known = d.mods.take("global") && d.mods.take("shared::cta") &&
                     d.mods.take("tensormap::generic") && d.mods.take("release");
  d.inst.target = static_cast<u32>(take_scope(d.mods, check::Scope::kGpu));
  if (!known || !d.mods.take("sync") || !d.mods.take("aligned")) reject("unknown form");
  if (d.address(d.op(0), d.inst.a) != 8 || d.inst.imm) reject("needs a plain 64-bit address");
  if (d.address(d.op(1), d.inst.b) == 8) d.inst.flags |= kAddress64;
  if (d.inst.imm) reject("needs a plain address");
  if (d.immediate(2) != kMapBytes) reject("the size must be 128");
  d.inst.flow = Flow::kConverged;
  d.inst.run = &copy_and_fence;
}

void decode_tensormap(Decode& d) {
  if (d.mods.take("replace")) return decode_replace(d);
  if (d.mods.take("cp_fenceproxy")) return decode_copy_fence(d);
  reject("unknown form");
}

}  // namespace

void add_tensormap(Registry& r) { r.family("tensormap", &decode_tensormap); }

}  // namespace emulator::isa
