// Measurements as JSON, and tables from that JSON.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "apps/common/table.hpp"
#include "apps/flash-kda/bench_measure.hpp"
#include "apps/flash-kda/peaks.hpp"

namespace flash_kda::cli {

using PeaksByThreads = std::map<int, std::optional<MachinePeaks>>;

// The ceilings that rows are held against; those absent were not measured.
struct Ceilings {
  PeaksByThreads cpu;
  std::optional<Gpu> gpu;

  std::optional<MachinePeaks> of(const Measurement& measurement) const;
};

apps::Json bench_machine_json(const Ceilings& ceilings);
apps::Json bench_row_json(const NamedShape& shape, const Measurement& measurement,
                          const std::optional<MachinePeaks>& peaks);
void print_bench_rows(const apps::Json& report);

// A file that `bench --json` wrote: an object with `rows` that hold what tables and pictures need.
Result<apps::Json> load_bench_report(const std::string& path);
// One line per row that both reports have.
apps::Json compare_json(const apps::Json& report, const apps::Json& old_report);
void print_comparison(const apps::Json& comparison, const std::string& old_path);

}  // namespace flash_kda::cli
