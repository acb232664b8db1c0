#include "check/cta_checker.hpp"

namespace emulator::check {

void LaunchRecord::locate(u32 cta, u32& cluster_index, u32& rank) const {
  const u32 x = cta % grid.x, y = cta / grid.x % grid.y, z = cta / grid.x / grid.y;
  const u32 clusters_x = grid.x / cluster.x, clusters_y = grid.y / cluster.y;
  cluster_index = x / cluster.x + clusters_x * (y / cluster.y + clusters_y * (z / cluster.z));
  rank = x % cluster.x + cluster.x * (y % cluster.y + cluster.y * (z % cluster.z));
}

Dim3 LaunchRecord::cta_of(u32 cluster_index, u32 rank) const {
  const u32 clusters_x = std::max(1u, grid.x / cluster.x);
  const u32 clusters_y = std::max(1u, grid.y / cluster.y);
  return {cluster_index % clusters_x * cluster.x + rank % cluster.x,
          cluster_index / clusters_x % clusters_y * cluster.y + rank / cluster.x % cluster.y,
          cluster_index / clusters_x / clusters_y * cluster.z + rank / cluster.x / cluster.y};
}

ThreadPlace LaunchRecord::thread(Dim3 cta, u32 warp, u32 lane) const {
  const u32 t = warp * kLanes + lane;
  return {cta, {t % block.x, t / block.x % block.y, t / block.x / block.y}};
}

void Knowledge::join(const Knowledge& other) {
  ordered.join(other.ordered);
  fenced.join(other.fenced);
  join_initialised(other.initialised);
}

void Knowledge::join_initialised(const std::shared_ptr<const VectorClock>& other) {
  if (!other || other == initialised) return;
  if (!initialised) {
    initialised = other;
    return;
  }
  auto joined = std::make_shared<VectorClock>(*initialised);
  joined->join(*other);
  initialised = std::move(joined);
}

LaunchChecker::LaunchChecker(Checker& checker, LaunchRecord record, LaunchRecord previous,
                             u32 settled)
    : checker(checker),
      record(std::move(record)),
      previous(std::move(previous)),
      settled(settled) {}

std::unique_ptr<CtaObserver> LaunchChecker::cta_begin(uint32_t cta) {
  u32 index, rank;
  record.locate(cta, index, rank);
  std::shared_ptr<ClusterState> cluster;
  {
    std::lock_guard lock(mutex_);
    std::shared_ptr<ClusterState>& slot = clusters_[index];
    if (!slot) {
      slot = std::make_shared<ClusterState>();
      slot->index = index;
      slot->span = record.span();
      slot->first_actor = record.first_actor + index * record.span();
      slot->ctas.resize(record.cluster_ctas());
    }
    cluster = slot;
    ShadowTable table = checker.take_table(shared_bytes);
    const u32 actors = record.layout.per_cta;
    table.rows.begin(cluster->first_actor + rank * actors, actors, table.size());
    cluster->ctas[rank] = std::make_unique<CtaState>(std::move(table));
    ++cluster->running;
  }
  return std::make_unique<CtaChecker>(*this, std::move(cluster), rank, cta);
}

void LaunchChecker::cta_ended(ClusterState& cluster) {
  std::lock_guard lock(mutex_);
  if (--cluster.running) return;
  for (auto& cta : cluster.ctas)
    if (cta) checker.give_table(std::move(cta->shadow));
  clusters_.erase(cluster.index);
}

void LaunchChecker::end() {}

ShadowTable Checker::take_table(u32 bytes) {
  std::unique_lock lock(mutex_);
  if (spare_tables_.empty()) return ShadowTable(bytes);
  ShadowTable table = std::move(spare_tables_.back());
  spare_tables_.pop_back();
  lock.unlock();
  table.reset(bytes);
  return table;
}

void Checker::give_table(ShadowTable table) {
  std::lock_guard lock(mutex_);
  if (spare_tables_.size() < 64) spare_tables_.push_back(std::move(table));
}

std::unique_ptr<LaunchObserver> Checker::launch_begin(const LaunchInfo& info) {
  std::lock_guard lock(mutex_);
  LaunchRecord record;
  record.kernel = info.kernel;
  record.grid = info.grid;
  record.block = info.block;
  record.cluster = info.cluster;
  record.layout = ActorLayout(info.block.x * info.block.y * info.block.z);
  const u64 actors = u64{record.ctas()} * record.layout.per_cta;
  const bool wraps = next_actor_ + actors > ~u32{0};
  if (wraps) {
    global.forget_accesses();
    next_actor_ = 1;
    last_ = LaunchRecord();
  }
  record.first_actor = next_actor_;
  next_actor_ += static_cast<u32>(actors);
  record.end_actor = next_actor_;
  const bool overlaps =
      info.predecessor == LaunchInfo::Predecessor::kMayOverlap && last_.end_actor != 0;
  const u32 settled = overlaps ? last_.first_actor : record.first_actor;
  auto launch = std::make_unique<LaunchChecker>(*this, record, last_, settled);
  launch->shared_bytes = info.shared_bytes;
  last_ = record;
  return launch;
}

void Checker::allocated(uint64_t address, uint64_t bytes, Contents contents) {
  global.allocated(address, bytes, contents == Contents::kDefined);
}

void Checker::freed(uint64_t address) { global.freed(address); }

void Checker::host_wrote(uint64_t address, uint64_t bytes) { global.define(address, bytes, true); }

void Checker::device_copied(uint64_t to, uint64_t from, uint64_t bytes) {
  global.copy_defined(to, from, bytes);
}

std::unique_ptr<Observer> make_checker(const CheckerOptions& options, const SiteTable& sites) {
  return std::make_unique<Checker>(options, sites);
}

}  // namespace emulator::check
