#include "apps/flash-kda/svg.hpp"

#include <gmock/gmock.h>

namespace flash_kda::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Axis, MapsValuesToPixels) {
  const Axis linear(Scale::kLinear, 0, 10, 100, 200);
  EXPECT_DOUBLE_EQ(linear.pixel(5), 150);
  const Axis logarithmic(Scale::kLog, 1, 100, 400, 200);  // grows upwards
  EXPECT_DOUBLE_EQ(logarithmic.pixel(10), 300);
}

TEST(Axis, TicksAreRound) {
  EXPECT_THAT(Axis(Scale::kLinear, 0, 10, 0, 1).ticks(), ElementsAre(0, 2, 4, 6, 8, 10));
  EXPECT_THAT(Axis(Scale::kLog, 1, 100, 0, 1).ticks(), ElementsAre(1, 2, 5, 10, 20, 50, 100));
  EXPECT_THAT(Axis(Scale::kLog, 1, 1e5, 0, 1).ticks(), ElementsAre(1, 10, 100, 1e3, 1e4, 1e5));
}

TEST(Svg, EscapesText) {
  Svg svg(10, 10);
  svg.text({1, 2}, "a < b & c\n");
  EXPECT_THAT(svg.document(), HasSubstr("a &lt; b &amp; c</text>"));
}

TEST(TickLabel, IsShort) {
  EXPECT_EQ(tick_label(0.5), "0.5");
  EXPECT_EQ(tick_label(2000), "2000");
  EXPECT_EQ(tick_label(50000), "50k");
  EXPECT_EQ(tick_label(2e6), "2M");
}

}  // namespace
}  // namespace flash_kda::cli
