#include "apps/common/table.hpp"

#include <gtest/gtest.h>

#include "apps/common/timing.hpp"

namespace flash_kda::apps {
namespace {

TEST(Table, AlignsColumns) {
  Table table({{"name"}, {"ms", Align::kRight}});
  table.add_row({"a", "1.5"});
  table.add_row({"longer", "12.25"});
  EXPECT_EQ(table.to_string(),
            "name       ms\n"
            "------  -----\n"
            "a         1.5\n"
            "longer  12.25\n");
}

TEST(Cell, ShowsJsonValues) {
  EXPECT_EQ(cell(Json("word")), "word");
  EXPECT_EQ(cell(Json(nullptr)), "-");
  EXPECT_EQ(cell(Json(nullptr), "{:.1f}"), "-");
  EXPECT_EQ(cell(Json(1.26), "{:.1f}"), "1.3");
  EXPECT_EQ(cell(Json({1, 2})), "[1,2]");
}

TEST(Dump, ReplacesWhatIsNoUtf8) { EXPECT_EQ(dump(Json("\xff")), "\"\xef\xbf\xbd\"\n"); }

TEST(Quantiles, LieBetweenOrderStatistics) {
  const Quantiles of_one = quantiles({3.0});
  EXPECT_EQ(of_one.p10, 3.0);
  EXPECT_EQ(of_one.p90, 3.0);
  const Quantiles q = quantiles({5, 1, 4, 2, 3, 6, 11, 7, 10, 9, 8});  // 1 to 11
  EXPECT_DOUBLE_EQ(q.p10, 2.0);
  EXPECT_DOUBLE_EQ(q.median, 6.0);
  EXPECT_DOUBLE_EQ(q.p90, 10.0);
  EXPECT_DOUBLE_EQ(quantile({1, 2}, 0.5), 1.5);
}

}  // namespace
}  // namespace flash_kda::apps
