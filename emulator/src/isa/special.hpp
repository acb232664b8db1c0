#pragma once

#include <string_view>

#include "exec/kernel.hpp"

namespace emulator::isa {

bool find_special(std::string_view name, Special& kind, u32& size);

inline bool changes_with_time(Special s) {
  return s == Special::kClock || s == Special::kClockHi || s == Special::kClock64 ||
         s == Special::kGlobaltimer || s == Special::kGlobaltimerLo || s == Special::kGlobaltimerHi;
}

}  // namespace emulator::isa
