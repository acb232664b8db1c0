// `flash-kda plot`: a bench report as a picture, SVG by itself, PNG by way of rsvg-convert.

#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "apps/common/atomic_file.hpp"
#include "apps/flash-kda/bench_report.hpp"
#include "apps/flash-kda/commands.hpp"
#include "apps/flash-kda/plot_panels.hpp"

extern char** environ;

namespace flash_kda::cli {
namespace {

using apps::Json;

struct PlotOptions {
  std::string input, output;
  bool json = false;

  void add_to(CLI::App& command) {
    command.add_option("input", input, "Report written by flash-kda bench --json")
        ->required()
        ->type_name("BENCH.json");
    command.add_option("-o,--output", output, "Picture to write, .svg or .png")
        ->required()
        ->type_name("FILE");
    command.add_flag("--json", json, "Print JSON");
  }
};

// A folder in the system's place for temporary files, removed with all it holds.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "flash-kda-XXXXXX").string();
    if (::mkdtemp(name.data())) path_ = name;
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ~ScratchFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  bool exists() const { return !path_.empty(); }
  std::string file(const char* name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

// Runs a program without a shell and waits.
Status run_program(std::vector<std::string> words) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t child = 0;
  const int error =
      ::posix_spawnp(&child, arguments[0], nullptr, nullptr, arguments.data(), environ);
  if (error == ENOENT) {
    return Status::unsupported(words[0] +
                               ": not found; PNG needs it (Debian package librsvg2-bin), "
                               "SVG does not");
  }
  if (error != 0) return Status::unsupported(words[0] + ": " + std::strerror(error));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (status == 0) return {};
  return Status(StatusCode::kInternal, words[0] + " failed");
}

Result<std::string> to_png(const std::string& svg) {
  const ScratchFolder folder;
  if (!folder.exists()) return Status::unsupported("cannot make a folder for temporary files");
  const std::string source = folder.file("plot.svg");
  const std::string picture = folder.file("plot.png");
  if (Status status = apps::write_text_file(source, svg); !status.ok()) return status;
  if (Status status = run_program({"rsvg-convert", "-f", "png", "-o", picture, source});
      !status.ok()) {
    return status;
  }
  std::ifstream stream(picture, std::ios::binary);
  return std::string{std::istreambuf_iterator<char>(stream), {}};
}

ExitCode run_plot(const PlotOptions& options) {
  const std::string extension = std::filesystem::path(options.output).extension();
  if (extension != ".svg" && extension != ".png") {
    return fail(Status::invalid_argument(
        "--output: expected a name that ends in .svg or .png, got " + options.output));
  }
  const Result<Json> report = load_bench_report(options.input);
  if (!report.ok()) return fail(report.status());
  if ((*report)["rows"].empty()) {
    return fail(Status::invalid_argument(options.input + ": the report has no rows to draw"));
  }
  std::string picture;
  try {
    picture = draw_report(*report);
  } catch (const Json::exception& error) {  // a field of an unexpected type
    return fail(Status::invalid_argument(options.input + ": " + error.what()));
  }
  if (extension == ".png") {
    Result<std::string> png = to_png(picture);
    if (!png.ok()) return fail(png.status());
    picture = *std::move(png);
  }
  if (Status status = apps::write_text_file(options.output, picture); !status.ok()) {
    return fail(status);
  }
  const Json json = {
      {"output", options.output}, {"rows", (*report)["rows"].size()}, {"bytes", picture.size()}};
  if (options.json) {
    fmt::print("{}", apps::dump(json));
  } else {
    fmt::print("{}: {} rows drawn\n", options.output, (*report)["rows"].size());
  }
  return ExitCode::kOk;
}

}  // namespace

void add_plot_command(CLI::App& app, ExitCode& exit_code) {
  add_command<PlotOptions>(app, exit_code, "plot", "Draw a bench report", run_plot);
}

}  // namespace flash_kda::cli
