#include "apps/flash-kda/svg.hpp"

#include <fmt/format.h>

#include <cmath>

namespace flash_kda::cli {
namespace {

constexpr const char* kGrid = "#e4e4e4";
constexpr const char* kInk = "#222222";

std::string escaped(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    if (c == '&') {
      safe += "&amp;";
    } else if (c == '<') {
      safe += "&lt;";
    } else if (c == '>') {
      safe += "&gt;";
    } else if (static_cast<unsigned char>(c) >= ' ') {
      safe += c;
    }
  }
  return safe;
}

const char* name_of(Anchor anchor) {
  switch (anchor) {
    case Anchor::kStart:
      return "start";
    case Anchor::kMiddle:
      return "middle";
    case Anchor::kEnd:
      return "end";
  }
  return "start";
}

}  // namespace

Svg::Svg(double width, double height) {
  body_ = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" "
      "viewBox=\"0 0 {0} {1}\" font-family=\"DejaVu Sans, Helvetica, Arial, sans-serif\">\n",
      width, height);
  rectangle({0, 0}, width, height, "white");
}

void Svg::rectangle(Point corner, double width, double height, const std::string& fill) {
  body_ += fmt::format(
      "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\"/>\n",
      corner.x, corner.y, width, height, fill);
}

void Svg::line(Point from, Point to, const std::string& colour, double width, Stroke stroke) {
  body_ += fmt::format(
      "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\" "
      "stroke-width=\"{}\"{}/>\n",
      from.x, from.y, to.x, to.y, colour, width,
      stroke == Stroke::kDashed ? " stroke-dasharray=\"6 4\"" : "");
}

void Svg::polyline(const std::vector<Point>& points, const std::string& colour) {
  std::string list;
  for (const Point& p : points) list += fmt::format("{:.1f},{:.1f} ", p.x, p.y);
  body_ += fmt::format("<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>\n",
                       list, colour);
}

void Svg::dot(Point centre, const std::string& colour) {
  body_ +=
      fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4.5\" fill=\"{}\" stroke=\"white\"/>\n",
                  centre.x, centre.y, colour);
}

void Svg::text(Point at, const std::string& text, Anchor anchor, double size, double degrees) {
  const std::string turn = degrees == 0 ? ""
                                        : fmt::format(" transform=\"rotate({:.0f} {:.1f} {:.1f})\"",
                                                      degrees, at.x, at.y);
  body_ += fmt::format(
      "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" font-size=\"{}\" fill=\"{}\"{}>{}"
      "</text>\n",
      at.x, at.y, name_of(anchor), size, kInk, turn, escaped(text));
}

double Axis::pixel(double value) const {
  const double share = scale_ == Scale::kLog ? std::log(value / low_) / std::log(high_ / low_)
                                             : (value - low_) / (high_ - low_);
  return from_ + share * (to_ - from_);
}

std::vector<double> Axis::ticks() const {
  std::vector<double> ticks;
  if (scale_ == Scale::kLinear) {
    const double power = std::pow(10.0, std::floor(std::log10((high_ - low_) / 4)));
    const double quotient = (high_ - low_) / 4 / power;
    const double step = power * (quotient >= 5 ? 5 : quotient >= 2 ? 2 : 1);
    for (double tick = std::ceil(low_ / step) * step; tick <= high_ * 1.0001; tick += step) {
      ticks.push_back(tick);
    }
    return ticks;
  }
  const double decades = std::log10(high_ / low_);
  for (double power = std::pow(10.0, std::floor(std::log10(low_))); power <= high_; power *= 10) {
    for (const double digit : {1.0, 2.0, 5.0}) {
      if (decades > 3 && digit != 1.0) continue;  // seven labels at most, so that they fit
      const double tick = digit * power;
      if (tick >= low_ * 0.999 && tick <= high_ * 1.001) ticks.push_back(tick);
    }
  }
  return ticks;
}

void draw_axes(Svg& svg, const Axis& x, const Axis& y, const std::string& title,
               const std::string& x_title, const std::string& y_title) {
  for (const double tick : x.ticks()) {
    const double at = x.pixel(tick);
    svg.line({at, y.from()}, {at, y.to()}, kGrid);
    svg.text({at, y.from() + 17}, tick_label(tick), Anchor::kMiddle, 12);
  }
  for (const double tick : y.ticks()) {
    const double at = y.pixel(tick);
    svg.line({x.from(), at}, {x.to(), at}, kGrid);
    svg.text({x.from() - 6, at + 4}, tick_label(tick), Anchor::kEnd, 12);
  }
  svg.line({x.from(), y.from()}, {x.to(), y.from()}, kInk);
  svg.line({x.from(), y.from()}, {x.from(), y.to()}, kInk);
  const double middle = (x.from() + x.to()) / 2;
  svg.text({middle, y.to() - 14}, title, Anchor::kMiddle, 16);
  svg.text({middle, y.from() + 38}, x_title, Anchor::kMiddle);
  svg.text({x.from() - 46, (y.from() + y.to()) / 2}, y_title, Anchor::kMiddle, 13, -90);
}

std::string tick_label(double value) {
  if (value >= 1e6) return fmt::format("{:g}M", value / 1e6);
  if (value >= 1e4) return fmt::format("{:g}k", value / 1e3);
  return fmt::format("{:g}", std::round(value * 1e6) / 1e6);
}

}  // namespace flash_kda::cli
