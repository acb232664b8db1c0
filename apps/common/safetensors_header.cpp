// The header of a safetensors file: JSON events -> entries -> checks between entries.

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "apps/common/dtype_names.hpp"
#include "apps/common/safetensors.hpp"

namespace flash_kda::apps {
namespace {

using Json = nlohmann::json;

Status bad_header(const std::string& what) {
  return Status::invalid_argument("safetensors header: " + what);
}

Status bad_tensor(const std::string& name, const std::string& what) {
  return Status::invalid_argument("safetensors header: tensor " + in_quotes(name) + ": " + what);
}

// One tensor as written, before its parts are checked against each other.
struct RawEntry {
  std::string name;
  std::optional<std::string> dtype;
  std::optional<std::vector<std::uint64_t>> shape;
  std::optional<std::vector<std::uint64_t>> offsets;
};

// Receives JSON events. Nothing nests deeper than name -> field -> list, so that the position is
// one value and hostile depth ends at the first level too many. Returning false stops the parser.
class HeaderEvents final : public nlohmann::json_sax<Json> {
 public:
  std::vector<RawEntry> entries;
  Metadata metadata;
  Status status;

  bool start_object(std::size_t) override {
    switch (position_) {
      case Position::kStart:
        position_ = Position::kTop;
        return true;
      case Position::kTop:
        position_ = key_ == "__metadata__" ? Position::kMetadata : Position::kTensor;
        if (position_ == Position::kTensor)
          entries.push_back({.name = key_, .dtype = {}, .shape = {}, .offsets = {}});
        return true;
      default:
        return unexpected("an object");
    }
  }

  bool end_object() override {
    position_ = position_ == Position::kTop ? Position::kStart : Position::kTop;
    return true;
  }

  bool key(string_t& name) override {
    if (position_ == Position::kTop && !names_.insert(name).second) {
      return fail("the name " + in_quotes(name) + " appears twice");
    }
    if (position_ == Position::kTensor && !is_new_field(name)) return false;
    if (position_ == Position::kMetadata && metadata.contains(name)) {
      return fail("__metadata__: the key " + in_quotes(name) + " appears twice");
    }
    (position_ == Position::kTop ? key_ : field_) = name;
    return true;
  }

  bool string(string_t& text) override {
    if (position_ == Position::kMetadata) {
      metadata.emplace(field_, text);
      return true;
    }
    if (position_ != Position::kTensor || field_ != "dtype") return unexpected("a string");
    entries.back().dtype = text;
    return true;
  }

  bool start_array(std::size_t) override {
    if (position_ != Position::kTensor || field_ == "dtype") return unexpected("a list");
    position_ = Position::kList;
    list().emplace();
    return true;
  }

  bool end_array() override {
    position_ = Position::kTensor;
    return true;
  }

  bool number_unsigned(number_unsigned_t value) override {
    if (position_ != Position::kList) return unexpected("a number");
    // Two offsets and kMaxRank sizes are all that a list may hold.
    if (list()->size() >= std::size_t{kMaxRank}) {
      return fail_tensor(field_ + " has more than " + std::to_string(kMaxRank) + " values");
    }
    list()->push_back(value);
    return true;
  }

  bool number_integer(number_integer_t) override { return unexpected("a negative number"); }
  bool number_float(number_float_t, const string_t&) override {
    return unexpected("a number that is no 64-bit integer");
  }
  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a boolean"); }
  bool binary(binary_t&) override { return unexpected("binary data"); }

  bool parse_error(std::size_t position, const std::string&, const Json::exception&) override {
    return fail("not valid JSON at byte " + std::to_string(position));
  }

 private:
  enum class Position { kStart, kTop, kMetadata, kTensor, kList };

  bool is_new_field(const std::string& name) {
    const RawEntry& entry = entries.back();
    if (name != "dtype" && name != "shape" && name != "data_offsets") {
      return fail_tensor("unknown field " + in_quotes(name));
    }
    const bool seen = name == "dtype"   ? entry.dtype.has_value()
                      : name == "shape" ? entry.shape.has_value()
                                        : entry.offsets.has_value();
    return !seen || fail_tensor("the field " + name + " appears twice");
  }

  std::optional<std::vector<std::uint64_t>>& list() {
    return field_ == "shape" ? entries.back().shape : entries.back().offsets;
  }

  bool fail(const std::string& what) {
    status = bad_header(what);
    return false;
  }
  bool fail_tensor(const std::string& what) {
    status = bad_tensor(entries.back().name, what);
    return false;
  }
  bool unexpected(const std::string& what) {
    switch (position_) {
      case Position::kStart:
        return fail("expected a JSON object, got " + what);
      case Position::kTop:
        return fail(in_quotes(key_) + ": expected an object, got " + what);
      case Position::kMetadata:
        return fail("__metadata__: " + in_quotes(field_) + ": expected a string, got " + what);
      default:
        return fail_tensor("unexpected " + what + " in " + field_);
    }
  }

