// The split into work items covers every (sequence, head, column) once, and its memory is bounded.
#include "cpu/split.hpp"

#include <gtest/gtest.h>

#include <map>
#include <tuple>

namespace flash_kda::cpu {
namespace {

Problem problem_of(std::int64_t batch, std::int64_t heads, std::int64_t dim) {
  Problem problem;
  problem.batch = batch;
  problem.tokens = 64;
  problem.qk_heads = problem.v_heads = heads;
  problem.head_dim_k = problem.head_dim_v = dim;
  return problem;
}

TEST(WorkSplit, CoversEverythingOnce) {
  for (const std::int64_t batch : {1, 3}) {
    for (const std::int64_t heads : {1, 2, 3, 8, 13, 64}) {
      for (const std::int64_t dim : {16, 64, 80, 128, 256}) {
        for (const int threads : {1, 2, 7, 64}) {
          for (const Algorithm algorithm : {Algorithm::kRecurrent, Algorithm::kChunked}) {
            const Problem p = problem_of(batch, heads, dim);
            const WorkSplit split = choose_split(p, algorithm, threads);
            std::map<std::tuple<std::int64_t, int, int>, int> seen;
            for (std::int64_t i = 0; i < split.items; ++i) {
              const WorkItem item = work_item(p, split, i);
              EXPECT_LE(item.num_heads, split.heads_per_item);
              EXPECT_LE(item.num_columns, split.v_columns);
              EXPECT_GT(item.num_columns, 0);
              for (int h = 0; h < item.num_heads; ++h) {
                for (int c = 0; c < item.num_columns; ++c) {
                  ++seen[{item.sequence, item.first_head + h, item.first_column + c}];
                }
              }
            }
            EXPECT_EQ(seen.size(), static_cast<std::size_t>(batch * heads * dim));
            for (const auto& [place, count] : seen) EXPECT_EQ(count, 1);
          }
        }
      }
    }
  }
}

TEST(WorkSplit, FewHeadsFillTheCoresThroughValueColumns) {
  EXPECT_GE(choose_split(problem_of(1, 1, 128), Algorithm::kChunked, 4).items, 4);
  EXPECT_EQ(choose_split(problem_of(1, 8, 128), Algorithm::kChunked, 2).v_splits, 1);
}

TEST(WorkSplit, AThreadNeedsAtMostTwoMebibytes) {
  for (const std::int64_t dim : {16, 64, 128, 256}) {
    for (const std::int64_t heads : {1, 8, 96}) {
      for (const int threads : {1, 2, 64}) {
        for (const Algorithm algorithm : {Algorithm::kRecurrent, Algorithm::kChunked}) {
          const Problem p = problem_of(1, heads, dim);
          const WorkSplit split = choose_split(p, algorithm, threads);
          EXPECT_LE(thread_bytes(p, split, algorithm, sizeof(float)), std::size_t{2} << 20);
        }
      }
    }
  }
}

}  // namespace
}  // namespace flash_kda::cpu
