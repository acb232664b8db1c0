#include "apps/lm/generate.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace flash_kda::lm {
namespace {

std::span<const float> last_row(const Matrix& logits) {
  return {logits.data() + (logits.rows() - 1) * logits.cols(),
          static_cast<std::size_t>(logits.cols())};
}

}  // namespace

std::uint8_t Sampler::draw(std::span<const float> logits) {
  std::vector<int> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  // Ties go to the smaller byte, so that the order is one.
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return logits[a] > logits[b]; });
  if (options_.temperature <= 0) return static_cast<std::uint8_t>(order[0]);

  const auto all = static_cast<std::int64_t>(order.size());
  const std::int64_t kept = options_.top_k > 0 ? std::min(options_.top_k, all) : all;
  std::vector<double> cumulative;
  double sum = 0;
  for (std::int64_t i = 0; i < kept; ++i) {
    sum += std::exp(double{logits[order[i]] - logits[order[0]]} / options_.temperature);
    cumulative.push_back(sum);
  }
  // 53 bits of the engine; std::uniform_real_distribution differs between libraries.
  const double uniform = static_cast<double>(engine_() >> 11) * 0x1p-53;
  const auto chosen = std::upper_bound(cumulative.begin(), cumulative.end(), uniform * sum);
  const auto index = std::min<std::ptrdiff_t>(chosen - cumulative.begin(), kept - 1);
  return static_cast<std::uint8_t>(order[index]);
}

std::vector<std::uint8_t> document_tokens(std::string_view text) {
  std::vector<std::uint8_t> tokens{kDocumentStart};
  tokens.insert(tokens.end(), text.begin(), text.end());
  return tokens;
}

Result<Generation> generate(Session& session, std::string_view prompt,
                            const GenerateOptions& options) {
  Generation generation;
  Matrix logits;
  session.reset_timing();
  const Status status =
      session.read(document_tokens(prompt), [&](std::int64_t, const Matrix& part) {
        logits = part;
        if (options.on_read) options.on_read(part.rows());
      });
  if (!status.ok()) return status;
  generation.prompt = session.timing();

  session.reset_timing();
  Sampler sampler(options.sampling);
  for (std::int64_t i = 0; i < options.tokens; ++i) {
    const std::uint8_t byte = sampler.draw(last_row(logits));
    generation.text.push_back(static_cast<char>(byte));
    if (options.on_byte) options.on_byte(byte);
    if (Status step = session.forward({&byte, 1}, logits); !step.ok()) return step;
  }
  generation.decode = session.timing();
  return generation;
}

}  // namespace flash_kda::lm
