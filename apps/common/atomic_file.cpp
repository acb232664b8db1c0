#include "apps/common/atomic_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

namespace flash_kda::apps {
namespace {

namespace fs = std::filesystem;

// write(2) moves at most 0x7ffff000 bytes; a round figure below it.
constexpr std::size_t kMaxWriteBytes = std::size_t{1} << 30;

Status cannot(const char* action, const std::string& path, const std::string& why) {
  return Status::invalid_argument(path + ": cannot " + action + ": " + why);
}

// mkstemp makes the file private; a file that the user asked for gets the usual mode.
void give_usual_mode(int descriptor) {
  const mode_t mask = ::umask(0);
  ::umask(mask);
  ::fchmod(descriptor, 0666 & ~mask);
}

}  // namespace

Result<AtomicFile> AtomicFile::create(const std::string& path) {
  std::error_code error;
  fs::path destination = path;
  if (path.empty()) return cannot("write", "''", "the name is empty");
  if (fs::is_symlink(destination, error)) {
    // A link is written through, as every other tool does, rather than replaced.
    destination = fs::canonical(destination, error);
    if (error) return cannot("write", path, error.message());
  }
  const fs::file_status status = fs::status(destination, error);
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    return cannot("write", path, "it exists and is not a regular file");
  }
  if (fs::exists(status) && ::access(destination.c_str(), W_OK) != 0) {
    return cannot("write", path, std::strerror(errno));
  }
  std::string temporary = destination.string() + ".XXXXXX";
  const int descriptor = ::mkstemp(temporary.data());
  if (descriptor < 0) return cannot("write", path, std::strerror(errno));
  give_usual_mode(descriptor);
  return AtomicFile(descriptor, destination.string(), std::move(temporary));
}

AtomicFile::AtomicFile(int descriptor, std::string path, std::string temporary_path)
    : descriptor_(descriptor), path_(std::move(path)), temporary_path_(std::move(temporary_path)) {}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      path_(std::move(other.path_)),
      temporary_path_(std::move(other.temporary_path_)) {}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_path_.c_str());
}

Status AtomicFile::error(const char* action) const {
  return cannot(action, path_, std::strerror(errno));
}

Status AtomicFile::write(const void* data, std::size_t bytes) {
  const char* next = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = ::write(descriptor_, next, std::min(bytes, kMaxWriteBytes));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return error("write");
    next += written;
    bytes -= static_cast<std::size_t>(written);
  }
  return {};
}

Status AtomicFile::commit() {
  // Some file systems report a full disk only here.
  if (::fsync(descriptor_) != 0) return error("write");
  if (::rename(temporary_path_.c_str(), path_.c_str()) != 0) return error("replace");
  ::close(std::exchange(descriptor_, -1));
  return {};
}

Status write_text_file(const std::string& path, std::string_view text) {
  Result<AtomicFile> file = AtomicFile::create(path);
  if (!file.ok()) return file.status();
  if (Status status = file->write(text); !status.ok()) return status;
  return file->commit();
}

}  // namespace flash_kda::apps
