// Reader and writer of safetensors files, the format in which tensors come and go:
//
//   8 bytes   N, little endian
//   N bytes   JSON: {"name": {"dtype": "BF16", "shape": [..], "data_offsets": [begin, end]}, ..,
//             "__metadata__": {"key": "value", ..}}, padded with spaces
//   the rest  the data, without gaps or overlaps, row-major, little endian
//
// (https://github.com/huggingface/safetensors, "Format"). A file is not trusted: every rule of the
// format is checked before the data is read, and a broken one is named in the error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apps/common/atomic_file.hpp"
#include "flash_kda/status.hpp"
#include "flash_kda/tensor_view.hpp"

namespace flash_kda::apps {

// The limit of the reference implementation, so that no file asks for unlimited parsing.
inline constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;

struct TensorEntry {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;  // rank 0 (a scalar) to kMaxRank
  std::uint64_t begin = 0;          // bytes from the start of the data section
  std::uint64_t end = 0;
};

using Metadata = std::map<std::string, std::string>;

struct SafetensorsHeader {
  std::vector<TensorEntry> entries;  // in order of offset
  Metadata metadata;
};

// Parts of `open`, apart so that the fuzzer can feed them without files.
// N of the first 8 bytes (all there are, if fewer), checked against the size of the whole file.
Result<std::uint64_t> parse_header_length(std::span<const std::byte> start,
                                          std::uint64_t file_bytes);
// `json` is the N bytes, `data_bytes` all that follows them.
Result<SafetensorsHeader> parse_header(std::string_view json, std::uint64_t data_bytes);

// A file in memory. Every tensor starts on a 64-byte boundary, whatever its offset in the file.
class SafetensorsFile {
 public:
  static Result<SafetensorsFile> open(const std::string& path);

  std::span<const TensorEntry> entries() const { return header_.entries; }
  const Metadata& metadata() const { return header_.metadata; }
  const TensorEntry* find(std::string_view name) const;  // null: absent
  // Contiguous; valid as long as the file lives (moving it is allowed). The caller may write.
  TensorView view(const TensorEntry& entry) const;

 private:
  struct Free {
    void operator()(std::byte* data) const;
  };

  SafetensorsHeader header_;
  std::vector<std::size_t> positions_;  // of each entry in data_
  std::unique_ptr<std::byte[], Free> data_;
};

struct NamedTensor {
  std::string name;
  TensorView view;  // contiguous
};

// Writes the tensors, largest element type first, so that each lies aligned in the file. The caller
// commits.
Status write_safetensors(AtomicFile& file, std::span<const NamedTensor> tensors,
                         const Metadata& metadata = {});
// The same for a file that is opened and committed here.
Status save_safetensors(const std::string& path, std::span<const NamedTensor> tensors,
                        const Metadata& metadata = {});

// A name out of a file for an error message: quoted, control characters escaped, shortened.
std::string in_quotes(std::string_view text);

}  // namespace flash_kda::apps
