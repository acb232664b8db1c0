// Every case of the verification table on every host backend, precision and algorithm.
#include <gtest/gtest.h>

#include "tests/backends/configurations.hpp"
#include "verification/verify.hpp"

namespace flash_kda::verification {
namespace {

struct Parameter {
  Configuration configuration;
  const Case* verified;
};

std::vector<Parameter> parameters() {
  std::vector<Parameter> all;
  for (const Configuration& configuration : host_configurations()) {
    for (const Case& c : cases()) all.push_back({configuration, &c});
  }
  return all;
}

class Table : public testing::TestWithParam<Parameter> {};

TEST_P(Table, MatchesTheDefinition) {
  const Configuration& configuration = GetParam().configuration;
  const VerifyRow row = run_case(*GetParam().verified, configuration.backend,
                                 configuration.precision, {.algorithm = configuration.algorithm});
  if (row.outcome == Outcome::kUnsupported) GTEST_SKIP() << row.detail;
  EXPECT_EQ(row.outcome, Outcome::kPassed) << row.detail;
  for (const std::string& stray : row.stray_writes) ADD_FAILURE() << stray;
}

INSTANTIATE_TEST_SUITE_P(All, Table, testing::ValuesIn(parameters()), [](const auto& info) {
  return name_of(info.param.configuration) + "_" + test_name(info.param.verified->name);
});

}  // namespace
}  // namespace flash_kda::verification
