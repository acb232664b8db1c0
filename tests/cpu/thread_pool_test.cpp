#include "cpu/thread_pool.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

namespace flash_kda::cpu {
namespace {

struct Tally {
  std::atomic<int> next{0};
  int items = 0;
  std::vector<std::atomic<int>> done;
  explicit Tally(int count) : items(count), done(static_cast<std::size_t>(count)) {}
};

void work(void* context, int) {
  Tally& tally = *static_cast<Tally*>(context);
  for (int i = tally.next++; i < tally.items; i = tally.next++) {
    tally.done[static_cast<std::size_t>(i)].fetch_add(1, std::memory_order_relaxed);
  }
}

void expect_each_once(const Tally& tally) {
  for (const std::atomic<int>& count : tally.done) EXPECT_EQ(count.load(), 1);
}

TEST(ThreadPool, DoesEveryItemOnceWhateverTheTeam) {
  ThreadPool pool;
  for (const int threads : {1, 2, 5, 3, 8, 2}) {
    for (int repeat = 0; repeat < 200; ++repeat) {
      Tally tally(17);
      pool.run(threads, work, &tally);
      expect_each_once(tally);
    }
  }
}

TEST(ThreadPool, ResultsAreVisibleToTheCallerWithoutMoreSynchronisation) {
  ThreadPool pool;
  struct Slots {
    std::atomic<int> next{0};
    int values[64] = {};
  };
  for (int repeat = 0; repeat < 200; ++repeat) {
    Slots slots;
    pool.run(
        4,
        [](void* context, int) {
          Slots& s = *static_cast<Slots*>(context);
          for (int i = s.next++; i < 64; i = s.next++) s.values[i] = i + 1;
        },
        &slots);
    for (int i = 0; i < 64; ++i) ASSERT_EQ(slots.values[i], i + 1);
  }
}

TEST(ThreadPool, CallersAtTheSameTimeBothFinish) {
  ThreadPool pool;
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c) {
    callers.emplace_back([&pool] {
      for (int repeat = 0; repeat < 200; ++repeat) {
        Tally tally(9);
        pool.run(3, work, &tally);
        expect_each_once(tally);
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
}

// A sanitizer's own threads do not survive fork, so this runs without one.
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
TEST(ThreadPool, WorksInAForkedChild) {
  ThreadPool& pool = ThreadPool::instance();
  Tally before(5);
  pool.run(3, work, &before);
  const pid_t child = fork();
  if (child == 0) {
    Tally tally(5);
    pool.run(3, work, &tally);
    _exit(tally.next.load() >= 5 ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}
#endif

}  // namespace
}  // namespace flash_kda::cpu
