#include "apps/flash-kda/plot_panels.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

#include "apps/flash-kda/svg.hpp"

namespace flash_kda::cli {
namespace {

using apps::Json;

constexpr double kWidth = 1200;
constexpr double kHeight = 1000;

// Tol's "bright" scheme: told apart by colour-blind readers too
// (https://sronpersonalpages.nl/~pault).
constexpr const char* kColours[] = {"#4477AA", "#EE6677", "#228833", "#CCBB44",
                                    "#66CCEE", "#AA3377", "#777777"};

// One line, one colour: backend, precision and threads.
std::string series_of(const Json& row) {
  const int threads = row["threads"];
  return fmt::format("{} {}, {} thread{}", row["backend"].get<std::string>(),
                     row["precision"].get<std::string>(), threads, threads == 1 ? "" : "s");
}

class Palette {
 public:
  explicit Palette(const Json& rows) {
    for (const Json& row : rows) {
      if (std::ranges::find(series_, series_of(row)) == series_.end()) {
        series_.push_back(series_of(row));
      }
    }
  }
  const std::vector<std::string>& series() const { return series_; }
  std::string colour(const std::string& series) const {
    const auto index = std::ranges::find(series_, series) - series_.begin();
    return kColours[static_cast<std::size_t>(index) % std::size(kColours)];
  }

