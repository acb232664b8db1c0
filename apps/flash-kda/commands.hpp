// The subcommands of flash-kda: one file each, one function each that main calls. A command
//
//   1. keeps its options in a struct, filled by CLI11 (add_*_options in options.hpp are shared);
//   2. is a function `ExitCode run(const Options&)`, tied to the options by add_command below;
//   3. builds one JSON value, prints it with --json, or tables made from it without.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "flash_kda/status.hpp"

namespace flash_kda::cli {

enum class ExitCode : int {
  kOk = 0,
  kMiss = 1,         // the tool worked, the answer is no: a verification or a comparison failed
  kBadInput = 2,     // options, files or tensors are wrong; stderr names the one
  kUnsupported = 3,  // well formed, but not possible here: backend, memory, device, missing program
};

// One line on stderr, "flash-kda: <message>", and the exit code that belongs to the status.
ExitCode fail(const Status& status);

// A subcommand whose Options know how to add themselves:
//   struct InfoOptions { void add_to(CLI::App& command); ... };
//   ExitCode run_info(const InfoOptions& options);
template <typename Options>
void add_command(CLI::App& app, ExitCode& exit_code, const std::string& name,
                 const std::string& description, ExitCode (*run)(const Options&)) {
  CLI::App* command = app.add_subcommand(name, description);
  auto options = std::make_shared<Options>();
  options->add_to(*command);
  command->callback([options, run, &exit_code] { exit_code = run(*options); });
}

void add_info_command(CLI::App& app, ExitCode& exit_code);
void add_prefill_command(CLI::App& app, ExitCode& exit_code);
void add_verify_command(CLI::App& app, ExitCode& exit_code);
void add_bench_command(CLI::App& app, ExitCode& exit_code);
void add_plot_command(CLI::App& app, ExitCode& exit_code);

// Over the language model (apps/lm), where the build has it.
void add_generate_command(CLI::App& app, ExitCode& exit_code);
void add_evaluate_command(CLI::App& app, ExitCode& exit_code);
void add_capture_command(CLI::App& app, ExitCode& exit_code);

}  // namespace flash_kda::cli
