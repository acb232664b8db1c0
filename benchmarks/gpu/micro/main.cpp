// micro [--json FILE] [--quick] [GROUP...]
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "micro.hpp"

namespace flash_kda::micro {
namespace {

struct Group {
  const char* name;
  void (*measure)(Report&);
};
constexpr Group kGroups[] = {
    {"products", measure_products},   {"chain", measure_chain},
    {"functions", measure_functions}, {"shared", measure_shared_memory},
    {"barriers", measure_barriers},   {"boxes", measure_boxes},
    {"handover", measure_handover},   {"launches", measure_launches},
    {"code_size", measure_code_size},
};

struct Arguments {
  std::string json;
  Effort effort = Effort::kFull;
  std::vector<std::string> groups;
};

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--json") == 0 && i + 1 < argc) {
      arguments.json = argv[++i];
    } else if (std::strcmp(argv[i], "--quick") == 0) {
      arguments.effort = Effort::kQuick;
    } else if (std::any_of(std::begin(kGroups), std::end(kGroups),
                           [&](const Group& group) { return !std::strcmp(group.name, argv[i]); })) {
      arguments.groups.push_back(argv[i]);
    } else {
      throw std::runtime_error(std::string("no such option or group: ") + argv[i]);
    }
  }
  return arguments;
}

// The emulator's clock may stand still, which makes rates infinite.
std::string number(double x) { return std::isfinite(x) ? std::to_string(x) : "null"; }

// Groups that failed stay out; their errors are printed by then.
void write_json(const std::string& path, const std::vector<Row>& rows) {
  cudaDeviceProp device{};
  check(cudaGetDeviceProperties(&device, 0), "cudaGetDeviceProperties");
  std::ofstream out(path);
  out << "{\n \"gpu\": \"" << device.name
      << "\",\n \"multiprocessors\": " << device.multiProcessorCount << ",\n \"rows\": [";
  for (const Row& row : rows) {
    out << (&row == rows.data() ? "\n" : ",\n") << "  {\"group\": \"" << row.group
        << "\", \"name\": \"" << row.name << "\", \"unit\": \"" << row.unit
        << "\", \"median\": " << number(row.median) << ", \"low\": " << number(row.low)
        << ", \"high\": " << number(row.high) << ", \"samples\": " << row.samples << "}";
  }
  out << "\n ]\n}\n";
  if (!out.flush()) throw std::runtime_error("cannot write " + path);
}

int run(const Arguments& arguments) {
  std::vector<Row> rows;
  int status = 0;
  for (const Group& group : kGroups) {
    const auto& chosen = arguments.groups;
    if (!chosen.empty() && std::find(chosen.begin(), chosen.end(), group.name) == chosen.end()) {
      continue;
    }
    Report report(group.name, arguments.effort);
    try {
      group.measure(report);
    } catch (const std::exception& error) {
      std::printf("%s: %s\n", group.name, error.what());
      status = 1;
    }
    rows.insert(rows.end(), report.rows().begin(), report.rows().end());
    // After every group: a run that is cut short keeps what it has.
    if (!arguments.json.empty()) write_json(arguments.json, rows);
  }
  return status;
}

}  // namespace

void Report::add(const std::string& name, const std::string& unit, std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  const auto at = [&](double fraction) {
    return samples[static_cast<size_t>(fraction * static_cast<double>(samples.size() - 1) + 0.5)];
  };
  rows_.push_back(
      {group_, name, unit, at(0.5), at(0.1), at(0.9), static_cast<int>(samples.size())});
  const Row& row = rows_.back();
  std::printf("%-9s %-62s %10.4g %-20s %.4g .. %.4g\n", group_.c_str(), name.c_str(), row.median,
              unit.c_str(), row.low, row.high);
  std::fflush(stdout);
}

}  // namespace flash_kda::micro

int main(int argc, char** argv) {
  try {
    return flash_kda::micro::run(flash_kda::micro::parse(argc, argv));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "micro: %s\n", error.what());
    return 2;
  }
}
