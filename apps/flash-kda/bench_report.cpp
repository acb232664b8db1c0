#include "apps/flash-kda/bench_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "apps/common/machine.hpp"
#include "apps/flash-kda/bench_data.hpp"
#include "apps/flash-kda/options.hpp"

namespace flash_kda::cli {
namespace {

using apps::Json;

// What makes two rows the same measurement.
constexpr const char* kKey[] = {"backend", "precision", "threads", "cache", "gate", "dtype",  "B",
                                "T",       "H",         "HV",      "K",     "V",    "lengths"};
constexpr const char* kNumbers[] = {"threads", "B",         "T",      "H",      "HV",    "K",
                                    "V",       "median_ms", "p10_ms", "p90_ms", "gflops"};
constexpr const char* kWords[] = {"shape", "backend", "precision"};

Json percent(double value, double of) { return of > 0 ? Json(100 * value / of) : Json(nullptr); }

// The ceiling of the arithmetic that the row uses.
double arithmetic_peak(const Config& config, const MachinePeaks& peaks) {
  return config.precision == Precision::kBF16 ? peaks.bf16_gflops : peaks.fma_gflops;
}

Status bad_report(const std::string& path, const std::string& what) {
  return Status::invalid_argument(path + ": not a report of flash-kda bench: " + what);
}

Status check_row(const std::string& path, const Json& row, std::size_t index) {
  const std::string where = "rows[" + std::to_string(index) + "]";
  if (!row.is_object()) return bad_report(path, where + " is no object");
  for (const char* name : kNumbers) {
    if (!row.contains(name) || !row[name].is_number()) {
      return bad_report(path, where + "." + name + " is no number");
    }
  }
  for (const char* name : kWords) {
    if (!row.contains(name) || !row[name].is_string()) {
      return bad_report(path, where + "." + name + " is no string");
    }
  }
  return {};
}

Json word_of(Cache cache) {
  if (cache == Cache::kAsIs) return nullptr;
  return cache == Cache::kWarm ? "warm" : "cold";
}

bool same_measurement(const Json& a, const Json& b) {
  return std::ranges::all_of(kKey, [&](const char* name) {
    return a.value(name, Json(nullptr)) == b.value(name, Json(nullptr));
  });
}

}  // namespace

std::optional<MachinePeaks> Ceilings::of(const Measurement& measurement) const {
  if (measurement.plan.config.backend == BackendKind::kCuda) {
    if (!gpu) return std::nullopt;
    return MachinePeaks{.copy_gbs = gpu->copy_gbs};
  }
  const auto found = cpu.find(measurement.variant.options.threads);
  return found == cpu.end() ? std::nullopt : found->second;
}

Json bench_machine_json(const Ceilings& ceilings) {
  const apps::Machine machine = apps::describe_machine();
  Json json = {{"cpu", machine.cpu},
               {"cores", machine.logical_cpus},
               {"flags", machine.flags},
               {"memory_gib", machine.memory_gib},
               {"compiler", apps::compiler_name()},
               {"date", apps::utc_time()},
               {"version", version()},
               {"peaks", Json::array()}};
  for (const auto& [threads, measured] : ceilings.cpu) {
    if (!measured) continue;
    json["peaks"].push_back({{"threads", threads},
                             {"fma_gflops", measured->fma_gflops},
                             {"bf16_gflops", measured->bf16_gflops},
                             {"copy_gbs", measured->copy_gbs}});
  }
  if (ceilings.gpu) {
    json["gpu"] = {{"name", ceilings.gpu->name}, {"copy_gbs", ceilings.gpu->copy_gbs}};
  }
  return json;
}

Json bench_row_json(const NamedShape& shape, const Measurement& measurement,
                    const std::optional<MachinePeaks>& peaks) {
  const Problem& p = shape.problem;
  const Config& config = measurement.plan.config;
  const apps::Quantiles time = apps::quantiles(measurement.milliseconds);
  const Work work = work_of(shape);
  const double seconds = time.median / 1e3;
  const double gflops = work.flop / seconds / 1e9;
  const double gbs = work.bytes / seconds / 1e9;
  return {{"shape", shape.name},
          {"backend", word_of(config.backend)},
          {"target", config.target},
          {"precision", word_of(config.precision)},
          {"algorithm", to_string(config.algorithm)},
          {"threads", config.threads},
          {"cache", word_of(measurement.variant.cache)},
          {"dtype", word_of(p.qkv_dtype)},
          {"gate", word_of(p.gate.kind)},
          {"B", p.batch},
          {"T", p.tokens},
          {"H", p.qk_heads},
          {"HV", p.v_heads},
          {"K", p.head_dim_k},
          {"V", p.head_dim_v},
          {"lengths", shape.lengths},
          {"samples", measurement.milliseconds.size()},
          {"median_ms", time.median},
          {"p10_ms", time.p10},
          {"p90_ms", time.p90},
          {"token_heads_per_second", static_cast<double>(work.token_heads) / seconds},
          {"gflops", gflops},
          {"percent_of_peak", peaks ? percent(gflops, arithmetic_peak(config, *peaks)) : Json()},
          {"gbs", gbs},
          {"percent_of_copy", peaks ? percent(gbs, peaks->copy_gbs) : Json()},
          {"flop_per_byte", work.flop / work.bytes},
          {"workspace_bytes", measurement.plan.workspace_bytes}};
}

void print_bench_rows(const Json& report) {
  constexpr auto kRight = apps::Align::kRight;
  apps::Table table({{"shape"},
                     {"backend"},
                     {"precision"},
                     {"threads", kRight},
                     {"cache"},
                     {"ms", kRight},
                     {"p10", kRight},
                     {"p90", kRight},
                     {"M token-heads/s", kRight},
                     {"GFLOP/s", kRight},
                     {"% peak", kRight},
                     {"GB/s", kRight},
                     {"% copy", kRight}});
  for (const Json& row : report["rows"]) {
    const double token_heads = row["token_heads_per_second"];
    table.add_row({row["shape"], row["backend"], row["precision"], apps::cell(row["threads"]),
                   apps::cell(row["cache"]), apps::cell(row["median_ms"], "{:.3f}"),
                   apps::cell(row["p10_ms"], "{:.3f}"), apps::cell(row["p90_ms"], "{:.3f}"),
                   fmt::format("{:.3f}", token_heads / 1e6), apps::cell(row["gflops"], "{:.1f}"),
                   apps::cell(row["percent_of_peak"], "{:.1f}"), apps::cell(row["gbs"], "{:.2f}"),
                   apps::cell(row["percent_of_copy"], "{:.1f}")});
  }
  table.print();
}

Result<Json> load_bench_report(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) return Status::invalid_argument(path + ": cannot read the file");
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  Json report = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (report.is_discarded()) return bad_report(path, "not valid JSON");
  if (!report.is_object() || !report.contains("rows") || !report["rows"].is_array()) {
    return bad_report(path, "the list rows is missing");
  }
  for (std::size_t i = 0; i < report["rows"].size(); ++i) {
    if (Status status = check_row(path, report["rows"][i], i); !status.ok()) return status;
  }
  return report;
}

