#include "exec/async.hpp"

#include <algorithm>

namespace emulator {
namespace {

u64 delay(Cluster& c) { return options().async_delay ? c.random.below(options().async_delay) : 0; }

void step(Cta& cta, AsyncOp& op) {
  if (!op.source_read) {
    op.source_read = true;
    op.read_source(cta);
    if (op.kind == AsyncOp::Kind::kBulkStore) {
      op.ready = cta.cluster->round + delay(*cta.cluster);
      if (op.ready > cta.cluster->round) return;
    }
  }
  op.done = true;
  op.finish(cta);
  cta.cluster->activity = true;
}

// cp.async.mbarrier.arrive waits for the thread's earlier copies.
bool blocked(const Cta& cta, size_t index) {
  const AsyncOp& op = *cta.pending[index];
  if (op.kind != AsyncOp::Kind::kCopyArrive) return false;
  for (size_t k = 0; k < index; ++k) {
    const AsyncOp& other = *cta.pending[k];
    if (!other.done && other.kind == AsyncOp::Kind::kCopy && other.warp == op.warp &&
        (other.mask & op.mask))
      return true;
  }
  return false;
}

void sweep(Cta& cta) {
  std::erase_if(cta.pending, [](const auto& op) { return op->done; });
}

}  // namespace

void enqueue(Warp& w, const Inst& i, std::unique_ptr<AsyncOp> op) {
  Cluster& c = *w.cta->cluster;
  op->warp = w.id;
  op->inst = &i;
  op->ready = c.round + delay(c);
  w.cta->pending.push_back(std::move(op));
  c.activity = true;
}

bool pump(Cta& cta) {
  bool any = false;
  for (size_t k = 0; k < cta.pending.size(); ++k) {
    AsyncOp& op = *cta.pending[k];
    if (op.done || op.ready > cta.cluster->round || blocked(cta, k)) continue;
    step(cta, op);
    any = true;
  }
  if (any) sweep(cta);
  return any;
}

bool force_one(Cluster& cluster) {
  std::vector<std::pair<Cta*, size_t>> ready;
  for (auto& cta : cluster.ctas)
    for (size_t k = 0; k < cta->pending.size(); ++k)
      if (!blocked(*cta, k)) ready.push_back({cta.get(), k});
  if (ready.empty()) return false;
  auto [cta, index] = ready[cluster.random.below(ready.size())];
  step(*cta, *cta->pending[index]);
  sweep(*cta);
  return true;
}

void drain(Cta& cta) {
  while (!cta.pending.empty()) {
    for (size_t k = 0; k < cta.pending.size(); ++k)
      if (!blocked(cta, k)) step(cta, *cta.pending[k]);
    sweep(cta);
  }
}

}  // namespace emulator
