// A file that appears whole or not at all: bytes go to a temporary file beside the destination,
// which replaces it on commit. Without commit nothing is left behind.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "flash_kda/status.hpp"

namespace flash_kda::apps {

class AtomicFile {
 public:
  // Fails at once where the folder cannot be written, so that no work is done in vain. A
  // destination that exists and is no regular file (a folder, a device) is refused, never replaced.
  static Result<AtomicFile> create(const std::string& path);

  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();

  Status write(const void* data, std::size_t bytes);
  Status write(std::string_view text) { return write(text.data(), text.size()); }
  Status commit();

 private:
  AtomicFile(int descriptor, std::string path, std::string temporary_path);
  Status error(const char* action) const;

  int descriptor_ = -1;  // -1: moved from, or committed
  std::string path_;
  std::string temporary_path_;
};

Status write_text_file(const std::string& path, std::string_view text);

}  // namespace flash_kda::apps
