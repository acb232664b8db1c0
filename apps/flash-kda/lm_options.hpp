// What generate, evaluate and capture have in common: a model, a document, and how to run them.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "apps/common/table.hpp"
#include "apps/lm/session.hpp"

namespace flash_kda::cli {

struct LmOptions {
  std::string model, document;
  bool json = false;

  void add_to(CLI::App& command);
};

// --chunk-tokens, --state-dtype and the options of a plan.
void add_session_options(CLI::App& command, lm::SessionOptions& options);

struct LmInput {
  std::shared_ptr<const lm::Weights> weights;
  std::string document;
};
// Reads both files; the message names the one that is wrong.
Result<LmInput> open_lm_input(const LmOptions& options);

// {"tokens": .., "seconds": .., "tokens_per_second": .., "kda_share": ..}
apps::Json timing_json(const lm::Timing& timing);

}  // namespace flash_kda::cli