Json compare_json(const Json& report, const Json& old_report) {
  Json comparison = Json::array();
  for (const Json& row : report["rows"]) {
    for (const Json& old_row : old_report["rows"]) {
      if (!same_measurement(row, old_row)) continue;
      const double now = row["median_ms"];
      const double before = old_row["median_ms"];
      comparison.push_back({{"shape", row["shape"]},
                            {"backend", row["backend"]},
                            {"precision", row["precision"]},
                            {"threads", row["threads"]},
                            {"cache", row.value("cache", Json(nullptr))},
                            {"old_ms", before},
                            {"new_ms", now},
                            {"speedup", now > 0 ? Json(before / now) : Json(nullptr)}});
      break;
    }
  }
  return comparison;
}

void print_comparison(const Json& comparison, const std::string& old_path) {
  constexpr auto kRight = apps::Align::kRight;
  fmt::print("\nagainst {}: {} matching rows\n", old_path, comparison.size());
  apps::Table table({{"shape"},
                     {"backend"},
                     {"precision"},
                     {"threads", kRight},
                     {"cache"},
                     {"old ms", kRight},
                     {"new ms", kRight},
                     {"speed-up", kRight}});
  for (const Json& row : comparison) {
    table.add_row({row["shape"], row["backend"], row["precision"], apps::cell(row["threads"]),
                   apps::cell(row["cache"]), apps::cell(row["old_ms"], "{:.3f}"),
                   apps::cell(row["new_ms"], "{:.3f}"), apps::cell(row["speedup"], "{:.3f}x")});
  }
  table.print();
}

}  // namespace flash_kda::cli