 private:
  std::vector<std::string> series_;
};

double number(const Json& object, const char* name) {
  return object.is_object() && object.contains(name) && object[name].is_number()
             ? object[name].get<double>()
             : 0.0;
}

void draw_legend(Svg& svg, const Palette& palette, Point at) {
  for (const std::string& series : palette.series()) {
    svg.dot({at.x, at.y - 4}, palette.colour(series));
    svg.text({at.x + 10, at.y}, series);
    at.x += 40 + 7.6 * static_cast<double>(series.size());
  }
}

// min(peak, bandwidth * intensity), the ceiling of a machine.
void draw_roof(Svg& svg, const Axis& x, const Axis& y, double gflops, double gbs,
               const std::string& label, double label_shift) {
  if (gflops <= 0 || gbs <= 0) return;
  const double knee = std::clamp(gflops / gbs, x.low(), x.high());
  const double start = std::max(y.low(), gbs * x.low());
  svg.line({x.pixel(start / gbs), y.pixel(start)},
           {x.pixel(knee), y.pixel(std::min(gflops, gbs * knee))}, "#444444", 1.5);
  if (gbs * x.high() <= gflops) return;
  svg.line({x.pixel(knee), y.pixel(gflops)}, {x.to(), y.pixel(gflops)}, "#444444", 1.5);
  svg.text({x.to() - 4, y.pixel(gflops) + label_shift}, label, Anchor::kEnd, 11);
}

double power_of_ten_above(double value) { return std::pow(10.0, std::ceil(std::log10(value))); }
double power_of_ten_below(double value) { return std::pow(10.0, std::floor(std::log10(value))); }

void draw_roofline(Svg& svg, const Json& report, const Palette& palette) {
  double highest = 1;
  double lowest = 1e30;
  for (const Json& row : report["rows"]) {
    if (number(row, "gflops") <= 0) continue;
    highest = std::max(highest, number(row, "gflops"));
    lowest = std::min(lowest, number(row, "gflops"));
  }
  const Json peaks =
      report.contains("machine") ? report["machine"].value("peaks", Json::array()) : Json::array();
  for (const Json& peak : peaks) highest = std::max(highest, number(peak, "bf16_gflops"));
  const Axis x(Scale::kLog, 0.1, 1000, 80, 560);
  const Axis y(Scale::kLog, power_of_ten_below(std::min(lowest, highest / 10)),
               power_of_ten_above(highest * 1.2), 420, 100);
  draw_axes(svg, x, y, "Roofline", "flop per byte that must move", "GFLOP/s");
  for (const Json& peak : peaks) {
    const std::string threads = fmt::format("{:.0f}T", number(peak, "threads"));
    const double gbs = number(peak, "copy_gbs");
    // Below and above their lines: two threads of the one often equal one thread of the other.
    draw_roof(svg, x, y, number(peak, "fma_gflops"), gbs, "fp32 FMA, " + threads, 13);
    draw_roof(svg, x, y, number(peak, "bf16_gflops"), gbs, "bf16 dot, " + threads, -5);
  }
  for (const Json& row : report["rows"]) {
    const double intensity = number(row, "flop_per_byte");
    if (intensity < x.low() || intensity > x.high() || number(row, "gflops") <= 0) continue;
    svg.dot({x.pixel(intensity), y.pixel(row["gflops"])}, palette.colour(series_of(row)));
  }
}

// All but T: rows that differ in nothing else show how time grows with length.
using ShapeFamily = std::tuple<double, double, double, double, double, std::string>;

ShapeFamily family_of(const Json& row) {
  return {row["B"], row["H"], row["HV"], row["K"], row["V"], row.value("gate", std::string())};
}

bool is_fixed_length(const Json& row) { return !row.contains("lengths") || row["lengths"].empty(); }

std::vector<Json> largest_family(const Json& rows) {
  std::map<ShapeFamily, std::set<double>> lengths;
  for (const Json& row : rows) {
    if (is_fixed_length(row) && row["T"] > 0) lengths[family_of(row)].insert(number(row, "T"));
  }
  std::vector<Json> family;
  if (lengths.empty()) return family;
  const auto largest =
      std::ranges::max_element(lengths, {}, [](const auto& entry) { return entry.second.size(); });
  for (const Json& row : rows) {
    if (is_fixed_length(row) && row["T"] > 0 && family_of(row) == largest->first) {
      family.push_back(row);
    }
  }
  std::ranges::stable_sort(family, {}, [](const Json& row) { return number(row, "T"); });
  return family;
}

double ns_per_token_head(const Json& row) {
  return 1e6 * number(row, "median_ms") / (number(row, "B") * number(row, "T") * number(row, "HV"));
}

void draw_lengths(Svg& svg, const Json& report, const Palette& palette) {
  const std::vector<Json> family = largest_family(report["rows"]);
  double highest = 1;
  double longest = 1;
  double shortest = 1e30;
  for (const Json& row : family) {
    highest = std::max(highest, ns_per_token_head(row));
    longest = std::max(longest, number(row, "T"));
    shortest = std::min(shortest, number(row, "T"));
  }
  const Axis x(Scale::kLog, std::min(shortest / 1.5, longest / 10), longest * 1.5, 690, 1170);
  const Axis y(Scale::kLinear, 0, highest * 1.15, 420, 100);
  std::string title = "Time per token and head";
  if (!family.empty()) {
    const Json& row = family.front();
    title +=
        fmt::format(" (H={}, K={}, V={})", number(row, "HV"), number(row, "K"), number(row, "V"));
  }
  draw_axes(svg, x, y, title, "tokens T", "ns");
  for (const std::string& series : palette.series()) {
    std::vector<Point> points;
    for (const Json& row : family) {
      if (series_of(row) != series) continue;
      points.push_back({x.pixel(row["T"]), y.pixel(ns_per_token_head(row))});
    }
    if (points.size() > 1) svg.polyline(points, palette.colour(series));
    for (const Point& point : points) svg.dot(point, palette.colour(series));
  }
}

// A group of bars per shape, one bar per series, its percentage of the peak above it.
void draw_shapes(Svg& svg, const Json& report, const Palette& palette) {
  std::vector<std::string> shapes;
  double highest = 1;
  for (const Json& row : report["rows"]) {
    highest = std::max(highest, number(row, "gflops"));
    const std::string shape = row["shape"];
    if (std::ranges::find(shapes, shape) == shapes.end()) shapes.push_back(shape);
  }
  const Axis x(Scale::kLinear, 0, static_cast<double>(shapes.size()), 80, 1170);
  const Axis y(Scale::kLinear, 0, highest * 1.15, 860, 560);
  for (const double tick : y.ticks()) {
    svg.line({x.from(), y.pixel(tick)}, {x.to(), y.pixel(tick)}, "#e4e4e4");
    svg.text({x.from() - 6, y.pixel(tick) + 4}, tick_label(tick), Anchor::kEnd, 12);
  }
  svg.text({(x.from() + x.to()) / 2, y.to() - 14},
           "Speed by shape (numbers: % of the measured peak)", Anchor::kMiddle, 16);
  svg.text({x.from() - 46, (y.from() + y.to()) / 2}, "GFLOP/s", Anchor::kMiddle, 13, -90);

  const double group = x.pixel(1) - x.pixel(0);
  const double bar = 0.8 * group / static_cast<double>(palette.series().size());
  std::map<std::string, std::size_t> drawn;  // bars that a shape has already
  for (const Json& row : report["rows"]) {
    const std::string shape = row["shape"];
    const auto index = std::ranges::find(shapes, shape) - shapes.begin();
    const double left = x.pixel(static_cast<double>(index)) + 0.1 * group +
                        bar * static_cast<double>(drawn[shape]++);
    const double top = y.pixel(row["gflops"]);
    svg.rectangle({left, top}, bar * 0.92, y.from() - top, palette.colour(series_of(row)));
    const double percent = number(row, "percent_of_peak");
    if (percent > 0 && bar > 11) {
      svg.text({left + bar / 2, top - 4}, fmt::format("{:.0f}", percent), Anchor::kMiddle,
               std::min(11.0, bar * 0.6));
    }
  }
  svg.line({x.from(), y.from()}, {x.to(), y.from()}, "#222222");
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const double middle = x.pixel(static_cast<double>(i) + 0.5);
    svg.text({middle, y.from() + 16}, shapes[i], Anchor::kEnd, 12, -35);
  }
}

std::string subtitle(const Json& report) {
  if (!report.contains("machine") || !report["machine"].is_object()) return "";
  const Json& machine = report["machine"];
  return fmt::format("{}, {} cores, flash-kda {}, {}", machine.value("cpu", "unknown CPU"),
                     number(machine, "cores"), machine.value("version", "?"),
                     machine.value("date", "?"));
}

}  // namespace

std::string draw_report(const Json& report) {
  Svg svg(kWidth, kHeight);
  const Palette palette(report["rows"]);
  svg.text({80, 28}, subtitle(report), Anchor::kStart, 14);
  draw_legend(svg, palette, {88, 54});
  draw_roofline(svg, report, palette);
  draw_lengths(svg, report, palette);
  draw_shapes(svg, report, palette);
  return svg.document();
}

}  // namespace flash_kda::cli
