#include <csignal>
#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include "apps/common/safetensors.hpp"
#include "apps/flash-kda/commands.hpp"
#include "flash_kda/version.hpp"

namespace flash_kda::cli {
namespace {

constexpr const char* kExitCodes =
    "Exit codes: 0 done, 1 a verification or comparison failed, 2 bad input, 3 unsupported here.";

// CLI11's own messages span lines; ours are one.
std::string one_line(std::string text) {
  for (char& c : text) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  return text;
}

std::string parse_message(const CLI::App& app, const CLI::ParseError& error) {
  const std::vector<std::string> unknown = app.remaining();
  if (app.get_subcommands().empty() && !unknown.empty()) {
    return "no subcommand is called " + apps::in_quotes(unknown.front()) + " (see --help)";
  }
  return one_line(error.what()) + " (see --help)";
}

void add_all_commands(CLI::App& app, ExitCode& exit_code) {
  add_info_command(app, exit_code);
  add_prefill_command(app, exit_code);
  add_verify_command(app, exit_code);
  add_bench_command(app, exit_code);
  add_plot_command(app, exit_code);
#ifdef FLASH_KDA_HAVE_LM
  add_generate_command(app, exit_code);
  add_evaluate_command(app, exit_code);
  add_capture_command(app, exit_code);
#endif
}

int run_tool(int argc, char** argv) {
  CLI::App app("Kimi Delta Attention prefill: run it, check it, measure it.", "flash-kda");
  app.set_version_flag("--version", std::string("flash-kda ") + version());
  app.require_subcommand(1);
  app.fallthrough(false);
  app.footer(kExitCodes);
  ExitCode exit_code = ExitCode::kOk;
  add_all_commands(app, exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& request) {  // --help, --version
    return app.exit(request);
  } catch (const CLI::ParseError& error) {
    return static_cast<int>(fail(Status::invalid_argument(parse_message(app, error))));
  }
  if (std::fflush(stdout) != 0) {
    return static_cast<int>(fail(Status::invalid_argument("standard output: cannot write")));
  }
  return static_cast<int>(exit_code);
}

}  // namespace

ExitCode fail(const Status& status) {
  std::fprintf(stderr, "flash-kda: %s\n", one_line(status.message()).c_str());
  return status.code() == StatusCode::kInvalidArgument ? ExitCode::kBadInput
                                                       : ExitCode::kUnsupported;
}

}  // namespace flash_kda::cli

int main(int argc, char** argv) {
  // A file over the size limit is then an error of write(), which cleans up, and not a signal.
  std::signal(SIGXFSZ, SIG_IGN);
  using flash_kda::Status;
  using flash_kda::StatusCode;
  try {
    return flash_kda::cli::run_tool(argc, argv);
  } catch (const std::bad_alloc&) {
    return static_cast<int>(
        flash_kda::cli::fail(Status(StatusCode::kOutOfMemory, "not enough memory")));
  } catch (const std::exception& error) {
    return static_cast<int>(flash_kda::cli::fail(Status(StatusCode::kInternal, error.what())));
  }
}
