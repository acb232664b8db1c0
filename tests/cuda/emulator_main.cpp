// main() of the emulated tests: after the tests, the emulator's checker must have nothing to say.
#include <gtest/gtest.h>

#include "emulator/emulator.hpp"

namespace {

class NoReports : public testing::EmptyTestEventListener {
  void OnTestEnd(const testing::TestInfo&) override {
    if (emulator::report_count() == reported_) return;
    reported_ = emulator::report_count();
    ADD_FAILURE() << emulator::reports();
  }

  std::uint64_t reported_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  // Ahead of the printer, so that what it adds counts and is shown.
  auto& listeners = testing::UnitTest::GetInstance()->listeners();
  testing::TestEventListener* printer = listeners.Release(listeners.default_result_printer());
  listeners.Append(new NoReports);
  listeners.Append(printer);
  return RUN_ALL_TESTS();
}
