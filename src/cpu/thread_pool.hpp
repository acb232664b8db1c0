// Threads that stay between calls. One pool serves the process; it grows to the largest team that
// was asked for, and starts no thread after that.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace flash_kda::cpu {

// Threads that the process may run on: its affinity mask.
int available_threads();

class ThreadPool {
 public:
  using Work = void (*)(void* context, int worker);

  static ThreadPool& instance();
  ThreadPool() = default;
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // Calls work(context, i) once for every i in [0, team) and returns when all have; the caller is
  // worker 0. The team has at most `threads` members: fewer when no thread can be started, and only
  // the caller when another thread is using the pool at this moment. So `work` must share what
  // there is to do by a counter, not by its number.
  void run(int threads, Work work, void* context);

 private:
  void grow(int workers);
  void worker_loop(int index, std::uint32_t seen);
  void stop();

  std::mutex in_use_;
  std::vector<std::thread> workers_;
  int owner_pid_ = 0;  // a forked child has none of its parent's threads
  // The job. Written by the caller before generation_ rises; all workers answer to every job, so
  // that none can still be reading when the next is written.
  Work work_ = nullptr;
  void* context_ = nullptr;
  int team_ = 0;
  bool stopping_ = false;
  std::atomic<std::uint32_t> generation_{0};
  std::atomic<int> unanswered_{0};
};

}  // namespace flash_kda::cpu
