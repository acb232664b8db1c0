#include "apps/common/safetensors.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <new>
#include <nlohmann/json.hpp>
#include <utility>

#include "apps/common/dtype_names.hpp"

namespace flash_kda::apps {
namespace {

namespace fs = std::filesystem;

// One cache line and one AVX-512 vector.
constexpr std::size_t kTensorAlignment = 64;

std::size_t aligned(std::size_t bytes) {
  return (bytes + kTensorAlignment - 1) / kTensorAlignment * kTensorAlignment;
}

Status with_path(const std::string& path, const Status& status) {
  return {status.code(), path + ": " + status.message()};
}

bool read_exactly(std::ifstream& stream, void* data, std::uint64_t bytes) {
  stream.read(static_cast<char*>(data), static_cast<std::streamsize>(bytes));
  return stream.good() || (stream.eof() && stream.gcount() == static_cast<std::streamsize>(bytes));
}

}  // namespace

void SafetensorsFile::Free::operator()(std::byte* data) const { std::free(data); }

Result<SafetensorsFile> SafetensorsFile::open(const std::string& path) {
  std::error_code error;
  const fs::file_status file_status = fs::status(path, error);
  if (!fs::exists(file_status)) {
    return Status::invalid_argument(path +
                                    ": cannot read: " + (error ? error.message() : "no such file"));
  }
  if (!fs::is_regular_file(file_status)) {
    return Status::invalid_argument(path + ": cannot read: it is not a regular file");
  }
  const std::uint64_t file_bytes = fs::file_size(path, error);
  std::ifstream stream(path, std::ios::binary);
  if (error || !stream) return Status::invalid_argument(path + ": cannot read the file");

  std::array<std::byte, 8> start{};
  if (file_bytes >= start.size() && !read_exactly(stream, start.data(), start.size())) {
    return Status::invalid_argument(path + ": reading failed");
  }
  const Result<std::uint64_t> length = parse_header_length(start, file_bytes);
  if (!length.ok()) return with_path(path, length.status());
  std::string json(*length, '\0');
  if (!read_exactly(stream, json.data(), json.size())) {
    return Status::invalid_argument(path + ": reading the header failed");
  }
  Result<SafetensorsHeader> header = parse_header(json, file_bytes - 8 - *length);
  if (!header.ok()) return with_path(path, header.status());

  SafetensorsFile file;
  file.header_ = std::move(*header);
  std::size_t total = kTensorAlignment;  // never an allocation of zero bytes
  for (const TensorEntry& entry : file.header_.entries) {
    file.positions_.push_back(total - kTensorAlignment);
    total += aligned(entry.end - entry.begin);
  }
  file.data_.reset(static_cast<std::byte*>(std::aligned_alloc(kTensorAlignment, total)));
  if (!file.data_) return Status{StatusCode::kOutOfMemory, path + ": too large for the memory"};
  for (std::size_t i = 0; i < file.header_.entries.size(); ++i) {
    const TensorEntry& entry = file.header_.entries[i];
    if (!read_exactly(stream, file.data_.get() + file.positions_[i], entry.end - entry.begin)) {
      return Status::invalid_argument(path + ": reading tensor " + in_quotes(entry.name) +
                                      " failed");
    }
  }
  return file;
}

const TensorEntry* SafetensorsFile::find(std::string_view name) const {
  const auto found = std::ranges::find(header_.entries, name, &TensorEntry::name);
  return found == header_.entries.end() ? nullptr : &*found;
}

TensorView SafetensorsFile::view(const TensorEntry& entry) const {
  const std::size_t index = static_cast<std::size_t>(&entry - header_.entries.data());
  TensorView view;
  view.data = data_.get() + positions_[index];
  view.dtype = entry.dtype;
  view.rank = static_cast<int>(entry.shape.size());
  std::int64_t stride = 1;
  for (int d = view.rank - 1; d >= 0; --d) {
    view.shape[d] = entry.shape[d];
    view.strides[d] = stride;
    stride *= std::max<std::int64_t>(entry.shape[d], 1);
  }
  return view;
}

Status write_safetensors(AtomicFile& file, std::span<const NamedTensor> tensors,
                         const Metadata& metadata) {
  std::vector<const NamedTensor*> order;
  for (const NamedTensor& tensor : tensors) order.push_back(&tensor);
  std::ranges::stable_sort(order, std::ranges::greater{},
                           [](const NamedTensor* tensor) { return size_of(tensor->view.dtype); });

  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t offset = 0;
  for (const NamedTensor* tensor : order) {
    const TensorView& view = tensor->view;
    const std::uint64_t end = offset + view.num_elements() * size_of(view.dtype);
    const std::vector<std::int64_t> shape(view.shape.begin(), view.shape.begin() + view.rank);
    header[tensor->name] = {
        {"dtype", safetensors_name(view.dtype)}, {"shape", shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string json = header.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  json.resize((json.size() + 7) / 8 * 8, ' ');  // keeps the data 8-byte aligned in the file

  std::string length;
  for (int i = 0; i < 8; ++i) length += static_cast<char>(json.size() >> (8 * i) & 0xff);
  if (Status status = file.write(length + json); !status.ok()) return status;
  for (const NamedTensor* tensor : order) {
    const std::size_t bytes = tensor->view.num_elements() * size_of(tensor->view.dtype);
    if (Status status = file.write(tensor->view.data, bytes); !status.ok()) return status;
  }
  return {};
}

Status save_safetensors(const std::string& path, std::span<const NamedTensor> tensors,
                        const Metadata& metadata) {
  Result<AtomicFile> file = AtomicFile::create(path);
  if (!file.ok()) return file.status();
  if (Status status = write_safetensors(*file, tensors, metadata); !status.ok()) return status;
  return file->commit();
}

}  // namespace flash_kda::apps
