// The judge itself: that it sees what it has to see, and that its inputs do not change by accident.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <set>

#include "reference/element_io.hpp"
#include "verification/inputs.hpp"
#include "verification/verify.hpp"

namespace flash_kda::verification {
namespace {

TEST(Cases, HaveUniqueNamesAndValidProblems) {
  std::set<std::string> names;
  for (const Case& c : cases()) {
    EXPECT_TRUE(names.insert(c.name).second) << c.name;
    const Status status = check_problem(c.problem);
    EXPECT_TRUE(status.ok()) << c.name << ": " << status.message();
    EXPECT_EQ(find_case(c.name), &c);
  }
  EXPECT_EQ(find_case("no such case"), nullptr);
}

// Exact values: a change of the generator would move every case on every machine.
TEST(Inputs, AreTheSameOnEveryMachine) {
  EXPECT_EQ(uniform(1, 2, 3), 0x1.a0e68ea1fbc6dp-1);
  EXPECT_EQ(normal(1, 2, 3), 0x1.a0ec6f533f6a6p-1);
}

TEST(Inputs, AreNormal) {
  double sum = 0.0, squares = 0.0;
  constexpr int kCount = 20000;
  for (std::uint64_t i = 0; i < kCount; ++i) {
    const double x = normal(1, 2, i);
    sum += x;
    squares += x * x;
  }
  // Five standard errors: 1 / sqrt(n) of the mean, below sqrt(2 / n) of the variance.
  EXPECT_NEAR(sum / kCount, 0.0, 5 / std::sqrt(kCount));
  EXPECT_NEAR(squares / kCount, 1.0, 5 * std::sqrt(2.0 / kCount));
}

TEST(GuardedBuffer, SeesAWriteOutsideTheResults) {
  GuardedBuffer buffer("x", 64, 2);
  buffer.take_snapshot();
  buffer.allow_change(buffer.data() + 8, 16);
  std::memset(buffer.data() + 8, 0, 16);
  EXPECT_EQ(buffer.stray_writes(), "");
  buffer.data()[64] = std::byte{0};
  buffer.data()[-3] = std::byte{0};
  EXPECT_EQ(buffer.stray_writes(),
            "x: 2 bytes changed outside the results, first at byte -3 of 64");
}

// The definition's own results, written by hand into the tensors, then spoiled one by one.
class Compare : public testing::Test {
 protected:
  Compare() : data_(*find_case("packed-grouped-heads"), 1) {
    expected_ = expect(data_.problem(), data_.tensors());
    const Result<Plan> plan = make_plan(data_.problem(), {.backend = BackendKind::kReference});
    const Status status =
        run(plan.value(), data_.tensors(), data_.make_workspace(plan.value().workspace_bytes));
    EXPECT_TRUE(status.ok()) << status.message();
  }
  ErrorSummary out() {
    return compare_out(data_.problem(), data_.tensors(), expected_, tolerance_);
  }
  ErrorSummary states() {
    return compare_final_states(data_.problem(), data_.tensors(), expected_, tolerance_);
  }
  // Element of `out`, packed [1, T, HV, V] in fp32.
  float& out_at(std::int64_t token, std::int64_t head, std::int64_t v) {
    const Problem& p = data_.problem();
    return static_cast<float*>(
        data_.tensors().out.data)[(token * p.v_heads + head) * p.head_dim_v + v];
  }

  CaseData data_;
  Expected expected_;
  Tolerance tolerance_ = out_tolerance(data_.problem(), BackendKind::kReference, Precision::kF32,
                                       Distribution::kPublished);
};

TEST_F(Compare, PassesTheDefinition) {
  EXPECT_TRUE(out().passed()) << out().failure("out");
  EXPECT_TRUE(states().passed()) << states().failure("final_state");
}

TEST_F(Compare, FindsOneWrongElement) {
  out_at(19 + 7, 4, 33) *= 1.001f;  // sequence 2 begins at token 19
  const ErrorSummary summary = out();
  EXPECT_FALSE(summary.passed());
  EXPECT_EQ(to_string(summary.element.at), "sequence 2 head 4 token 7 v 33");
  EXPECT_EQ(to_string(summary.head.at), "sequence 2 head 4");
}

TEST_F(Compare, FindsNaNAndInfinity) {
  out_at(3, 1, 2) = std::nanf("");
  out_at(4, 1, 2) = HUGE_VALF;
  const ErrorSummary summary = out();
  EXPECT_FALSE(summary.passed());
  EXPECT_EQ(summary.mask_mismatches, 2);
  EXPECT_EQ(to_string(summary.first_mismatch), "sequence 0 head 1 token 3 v 2");
}

TEST_F(Compare, FindsASwappedState) {
  const TensorView& state = *data_.tensors().final_state;
  auto* values = static_cast<float*>(state.data);
  std::swap_ranges(values, values + state.strides[1], values + state.strides[1]);
  EXPECT_FALSE(states().passed());
}

TEST(RunCase, SaysWhenABackendIsNotThere) {
  const VerifyRow row = run_case(cases().front(), BackendKind::kCuda, Precision::kF32);
  if (row.outcome != Outcome::kUnsupported) GTEST_SKIP() << "this build has the CUDA backend";
  EXPECT_FALSE(row.detail.empty());
}

}  // namespace
}  // namespace flash_kda::verification
