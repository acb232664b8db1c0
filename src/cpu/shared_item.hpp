// A work item that several threads can finish together. Its owner walks all heads; threads that
// find no item left join in and take heads block by block, so that a call ends when the work ends
// and not when its slowest core does (cores share caches and hosts: 5 to 15 % between equal
// halves).
#pragma once

#include <atomic>
#include <cstdint>

#include "cpu/split.hpp"

namespace flash_kda::cpu {

enum class HeadStep { kUnstarted, kRunning, kDone };

// Written only by the thread that holds `busy`; the others may look before they try to take it.
struct HeadProgress {
  std::atomic<bool> busy{false};
  std::atomic<std::int64_t> next_token{0};
  std::atomic<HeadStep> step{HeadStep::kUnstarted};
};

class alignas(64) SharedItem {
 public:
  // The owner's. `states` is [heads, panels, K_pad, W] of the owner's workspace.
  void open(const WorkItem& item, float* states) {
    item_ = item;
    states_ = states;
    for (int h = 0; h < item.num_heads; ++h) {
      heads_[h].next_token.store(0, std::memory_order_relaxed);
      heads_[h].step.store(HeadStep::kUnstarted, std::memory_order_relaxed);
    }
    open_.store(true, std::memory_order_release);
  }
  // Before the owner asks for its next item. Helpers come only once no item is left to ask for, so
  // an item that is not its owner's last is never shared.
  void close() { open_.store(false, std::memory_order_relaxed); }

  bool is_open() const { return open_.load(std::memory_order_acquire); }
  const WorkItem& item() const { return item_; }
  float* states() const { return states_; }
  HeadProgress& head(int h) { return heads_[h]; }

  // Takes the head that is furthest behind and free, or returns -1. Alone, a thread so takes the
  // heads in turns.
  int take() {
    for (;;) {
      int best = -1;
      std::int64_t best_token = 0;
      for (int h = 0; h < item_.num_heads; ++h) {
        const HeadProgress& head = heads_[h];
        if (head.busy.load(std::memory_order_relaxed)) continue;
        if (head.step.load(std::memory_order_relaxed) == HeadStep::kDone) continue;
        const std::int64_t token = head.next_token.load(std::memory_order_relaxed);
        if (best >= 0 && token >= best_token) continue;
        best = h;
        best_token = token;
      }
      if (best < 0) return -1;
      if (heads_[best].busy.exchange(true, std::memory_order_acquire)) continue;
      if (heads_[best].step.load(std::memory_order_relaxed) != HeadStep::kDone) return best;
      give_back(best);
    }
  }
  void give_back(int h) { heads_[h].busy.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> open_{false};
  WorkItem item_;
  float* states_ = nullptr;
  HeadProgress heads_[kMaxHeadsPerItem];
};

}  // namespace flash_kda::cpu
