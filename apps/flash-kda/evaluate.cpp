// `flash-kda evaluate`: what each precision costs a real model, in bits per byte of a document.

#include "apps/lm/evaluate.hpp"

#include <fmt/format.h>

#include <cmath>

#include "apps/common/progress.hpp"
#include "apps/flash-kda/commands.hpp"
#include "apps/flash-kda/lm_options.hpp"

namespace flash_kda::cli {
namespace {

using apps::Json;

struct EvaluateCommand {
  LmOptions lm;
  int threads = 0;

  void add_to(CLI::App& command) {
    lm.add_to(command);
    command.add_option("--threads", threads, "CPU threads at most; default: all")
        ->check(CLI::Range(1, 4096));
  }
};

Json row_json(const lm::Variant& variant, const lm::ModelConfig& config,
              const lm::Evaluation& evaluation, const lm::Evaluation& reference) {
  const double difference = evaluation.bits_per_byte - reference.bits_per_byte;
  const double allowed = lm::allowed_difference(variant, config, reference);
  Json row = {
      {"variant", variant.name},
      {"bits_per_byte", evaluation.bits_per_byte},
      {"difference", difference},
      {"allowed_difference", allowed},
      {"max_logit_difference", lm::max_logit_difference(evaluation.logits, reference.logits)},
      {"agrees", std::abs(difference) <= allowed}};
  row.update(timing_json(evaluation.timing));
  return row;
}

Result<Json> evaluate_all(const LmInput& input, const std::vector<lm::Variant>& variants) {
  const auto bytes = static_cast<std::int64_t>(input.document.size());
  apps::Progress progress("evaluate", bytes * static_cast<std::int64_t>(variants.size()));
  Json rows = Json::array();
  lm::Evaluation reference;
  for (const lm::Variant& variant : variants) {
    Result<lm::Evaluation> evaluation =
        lm::evaluate(input.weights, variant.options, input.document,
                     [&](std::int64_t tokens) { progress.advance(tokens); });
    if (!evaluation.ok()) return evaluation.status();
    if (rows.empty()) reference = *evaluation;
    rows.push_back(row_json(variant, input.weights->config, *evaluation, reference));
  }
  return rows;
}

void print_rows(const Json& rows) {
  using apps::Align;
  apps::Table table({{"KDA layers"},
                     {"bits/byte", Align::kRight},
                     {"difference", Align::kRight},
                     {"allowed", Align::kRight},
                     {"worst logit", Align::kRight},
                     {"tokens/s", Align::kRight},
                     {"KDA time", Align::kRight}});
  for (const Json& row : rows) {
    table.add_row({row["variant"], apps::cell(row["bits_per_byte"], "{:.6f}"),
                   apps::cell(row["difference"], "{:+.1e}"),
                   apps::cell(row["allowed_difference"], "{:.0e}"),
                   apps::cell(row["max_logit_difference"], "{:.1e}"),
                   apps::cell(row["tokens_per_second"], "{:.0f}"),
                   fmt::format("{:.0f} %", 100 * row["kda_share"].get<double>())});
  }
  table.print();
}

ExitCode run_evaluate(const EvaluateCommand& command) {
  const Result<LmInput> input = open_lm_input(command.lm);
  if (!input.ok()) return fail(input.status());
  const Result<Json> rows = evaluate_all(*input, lm::standard_variants(command.threads));
  if (!rows.ok()) return fail(rows.status());

  bool agree = true;
  for (const Json& row : *rows) agree = agree && row["agrees"].get<bool>();
  if (command.lm.json) {
    fmt::print("{}", apps::dump({{"model", command.lm.model},
                                 {"document", command.lm.document},
                                 {"bytes", input->document.size()},
                                 {"agree", agree},
                                 {"rows", *rows}}));
  } else {
    fmt::print("{} reads {}, {} bytes:\n", command.lm.model, command.lm.document,
               input->document.size());
    print_rows(*rows);
    fmt::print("{}\n", agree ? "All agree within the bounds of docs/numerics.md."
                             : "MISS: a difference is over its bound.");
  }
  return agree ? ExitCode::kOk : ExitCode::kMiss;
}

}  // namespace

void add_evaluate_command(CLI::App& app, ExitCode& exit_code) {
  add_command<EvaluateCommand>(app, exit_code, "evaluate",
                               "Compare precisions by a model's bits per byte on a document",
                               run_evaluate);
}

}  // namespace flash_kda::cli
