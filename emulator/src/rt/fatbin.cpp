#include "rt/fatbin.hpp"

#include <cstdlib>
#include <vector>

#include "exec/error.hpp"
#include "rt/decompress.hpp"

namespace emulator::rt {
namespace {

constexpr u32 kWrapperMagic = 0x466243b1, kContainerMagic = 0xba55ed50;
constexpr u16 kKindPtx = 1;
constexpr u64 kLz4 = 0x2000, kZstd = 0x8000;  // Entry::flags

struct Wrapper {
  u32 magic, version;
  const u8* data;
  void* unused;
};

struct Container {
  u32 magic;
  u16 version, header_bytes;
  u64 bytes;
};

struct Entry {
  u16 kind, attributes;
  u32 header_bytes;
  u64 bytes;
  u32 compressed_bytes;
  u32 options_offset;
  u16 minor_version, major_version;
  u32 architecture;
  u32 name_offset, name_bytes;
  u64 flags;
  u64 zero;
  u64 uncompressed_bytes;
};

// Empty: it cannot be read.
std::string text_of(const Entry& e) {
  const char* data = reinterpret_cast<const char*>(&e) + e.header_bytes;
  if (!e.compressed_bytes) return std::string(data, strnlen(data, e.bytes));
  std::string text(e.uncompressed_bytes, '\0');
  const std::string_view packed(data, e.compressed_bytes);
  const bool done = e.flags & kLz4    ? decompress_lz4(packed, text)
                    : e.flags & kZstd ? decompress_zstd(packed, text)
                                      : false;
  return done ? text.c_str() : "";
}

// ".target sm_90a" of a PTX text.
std::string target_of(const std::string& ptx) {
  const size_t at = ptx.find(".target");
  if (at == std::string::npos) return "";
  size_t begin = ptx.find("sm_", at), end = begin;
  while (end < ptx.size() &&
         (std::isalnum(static_cast<unsigned char>(ptx[end])) || ptx[end] == '_'))
    ++end;
  return ptx.substr(begin, end - begin);
}

// Rank of a target for the device: 0 = cannot run; an exact "a" or "f" target beats the plain one.
u32 suitability(const std::string& target, u32 major, u32 minor) {
  if (target.size() < 4) return 0;
  const u32 version = static_cast<u32>(std::atoi(target.c_str() + 3));
  const u32 own = major * 10 + minor;
  const char suffix = target.back();
  if (suffix == 'a') return version == own ? version * 4 + 2 : 0;
  if (suffix == 'f') return version <= own && version / 10 == major ? version * 4 + 1 : 0;
  return version <= own ? version * 4 : 0;
}

}  // namespace

FatbinChoice choose_ptx(const void* fatbin, u32 major, u32 minor) {
  FatbinChoice choice;
  const auto* wrapper = static_cast<const Wrapper*>(fatbin);
  if (wrapper->magic != kWrapperMagic) return {"", "not a fat binary"};
  const auto* container = reinterpret_cast<const Container*>(wrapper->data);
  if (container->magic != kContainerMagic) return {"", "unknown container in the fat binary"};
  const u8* at = wrapper->data + container->header_bytes;
  const u8* end = at + container->bytes;
  u32 best = 0;
  std::string seen;
  while (at < end) {
    const auto* e = reinterpret_cast<const Entry*>(at);
    if (e->kind == kKindPtx) {
      std::string ptx = text_of(*e);
      if (ptx.empty())
        choice.error =
            "PTX is compressed in a way that is unknown, or libzstd.so.1 is missing; "
            "build with --compress-mode=none";
      const std::string target = target_of(ptx);
      if (!target.empty()) seen += " " + target;
      const u32 rank = suitability(target, major, minor);
      if (rank > best) {
        best = rank;
        choice.ptx = std::move(ptx);
      }
    }
    at += e->header_bytes + e->bytes;
  }
  if (choice.ptx.empty() && choice.error.empty())
    choice.error = format_text("no PTX for compute capability %u.%u; found:%s", major, minor,
                               seen.empty() ? " none (build with code=compute_XX)" : seen.c_str());
  return choice;
}

}  // namespace emulator::rt