  Position position_ = Position::kStart;
  std::string key_;    // current name at the top
  std::string field_;  // current name inside it
  std::set<std::string> names_;
};

Result<std::uint64_t> byte_size(const RawEntry& raw, DType dtype) {
  std::uint64_t bytes = size_of(dtype);
  for (const std::uint64_t extent : *raw.shape) {
    // A zero counts as one here: it must not hide strides that no int64 holds.
    if (__builtin_mul_overflow(bytes, std::max<std::uint64_t>(extent, 1), &bytes) ||
        bytes > std::uint64_t{std::numeric_limits<std::int64_t>::max()}) {
      return bad_tensor(raw.name, "the product of its shape overflows");
    }
  }
  const bool empty = std::ranges::find(*raw.shape, 0u) != raw.shape->end();
  return empty ? 0 : bytes;
}

Result<TensorEntry> checked_entry(const RawEntry& raw, std::uint64_t data_bytes) {
  if (!raw.dtype) return bad_tensor(raw.name, "dtype is missing");
  if (!raw.shape) return bad_tensor(raw.name, "shape is missing");
  if (!raw.offsets) return bad_tensor(raw.name, "data_offsets is missing");
  const std::optional<DType> dtype = dtype_from_safetensors_name(*raw.dtype);
  if (!dtype) {
    return bad_tensor(raw.name, "dtype " + in_quotes(*raw.dtype) +
                                    " is not supported; expected BF16, F16, F32, I32, I64 or U8");
  }
  if (raw.offsets->size() != 2) {
    return bad_tensor(
        raw.name, "data_offsets: expected 2 values, got " + std::to_string(raw.offsets->size()));
  }
  const std::uint64_t begin = (*raw.offsets)[0];
  const std::uint64_t end = (*raw.offsets)[1];
  const std::string span = "[" + std::to_string(begin) + ", " + std::to_string(end) + "]";
  if (begin > end || end > data_bytes) {
    return bad_tensor(raw.name, "data_offsets " + span + " lie outside the " +
                                    std::to_string(data_bytes) + " bytes of data");
  }
  const Result<std::uint64_t> bytes = byte_size(raw, *dtype);
  if (!bytes.ok()) return bytes.status();
  if (*bytes != end - begin) {
    return bad_tensor(raw.name, "its dtype and shape need " + std::to_string(*bytes) +
                                    " bytes, but data_offsets " + span + " hold " +
                                    std::to_string(end - begin));
  }
  return TensorEntry{raw.name, *dtype, {raw.shape->begin(), raw.shape->end()}, begin, end};
}

// The format allows no holes: a byte that no tensor owns could hide anything.
Status check_coverage(const std::vector<TensorEntry>& entries, std::uint64_t data_bytes) {
  std::uint64_t covered = 0;
  const std::string* previous = nullptr;
  for (const TensorEntry& entry : entries) {
    if (entry.begin < covered) {
      return bad_tensor(entry.name, "its data overlaps that of tensor " + in_quotes(*previous));
    }
    if (entry.begin > covered) {
      return bad_tensor(entry.name, "bytes " + std::to_string(covered) + " to " +
                                        std::to_string(entry.begin) +
                                        " before it belong to no tensor");
    }
    covered = entry.end;
    previous = &entry.name;
  }
  if (covered != data_bytes) {
    return bad_header("the tensors cover " + std::to_string(covered) + " of the " +
                      std::to_string(data_bytes) + " bytes of data");
  }
  return {};
}

}  // namespace

Result<std::uint64_t> parse_header_length(std::span<const std::byte> start,
                                          std::uint64_t file_bytes) {
  if (start.size() < 8 || file_bytes < 8) {
    return Status::invalid_argument("not a safetensors file: it has " + std::to_string(file_bytes) +
                                    " bytes, the header's length alone takes 8");
  }
  std::uint64_t length = 0;
  for (int i = 7; i >= 0; --i) length = length << 8 | std::to_integer<std::uint64_t>(start[i]);
  if (length > kMaxHeaderBytes) {
    return bad_header("its length " + std::to_string(length) + " is above the limit of " +
                      std::to_string(kMaxHeaderBytes) + " bytes");
  }
  if (length > file_bytes - 8) {
    return bad_header("its length " + std::to_string(length) + " is above the " +
                      std::to_string(file_bytes - 8) + " bytes that follow it in the file");
  }
  return length;
}

Result<SafetensorsHeader> parse_header(std::string_view json, std::uint64_t data_bytes) {
  if (!json.starts_with('{')) return bad_header("it does not start with '{'");
  HeaderEvents events;
  if (!Json::sax_parse(json.begin(), json.end(), &events)) return events.status;

  SafetensorsHeader header;
  header.metadata = std::move(events.metadata);
  header.entries.reserve(events.entries.size());
  for (const RawEntry& raw : events.entries) {
    Result<TensorEntry> entry = checked_entry(raw, data_bytes);
    if (!entry.ok()) return entry.status();
    header.entries.push_back(std::move(*entry));
  }
  // Empty tensors share their offset with a neighbour; ordering by the end too puts them first.
  std::ranges::stable_sort(header.entries, {}, [](const TensorEntry& entry) {
    return std::pair(entry.begin, entry.end);
  });
  if (Status status = check_coverage(header.entries, data_bytes); !status.ok()) return status;
  return header;
}

std::string in_quotes(std::string_view text) {
  // Long enough for any honest name, short enough for one line.
  constexpr std::size_t kMaxShown = 64;
  const bool cut = text.size() > kMaxShown;
  std::string shown(text.substr(0, kMaxShown));
  if (cut) shown += "...";
  return Json(shown).dump(-1, ' ', true, Json::error_handler_t::replace);
}

}  // namespace flash_kda::apps
