#include "cpu/shared_item.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace flash_kda::cpu {
namespace {

constexpr std::int64_t kBlock = 128;

// Stands for a block of a head: not atomic, so that ThreadSanitizer sees whether taking a head
// orders one thread's block after another's.
struct Work {
  std::int64_t length;
  std::vector<std::vector<std::int64_t>> blocks;
};

void run_blocks(SharedItem& shared, Work& work) {
  for (int h = shared.take(); h >= 0; h = shared.take()) {
    HeadProgress& head = shared.head(h);
    const std::int64_t begin = head.next_token.load();
    const std::int64_t end = std::min(begin + kBlock, work.length);
    work.blocks[static_cast<std::size_t>(h)].push_back(begin);
    head.next_token.store(end);
    head.step.store(end == work.length ? HeadStep::kDone : HeadStep::kRunning);
    shared.give_back(h);
  }
}

Work open(SharedItem& shared, int heads, std::int64_t length) {
  WorkItem item;
  item.num_heads = heads;
  shared.open(item, nullptr);
  return {length, std::vector<std::vector<std::int64_t>>(static_cast<std::size_t>(heads))};
}

TEST(SharedItem, AloneTakesTheHeadsInTurns) {
  SharedItem shared;
  Work work = open(shared, 3, 2 * kBlock);
  std::vector<int> order;
  for (int h = shared.take(); h >= 0; h = shared.take()) {
    order.push_back(h);
    HeadProgress& head = shared.head(h);
    head.next_token.store(head.next_token.load() + kBlock);
    if (head.next_token.load() == work.length) head.step.store(HeadStep::kDone);
    shared.give_back(h);
  }
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 0, 1, 2}));
}

TEST(SharedItem, ManyThreadsDoEveryBlockOnceAndInOrder) {
  for (const int heads : {1, 2, 5, kMaxHeadsPerItem}) {
    for (const std::int64_t length : {std::int64_t{0}, std::int64_t{1}, 9 * kBlock + 7}) {
      SharedItem shared;
      Work work = open(shared, heads, length);
      std::vector<std::thread> threads;
      for (int i = 0; i < 3; ++i) threads.emplace_back([&] { run_blocks(shared, work); });
      run_blocks(shared, work);
      for (std::thread& thread : threads) thread.join();
      for (const std::vector<std::int64_t>& blocks : work.blocks) {
        ASSERT_EQ(static_cast<std::int64_t>(blocks.size()),
                  std::max<std::int64_t>(1, (length + kBlock - 1) / kBlock));
        for (std::size_t i = 0; i < blocks.size(); ++i) {
          EXPECT_EQ(blocks[i], static_cast<std::int64_t>(i) * kBlock);
        }
      }
    }
  }
}

}  // namespace
}  // namespace flash_kda::cpu
