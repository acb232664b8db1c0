// Any bytes as a safetensors file: the parser must refuse or return entries that keep its promises.

#include <algorithm>
#include <cstdlib>
#include <limits>

#include "apps/common/safetensors.hpp"

namespace {

using flash_kda::apps::SafetensorsHeader;
using flash_kda::apps::TensorEntry;

void require(bool promise) {
  if (!promise) std::abort();
}

void check_entries(const SafetensorsHeader& header, std::uint64_t data_bytes) {
  std::uint64_t covered = 0;
  for (const TensorEntry& entry : header.entries) {
    require(entry.begin == covered && entry.begin <= entry.end);
    require(entry.shape.size() <= std::size_t{flash_kda::kMaxRank});
    // Sizes and strides fit int64, whatever is zero among them.
    std::int64_t elements = 1;
    std::int64_t stride = 1;
    for (const std::int64_t extent : entry.shape) {
      require(extent >= 0);
      elements *= extent;
      require(!__builtin_mul_overflow(stride, std::max<std::int64_t>(extent, 1), &stride));
    }
    require(static_cast<std::uint64_t>(elements) * flash_kda::size_of(entry.dtype) ==
            entry.end - entry.begin);
    covered = entry.end;
  }
  require(covered == data_bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  const auto length =
      flash_kda::apps::parse_header_length(bytes.first(std::min<std::size_t>(size, 8)), size);
  if (!length.ok()) return 0;
  require(*length <= size - 8);
  const std::string_view json(reinterpret_cast<const char*>(data) + 8, *length);
  const std::uint64_t data_bytes = size - 8 - *length;
  const auto header = flash_kda::apps::parse_header(json, data_bytes);
  if (header.ok()) {
    check_entries(*header, data_bytes);
  } else {
    // One line for stderr, whatever the file calls its tensors.
    require(header.status().message().find('\n') == std::string::npos);
  }
  return 0;
}
