// ldmatrix, stmatrix, movmatrix: 8x8 tiles of 16-bit elements.
#include "exec/access.hpp"
#include "isa/handlers.hpp"
#include "isa/lanes.hpp"
#include "isa/memory_order.hpp"

namespace emulator::isa {
namespace {

constexpr u32 kTranspose = 1, kAddress64 = 2;

// Lanes 0..8n-1 supply the addresses of the rows.
void find_rows(Warp& w, const Inst& i, check::AccessKind kind, LanePointers& rows) {
  const u32 count = 8 * i.op_count;
  const u32 mask = count == 32 ? kAllLanes : (1u << count) - 1;
  load_addresses(w, i.a, i.flags & kAddress64 ? 8 : 4, i.imm, rows.address);
  resolve(w, i, static_cast<Space>(i.space), mask, 16,
          {kind, 16, check::Order::kWeak, check::Scope::kGpu}, rows);
}

void ldmatrix(Warp& w, const Inst& i, u32) {
  LanePointers rows;
  find_rows(w, i, check::AccessKind::kLoad, rows);
  u16 tile[4][8][8];
  for (u32 r = 0; r < 8 * i.op_count; ++r) std::memcpy(tile[r / 8][r % 8], rows.pointer[r], 16);
  for (u32 k = 0; k < i.op_count; ++k) {
    u32* d = w.reg<u32>(i.ops[k]);
    if (!(i.flags & kTranspose)) {
      std::memcpy(d, tile[k], 128);
      continue;
    }
    for (u32 l = 0; l < kWarpSize; ++l)
      d[l] = tile[k][2 * (l % 4)][l / 4] | static_cast<u32>(tile[k][2 * (l % 4) + 1][l / 4]) << 16;
  }
}

void stmatrix(Warp& w, const Inst& i, u32) {
  LanePointers rows;
  find_rows(w, i, check::AccessKind::kStore, rows);
  note_activity(w);
  for (u32 k = 0; k < i.op_count; ++k) {
    const u32* s = w.reg<u32>(i.ops[k]);
    u16 tile[8][8];
    if (!(i.flags & kTranspose)) {
      std::memcpy(tile, s, 128);
    } else {
      for (u32 l = 0; l < kWarpSize; ++l) {
        tile[2 * (l % 4)][l / 4] = static_cast<u16>(s[l]);
        tile[2 * (l % 4) + 1][l / 4] = static_cast<u16>(s[l] >> 16);
      }
    }
    for (u32 r = 0; r < 8; ++r) std::memcpy(rows.pointer[8 * k + r], tile[r], 16);
  }
}

void movmatrix(Warp& w, const Inst& i, u32) {
  u16 from[8][8], to[8][8];
  std::memcpy(from, w.reg<u32>(i.a), 128);
  for (u32 r = 0; r < 8; ++r)
    for (u32 c = 0; c < 8; ++c) to[c][r] = from[r][c];
  std::memcpy(w.reg<u32>(i.d), to, 128);
}

void take_shape(Decode& d) {
  d.inst.flow = Flow::kConverged;
  if (!d.mods.take("sync") || !d.mods.take("aligned")) reject("needs .sync.aligned");
  if (!d.mods.take("m8n8") || d.mods.take_last() != "b16") reject("only .m8n8 .b16 is supported");
}

u32 take_count(Decode& d) {
  const std::string_view n = d.mods.take_one_of({"x1", "x2", "x4"});
  if (n.empty()) reject("needs .x1, .x2 or .x4");
  return static_cast<u32>(n[1] - '0');
}

void decode_matrix_memory(Decode& d, bool load) {
  take_shape(d);
  const u32 count = take_count(d);
  if (d.mods.take("trans")) d.inst.flags |= kTranspose;
  d.inst.space = static_cast<u8>(take_space(d.mods));
  if (d.address(d.op(load ? 1 : 0), d.inst.a) == 8) d.inst.flags |= kAddress64;
  std::vector<u32> list = load ? d.def_list(d.op(0), 4) : d.use_list(d.op(1), 4);
  if (list.size() != count) reject("wrong number of registers");
  d.set_ops(std::move(list));
  d.inst.run = load ? &ldmatrix : &stmatrix;
}

void decode_ldmatrix(Decode& d) { decode_matrix_memory(d, true); }
void decode_stmatrix(Decode& d) { decode_matrix_memory(d, false); }

void decode_movmatrix(Decode& d) {
  take_shape(d);
  if (!d.mods.take("trans")) reject("needs .trans");
  d.inst.a = d.use(1, 4);
  d.inst.d = d.def(0, 4);
  d.inst.run = &movmatrix;
}

}  // namespace

void add_matrix_moves(Registry& r) {
  r.family("ldmatrix", &decode_ldmatrix);
  r.family("stmatrix", &decode_stmatrix);
  r.family("movmatrix", &decode_movmatrix);
}

}  // namespace emulator::isa
