// Every case of the verification table on every host backend, precision and algorithm.
#include <gtest/gtest.h>

#include <ostream>

#include "tests/backends/configurations.hpp"
#include "verification/verify.hpp"

namespace flash_kda::verification {
namespace {

struct Parameter {
  Configuration configuration;
  const Case* verified;
};

void PrintTo(const Parameter& parameter, std::ostream* os) {
  *os << to_string(parameter.verified->problem);
}

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
  EXPECT_TRUE(row.outcome == Outcome::kPassed) << row.detail;
  for (const std::string& stray : row.stray_writes) ADD_FAILURE() << stray;
}

std::string parameter_name(const testing::TestParamInfo<Parameter>& parameter) {
  return name_of(parameter.param.configuration) + "_" + test_name(parameter.param.verified->name);
}

INSTANTIATE_TEST_SUITE_P(All, Table, testing::ValuesIn(parameters()), parameter_name);

}  // namespace
}  // namespace flash_kda::verification
