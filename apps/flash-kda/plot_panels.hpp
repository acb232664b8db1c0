// The pictures of a bench report: roofline, time per token over T, and speed by shape.
#pragma once

#include <string>

#include "apps/common/table.hpp"

namespace flash_kda::cli {

// `report` has passed load_bench_report and holds at least one row.
std::string draw_report(const apps::Json& report);

}  // namespace flash_kda::cli
