// As much SVG as the plots need: shapes, text, and axes that map numbers to pixels.
#pragma once

#include <string>
#include <vector>

namespace flash_kda::cli {

struct Point {
  double x = 0;
  double y = 0;
};

enum class Anchor { kStart, kMiddle, kEnd };
enum class Stroke { kSolid, kDashed };

class Svg {
 public:
  Svg(double width, double height);

  void rectangle(Point corner, double width, double height, const std::string& fill);
  void line(Point from, Point to, const std::string& colour, double width = 1,
            Stroke stroke = Stroke::kSolid);
  void polyline(const std::vector<Point>& points, const std::string& colour);
  void dot(Point centre, const std::string& colour);
  void text(Point at, const std::string& text, Anchor anchor = Anchor::kStart, double size = 13,
            double degrees = 0);

  std::string document() const { return body_ + "</svg>\n"; }

 private:
  std::string body_;
};

enum class Scale { kLinear, kLog };

// Values [low, high] to pixels [from, to] (from > to for an axis that grows upwards).
class Axis {
 public:
  Axis(Scale scale, double low, double high, double from, double to)
      : scale_(scale), low_(low), high_(high), from_(from), to_(to) {}

  double pixel(double value) const;
  double from() const { return from_; }
  double to() const { return to_; }
  double low() const { return low_; }
  double high() const { return high_; }
  // Round values inside: 1, 2, 5 times a power of ten; on a long logarithmic axis only some.
  std::vector<double> ticks() const;

 private:
  Scale scale_;
  double low_, high_, from_, to_;
};

// Frame, grid, tick labels and titles of a plot whose area the axes span.
void draw_axes(Svg& svg, const Axis& x, const Axis& y, const std::string& title,
               const std::string& x_title, const std::string& y_title);

// "8192" as "8k", 0.05 as "0.05".
std::string tick_label(double value);

}  // namespace flash_kda::cli
