// `flash-kda verify`: every backend against the fp64 definition, a row per case.

#include "verification/verify.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "apps/common/progress.hpp"
#include "apps/common/table.hpp"
#include "apps/flash-kda/commands.hpp"
#include "apps/flash-kda/options.hpp"
#include "apps/flash-kda/tensor_file.hpp"

namespace flash_kda::cli {
namespace {

using apps::Json;
using verification::Case;
using verification::Distribution;
using verification::Outcome;
using verification::VerifyRow;

const Choices<Distribution> kDistributionChoices{{"published", Distribution::kPublished},
                                                 {"long-memory", Distribution::kLongMemory},
                                                 {"hostile", Distribution::kHostile}};

struct VerifyCommandOptions {
  bool json = false;
  bool list = false;
  std::optional<BackendKind> backend;
  std::optional<Precision> precision;
  std::string case_name, input;
  Distribution distribution = Distribution::kLongMemory;
  verification::VerifyOptions verification;
  OperationOptions operation;

  void add_to(CLI::App& command) {
    command.add_flag("--json", json, "Print JSON");
    command.add_flag("--list", list, "Only list the cases");
    add_choice(command, "--backend", backend, kBackendChoices,
               "This backend only; default: all that this machine can run");
    add_choice(command, "--precision", precision, kPrecisionChoices,
               "This precision only; default: both");
    add_choice(command, "--algorithm", verification.algorithm, kAlgorithmChoices,
               "This algorithm only; default: the plan's choice");
    CLI::Option* name =
        command.add_option("--case", case_name, "The case of this name, else all that contain it");
    command.add_option("--seed", verification.seed, "Seed of the inputs; default: 1");
    command.add_option("--threads", verification.threads, "CPU threads at most; default: all")
        ->check(CLI::Range(1, 4096));
    command
        .add_option("--input", input,
                    "Verify on the tensors of this file, as prefill reads it, instead of the cases")
        ->type_name("FILE")
        ->excludes(name);
    add_choice(command, "--distribution", distribution, kDistributionChoices,
               "Error bounds for --input; default: long-memory");
    operation.add_to(command);
  }
};

struct Variant {
  BackendKind backend;
  Precision precision;
};

std::vector<Variant> variants(const VerifyCommandOptions& options) {
  std::vector<Variant> list;
  for (const BackendKind backend : backends()) {
    if (options.backend ? *options.backend != backend : !backend_info(backend).available) continue;
    // The reference is fp64 whatever the plan says, and on a GPU the algorithm fixes the precision.
    const bool has_precisions = backend == BackendKind::kCpu;
    for (const Precision precision : {Precision::kF32, Precision::kBF16}) {
      if (options.precision && *options.precision != precision && has_precisions) continue;
      if (!has_precisions && precision != Precision::kF32) continue;
      list.push_back({backend, precision});
    }
  }
  return list;
}

std::vector<const Case*> chosen_cases(const std::string& name) {
  if (const Case* exact = verification::find_case(name)) return {exact};
  std::vector<const Case*> chosen;
  for (const Case& c : verification::cases()) {
    if (c.name.find(name) != std::string::npos) chosen.push_back(&c);
  }
  return chosen;
}

Json worst_json(const verification::Worst& worst, double limit) {
  const verification::Coordinates& at = worst.at;
  Json json = {{"error", worst.error}, {"limit", limit}};
  for (const auto& [name, value] : {std::pair{"sequence", at.sequence},
                                    {"v_head", at.v_head},
                                    {"token", at.token},
                                    {"k", at.k},
                                    {"v", at.v}}) {
    if (value >= 0) json[name] = value;
  }
  return json;
}

Json errors_json(const verification::ErrorSummary& errors) {
  if (!errors.present) return nullptr;
  return {{"head", worst_json(errors.head, errors.tolerance.head)},
          {"block", worst_json(errors.block, errors.tolerance.block)},
          {"element", worst_json(errors.element, errors.tolerance.element)},
          {"mask_mismatches", errors.mask_mismatches}};
}

Json row_json(const VerifyRow& row) {
  return {{"case", row.case_name},
          {"backend", word_of(row.backend)},
          {"precision", row.backend == BackendKind::kReference ? "fp64" : word_of(row.precision)},
          {"target", row.config.target},
          {"algorithm", to_string(row.config.algorithm)},
          {"distribution", to_string(row.distribution)},
          {"outcome", to_string(row.outcome)},
          {"detail", row.detail},
          {"out", errors_json(row.out)},
          {"final_state", errors_json(row.final_state)},
          {"checkpoints", errors_json(row.checkpoints)},
          {"stray_writes", row.stray_writes},
          {"reference_seconds", row.reference_seconds},
          {"backend_seconds", row.backend_seconds}};
}

Json report_json(std::uint64_t seed, const std::vector<VerifyRow>& rows) {
  const auto count = [&rows](Outcome outcome) {
    return std::ranges::count(rows, outcome, &VerifyRow::outcome);
  };
  Json json = {{"version", version()},
               {"seed", seed},
               {"passed", count(Outcome::kPassed)},
               {"failed", count(Outcome::kFailed)},
               {"unsupported", count(Outcome::kUnsupported)},
               {"rows", Json::array()}};
  for (const VerifyRow& row : rows) json["rows"].push_back(row_json(row));
  return json;
}

// "3.1e-07 of 1.0e-06 (seq 0 head 3)": the worst head of a result.
std::string worst_cell(const Json& errors) {
  if (errors.is_null()) return "-";
  const Json& head = errors["head"];
  std::string text =
      fmt::format("{:.1e} of {:.1e}", head["error"].get<double>(), head["limit"].get<double>());
  if (!head.contains("sequence")) return text;
  return text + fmt::format(" (seq {} head {})", head["sequence"].get<std::int64_t>(),
                            head["v_head"].get<std::int64_t>());
}

void print_report(const Json& report) {
  apps::Table table({{"case"},
                     {"backend"},
                     {"precision"},
                     {"result"},
                     {"out: RMS error of the worst head"},
                     {"final state"},
                     {"checkpoints"}});
  for (const Json& row : report["rows"]) {
    table.add_row({row["case"], row["backend"], row["precision"], row["outcome"],
                   worst_cell(row["out"]), worst_cell(row["final_state"]),
                   worst_cell(row["checkpoints"])});
  }
  table.print();
  for (const Json& row : report["rows"]) {
    if (row["outcome"] == "passed") continue;
    fmt::print("{} {} {} {}: {}\n", row["outcome"].get<std::string>(),
               row["case"].get<std::string>(), row["backend"].get<std::string>(),
               row["precision"].get<std::string>(), row["detail"].get<std::string>());
  }
  fmt::print("{} passed, {} failed, {} unsupported\n", report["passed"].get<int>(),
             report["failed"].get<int>(), report["unsupported"].get<int>());
}

ExitCode list_cases(const VerifyCommandOptions& options) {
  Json list = Json::array();
  for (const Case& c : verification::cases()) {
    list.push_back({{"case", c.name},
                    {"distribution", to_string(verification::distribution(c))},
                    {"problem", to_string(c.problem)}});
  }
  if (options.json) {
    fmt::print("{}", apps::dump(list));
    return ExitCode::kOk;
  }
  apps::Table table({{"case"}, {"distribution"}, {"problem"}});
  for (const Json& row : list) table.add_row({row["case"], row["distribution"], row["problem"]});
  table.print();
  return ExitCode::kOk;
}

Result<std::vector<VerifyRow>> verify_cases(const VerifyCommandOptions& options,
                                            const std::vector<Variant>& tried) {
  const std::vector<const Case*> cases = chosen_cases(options.case_name);
  if (cases.empty()) {
    return Status::invalid_argument("--case: no case has " + apps::in_quotes(options.case_name) +
                                    " in its name (see verify --list)");
  }
  std::vector<VerifyRow> rows;
  apps::Progress progress("verify", static_cast<std::int64_t>(cases.size() * tried.size()));
  for (const Case* c : cases) {
    for (const auto& [backend, precision] : tried) {
      rows.push_back(verification::run_case(*c, backend, precision, options.verification));
      progress.advance();
    }
  }
  return rows;
}

Result<std::vector<VerifyRow>> verify_file(const VerifyCommandOptions& options,
                                           const std::vector<Variant>& tried) {
  Result<TensorFile> input = open_tensor_file(options.input, options.operation);
  if (!input.ok()) return input.status();
  const Results results = add_results(*input);
  std::vector<VerifyRow> rows;
  apps::Progress progress("verify", static_cast<std::int64_t>(tried.size()));
  for (const auto& [backend, precision] : tried) {
    rows.push_back(verification::verify_tensors(options.input, input->problem, input->tensors,
                                                options.distribution, backend, precision,
                                                options.verification));
    progress.advance();
  }
  return rows;
}

ExitCode run_verify(const VerifyCommandOptions& options) {
  if (options.list) return list_cases(options);
  if (options.backend) {
    const BackendInfo info = backend_info(*options.backend);
    if (!info.available) {
      return fail(Status::unsupported("--backend " + word_of(*options.backend) + ": " +
                                      info.unavailable_reason));
    }
  }
  const std::vector<Variant> tried = variants(options);
  const Result<std::vector<VerifyRow>> rows =
      options.input.empty() ? verify_cases(options, tried) : verify_file(options, tried);
  if (!rows.ok()) return fail(rows.status());

  const Json report = report_json(options.verification.seed, *rows);
  if (options.json) {
    fmt::print("{}", apps::dump(report));
  } else {
    print_report(report);
  }
  if (report["failed"] != 0) return ExitCode::kMiss;
  // Nothing failed because nothing ran: that must not look like a success.
  return report["passed"] == 0 ? ExitCode::kUnsupported : ExitCode::kOk;
}

}  // namespace

void add_verify_command(CLI::App& app, ExitCode& exit_code) {
  add_command<VerifyCommandOptions>(app, exit_code, "verify",
                                    "Compare every backend with the fp64 definition", run_verify);
}

}  // namespace flash_kda::cli
