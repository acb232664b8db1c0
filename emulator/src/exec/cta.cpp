#include "exec/cta.hpp"

#include "check/observer.hpp"
#include "exec/async.hpp"
#include "exec/device.hpp"
#include "exec/wgmma.hpp"

namespace emulator {

Warp::Warp() = default;
Warp::~Warp() = default;
Warp::Warp(Warp&&) noexcept = default;
Cta::Cta() = default;
Cta::~Cta() = default;

namespace {

u8* aligned(std::vector<u8>& store, size_t bytes, size_t alignment) {
  store.resize(bytes + alignment);
  const u64 at = align_up(reinterpret_cast<u64>(store.data()), alignment);
  return reinterpret_cast<u8*>(at);
}

u64 special_value(const Cta& cta, u32 warp, u32 lane, Special s) {
  const Grid& g = *cta.grid;
  const Cluster& c = *cta.cluster;
  const u32 thread = warp * kWarpSize + lane;
  const u32 *b = g.block_dim, *cd = g.cluster_dim;
  auto in_cluster = [&](u32 d) { return cta.id[d] % cd[d]; };
  switch (s) {
    case Special::kTidX:
      return thread % b[0];
    case Special::kTidY:
      return thread / b[0] % b[1];
    case Special::kTidZ:
      return thread / b[0] / b[1];
    case Special::kNtidX:
      return b[0];
    case Special::kNtidY:
      return b[1];
    case Special::kNtidZ:
      return b[2];
    case Special::kCtaidX:
      return cta.id[0];
    case Special::kCtaidY:
      return cta.id[1];
    case Special::kCtaidZ:
      return cta.id[2];
    case Special::kNctaidX:
      return g.grid_dim[0];
    case Special::kNctaidY:
      return g.grid_dim[1];
    case Special::kNctaidZ:
      return g.grid_dim[2];
    case Special::kLaneid:
      return lane;
    case Special::kWarpid:
      return warp;
    case Special::kNwarpid:
      return device().threads_per_sm / kWarpSize;
    case Special::kSmid:
      return cta.smid;
    case Special::kNsmid:
      return device().sms;
    case Special::kGridid:
      return g.grid_id;
    case Special::kLanemaskEq:
      return 1u << lane;
    case Special::kLanemaskLt:
      return (1u << lane) - 1;
    case Special::kLanemaskLe:
      return (2u << lane) - 1;
    case Special::kLanemaskGt:
      return ~((2u << lane) - 1);
    case Special::kLanemaskGe:
      return ~((1u << lane) - 1);
    case Special::kClusteridX:
      return c.id[0];
    case Special::kClusteridY:
      return c.id[1];
    case Special::kClusteridZ:
      return c.id[2];
    case Special::kNclusteridX:
      return g.grid_dim[0] / cd[0];
    case Special::kNclusteridY:
      return g.grid_dim[1] / cd[1];
    case Special::kNclusteridZ:
      return g.grid_dim[2] / cd[2];
    case Special::kClusterCtaidX:
      return in_cluster(0);
    case Special::kClusterCtaidY:
      return in_cluster(1);
    case Special::kClusterCtaidZ:
      return in_cluster(2);
    case Special::kClusterNctaidX:
      return cd[0];
    case Special::kClusterNctaidY:
      return cd[1];
    case Special::kClusterNctaidZ:
      return cd[2];
    case Special::kClusterCtarank:
      return cta.rank;
    case Special::kClusterNctarank:
      return cd[0] * cd[1] * cd[2];
    case Special::kEnvreg1:
      return g.workspace >> 32;
    case Special::kEnvreg2:
      return static_cast<u32>(g.workspace);
    case Special::kDynamicSmemSize:
      return g.dynamic_shared;
    case Special::kTotalSmemSize:
      return cta.shared_bytes - kSharedReserved;
    case Special::kAggrSmemSize:
      return cta.shared_bytes;
    case Special::kReservedSmemOffsetEnd:
      return kSharedReserved;
    case Special::kReservedSmemOffsetCap:
      return kSharedReserved;
    default:
      return 0;
  }
}

void fill_specials(Warp& w) {
  for (const SpecialRegister& s : w.kernel->specials) {
    if (s.size == 0) {
      w.predicate(s.offset) = w.cta->grid->explicit_cluster ? kAllLanes : 0;
      continue;
    }
    for (u32 l = 0; l < kWarpSize; ++l) {
      const u64 v = special_value(*w.cta, w.id, l, s.kind);
      std::memcpy(w.regs + s.offset + size_t{l} * s.size, &v, s.size);
    }
  }
}

void fill_constants(Warp& w) {
  const Kernel& k = *w.kernel;
  std::memcpy(w.regs, k.register_template.data(), k.register_template.size());
  if (w.shared_base)
    for (const auto& c : k.shared_constants)
      for (u32 l = 0; l < kWarpSize; ++l) {
        u64 v = 0;
        u8* at = w.regs + c.offset + size_t{l} * c.size;
        std::memcpy(&v, at, c.size);
        v += w.shared_base;
        std::memcpy(at, &v, c.size);
      }
  const u64 params = reinterpret_cast<u64>(w.cta->grid->params);
  for (auto [offset, value] : k.param_constants)
    for (u32 l = 0; l < kWarpSize; ++l) w.reg<u64>(offset)[l] = params + value;
}

// Of a thread at the start of a kernel that moves registers between its warps: what ptxas allots
// under the kernel's bounds. 0: no bounds, unknown.
u32 initial_registers(const Kernel& k) {
  const LaunchBounds& b = k.bounds;
  if (b.max_registers) return b.max_registers;
  const u32* block = b.required_threads[0] ? b.required_threads : b.max_threads;
  const u32 threads = block[0] * std::max(1u, block[1]) * std::max(1u, block[2]);
  if (!threads) return 0;
  const u32 ctas = std::max(1u, b.min_ctas);
  return std::min(device().registers_per_sm / (threads * ctas), 255u) & ~7u;
}

void make_warp(Cta& cta, u32 id) {
  Warp& w = cta.warps[id];
  w.cta = &cta;
  w.kernel = cta.kernel;
  w.id = id;
  const u32 lanes = std::min(kWarpSize, cta.threads - id * kWarpSize);
  w.live = lanes == kWarpSize ? kAllLanes : (1u << lanes) - 1;
  w.shared = cta.shared;
  w.shared_base = cta.rank << kSharedRankShift;
  w.shared_limit = cta.shared_bytes;
  w.regs = aligned(w.register_store, cta.kernel->register_bytes, 64);
  if (cta.kernel->local_bytes) {
    w.local = aligned(w.local_store, size_t{kWarpSize} * cta.kernel->local_bytes, 64);
    std::memset(w.local, 0xff, size_t{kWarpSize} * cta.kernel->local_bytes);
  }
  fill_constants(w);
  fill_specials(w);
  w.clock_base = cta.cluster->round;
  w.registers = initial_registers(*cta.kernel);
  Group all;
  all.mask = w.live;
  w.groups.push_back(all);
}

std::unique_ptr<Cta> make_cta(Grid& g, Cluster& cluster, u32 rank) {
  auto cta = std::make_unique<Cta>();
  cta->cluster = &cluster;
  cta->grid = &g;
  cta->kernel = g.kernel;
  cta->rank = rank;
  const u32* cd = g.cluster_dim;
  const u32 in[3] = {rank % cd[0], rank / cd[0] % cd[1], rank / cd[0] / cd[1]};
  for (u32 d = 0; d < 3; ++d) cta->id[d] = cluster.id[d] * cd[d] + in[d];
  cta->linear_id = cta->id[0] + g.grid_dim[0] * (cta->id[1] + g.grid_dim[1] * cta->id[2]);
  cta->smid = cta->linear_id % device().sms;
  cta->threads = g.block_dim[0] * g.block_dim[1] * g.block_dim[2];
  cta->shared_bytes =
      static_cast<u32>(align_up(g.kernel->dynamic_shared_offset + g.dynamic_shared, 16));
  cta->shared = aligned(cta->shared_store, cta->shared_bytes, 1024);
  std::memset(cta->shared, 0xff, cta->shared_bytes);
  if (g.observer) cta->observer = g.observer->cta_begin(cta->linear_id);
  cta->warps.resize((cta->threads + kWarpSize - 1) / kWarpSize);
  for (u32 k = 0; k < cta->warps.size(); ++k) make_warp(*cta, k);
  return cta;
}

}  // namespace

std::unique_ptr<Cluster> make_cluster(Grid& g, u64 index) {
  auto c = std::make_unique<Cluster>();
  c->grid = &g;
  c->random = Random(options().seed * 0x1000003 + index * 7919 + g.grid_id);
  u64 rest = index;
  for (u32 d = 0; d < 3; ++d) {
    c->dim[d] = g.cluster_dim[d];
    const u32 n = g.grid_dim[d] / g.cluster_dim[d];
    c->id[d] = static_cast<u32>(rest % n);
    rest /= n;
  }
  const u32 ranks = c->dim[0] * c->dim[1] * c->dim[2];
  for (u32 r = 0; r < ranks; ++r) c->ctas.push_back(make_cta(g, *c, r));
  return c;
}

}  // namespace emulator
