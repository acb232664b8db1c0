#include "apps/common/table.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace flash_kda::apps {
namespace {

std::string aligned_line(const std::vector<std::string>& cells, const std::vector<Column>& columns,
                         const std::vector<std::size_t>& widths) {
  std::string line;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (i > 0) line += "  ";
    line += columns[i].align == Align::kLeft ? fmt::format("{:<{}}", cells[i], widths[i])
                                             : fmt::format("{:>{}}", cells[i], widths[i]);
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

}  // namespace

std::string Table::to_string() const {
  std::vector<std::string> titles;
  std::vector<std::size_t> widths;
  for (const Column& column : columns_) {
    titles.push_back(column.title);
    widths.push_back(column.title.size());
  }
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::vector<std::string> rules;
  rules.reserve(widths.size());
  for (const std::size_t width : widths) rules.emplace_back(width, '-');

  std::string text = aligned_line(titles, columns_, widths) + aligned_line(rules, columns_, widths);
  for (const auto& row : rows_) text += aligned_line(row, columns_, widths);
  return text;
}

std::string cell(const Json& value) {
  if (value.is_null()) return "-";
  if (value.is_string()) return value.get<std::string>();
  return value.dump();
}

std::string cell(const Json& value, const char* format) {
  if (!value.is_number()) return cell(value);
  return fmt::format(fmt::runtime(format), value.get<double>());
}

std::string dump(const Json& value) {
  return value.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace flash_kda::apps
