#include "cpu/thread_pool.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <system_error>

namespace flash_kda::cpu {
namespace {

// About 20 us: calls that follow each other closely find their workers awake (a futex wake costs
// 5 to 50 us), and an idle process does not burn a core.
constexpr int kSpins = 2000;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Returns when `value` is no longer `old`.
template <typename T>
void wait_while_equal(const std::atomic<T>& value, T old) {
  for (int i = 0; i < kSpins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    pause();
  }
  value.wait(old, std::memory_order_acquire);
}

}  // namespace

int available_threads() {
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof(mask), &mask) == 0) return std::max(1, CPU_COUNT(&mask));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

ThreadPool& ThreadPool::instance() {
  static ThreadPool pool;
  return pool;
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() {
  if (owner_pid_ == getpid()) {
    stopping_ = true;
    generation_.fetch_add(1, std::memory_order_release);
    generation_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  } else {
    for (std::thread& worker : workers_) worker.detach();
  }
  workers_.clear();
}

void ThreadPool::grow(int workers) {
  if (owner_pid_ != getpid()) {
    for (std::thread& worker : workers_) worker.detach();
    workers_.clear();
    owner_pid_ = getpid();
  }
  while (static_cast<int>(workers_.size()) < workers) {
    const int index = static_cast<int>(workers_.size()) + 1;
    const std::uint32_t seen = generation_.load(std::memory_order_relaxed);
    try {
      workers_.emplace_back([this, index, seen] { worker_loop(index, seen); });
    } catch (const std::system_error&) {
      return;  // the machine gives no more threads; fewer do the same work
    }
  }
}

void ThreadPool::worker_loop(int index, std::uint32_t seen) {
  for (;;) {
    wait_while_equal(generation_, seen);
    seen = generation_.load(std::memory_order_acquire);
    if (stopping_) return;
    if (index < team_) work_(context_, index);
    if (unanswered_.fetch_sub(1, std::memory_order_acq_rel) == 1) unanswered_.notify_one();
  }
}

void ThreadPool::run(int threads, Work work, void* context) {
  const std::unique_lock<std::mutex> lock(in_use_, std::try_to_lock);
  if (threads <= 1 || !lock.owns_lock()) {
    work(context, 0);
    return;
  }
  grow(threads - 1);
  work_ = work;
  context_ = context;
  team_ = threads;
  unanswered_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  work(context, 0);
  for (int left = unanswered_.load(std::memory_order_acquire); left != 0;
       left = unanswered_.load(std::memory_order_acquire)) {
    wait_while_equal(unanswered_, left);
  }
}

}  // namespace flash_kda::cpu
