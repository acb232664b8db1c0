#include <gtest/gtest.h>

#include "core/call_fixture.hpp"
#include "flash_kda/version.hpp"

namespace flash_kda {
namespace {

TEST(Names, ProblemPrintsEveryChoice) {
  EXPECT_EQ(to_string(CallFixture().problem),
            "B1 T8 N3 H2 HV4 K16 V32 bf16 g=bf16 lower-bound(-5) norm=l2 beta=bf16 logits "
            "state=dense f32 vk");
}

TEST(Names, ConfigPrintsWhatBecomesOfUnprovenChains) {
  Config config;
  EXPECT_EQ(to_string(config).find("unproven="), std::string::npos);
  config.unproven = Unproven::kTwoKernels;
  EXPECT_NE(to_string(config).find(" unproven=two-kernel "), std::string::npos);
  config.unproven = Unproven::kSplit;
  EXPECT_NE(to_string(config).find(" unproven=split "), std::string::npos);
}

TEST(Names, VersionIsTheHeaders) {
  const std::string expected = std::to_string(FLASH_KDA_VERSION_MAJOR) + "." +
                               std::to_string(FLASH_KDA_VERSION_MINOR) + "." +
                               std::to_string(FLASH_KDA_VERSION_PATCH);
  EXPECT_EQ(version(), expected);
}

}  // namespace
}  // namespace flash_kda
