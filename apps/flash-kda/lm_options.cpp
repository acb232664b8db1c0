#include "apps/flash-kda/lm_options.hpp"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "apps/flash-kda/options.hpp"

namespace flash_kda::cli {
namespace {

// A document longer than this is a mistake: the model reads some thousand bytes a second.
constexpr std::uintmax_t kMaxDocumentBytes = 64 << 20;

Result<std::string> read_document(const std::string& path) {
  std::error_code error;
  const std::uintmax_t bytes = std::filesystem::file_size(path, error);
  if (error) return Status::invalid_argument(path + ": " + error.message());
  if (bytes == 0) return Status::invalid_argument(path + ": expected text, got an empty file");
  if (bytes > kMaxDocumentBytes) {
    return Status::invalid_argument(path + ": expected at most " +
                                    std::to_string(kMaxDocumentBytes) + " bytes, got " +
                                    std::to_string(bytes));
  }
  std::ifstream file(path, std::ios::binary);
  std::string text(bytes, '\0');
  if (!file.read(text.data(), static_cast<std::streamsize>(bytes))) {
    return Status::invalid_argument(path + ": cannot read: " + std::strerror(errno));
  }
  return text;
}

}  // namespace

void LmOptions::add_to(CLI::App& command) {
  command.add_option("--model", model, "Weights, as in models/")->required()->type_name("FILE");
  command.add_option("--prompt-file", document, "Text that the model reads, as raw bytes")
      ->required()
      ->type_name("FILE");
  command.add_flag("--json", json, "Print JSON");
}

void add_session_options(CLI::App& command, lm::SessionOptions& options) {
  add_plan_options(command, options.plan);
  command
      .add_option("--chunk-tokens", options.chunk_tokens,
                  "Tokens of the prompt that one call of the library reads; default: 512")
      ->check(CLI::Range(1, 1 << 16));
  add_choice(command, "--state-dtype", options.state_dtype, kStateDTypeChoices,
             "Type of the state between two calls; default: fp32");
}

Result<LmInput> open_lm_input(const LmOptions& options) {
  Result<std::string> document = read_document(options.document);
  if (!document.ok()) return document.status();
  Result<std::shared_ptr<const lm::Weights>> weights = lm::load_weights(options.model);
  if (!weights.ok()) return weights.status();
  return LmInput{*std::move(weights), *std::move(document)};
}

apps::Json timing_json(const lm::Timing& timing) {
  const double seconds = timing.seconds;
  return {{"tokens", timing.tokens},
          {"seconds", seconds},
          {"tokens_per_second", seconds > 0 ? static_cast<double>(timing.tokens) / seconds : 0.0},
          {"kda_share", seconds > 0 ? timing.kda_seconds / seconds : 0.0}};
}

}  // namespace flash_kda::cli
