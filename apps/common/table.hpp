// Plain-text tables: aligned columns, numbers to the right.
#pragma once

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace flash_kda::apps {

// Key order is that of insertion, so that a person finds the important things first.
using Json = nlohmann::ordered_json;

enum class Align { kLeft, kRight };

struct Column {
  std::string title;
  Align align = Align::kLeft;
};

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void add_row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  std::string to_string() const;
  void print() const { std::fputs(to_string().c_str(), stdout); }

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// A JSON value as a cell: strings bare, null as "-", numbers by `format` ("{:.3f}").
std::string cell(const Json& value);
std::string cell(const Json& value, const char* format);

// Indented, with a newline at the end; invalid UTF-8 (names out of files) is replaced.
std::string dump(const Json& value);

}  // namespace flash_kda::apps
