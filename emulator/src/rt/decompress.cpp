#include "rt/decompress.hpp"

#include <dlfcn.h>

#include <cstring>

namespace emulator::rt {
namespace {

// A length of 15 goes on in the bytes that follow, until one is below 255.
bool extend(std::string_view in, size_t& at, size_t& length) {
  if (length != 15) return true;
  unsigned char more = 255;
  while (more == 255) {
    if (at == in.size()) return false;
    more = static_cast<unsigned char>(in[at++]);
    length += more;
  }
  return true;
}

}  // namespace

// Block format: https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md
bool decompress_lz4(std::string_view in, std::string& out) {
  size_t at = 0, to = 0;
  while (at < in.size()) {
    const unsigned token = static_cast<unsigned char>(in[at++]);
    size_t literals = token >> 4;
    if (!extend(in, at, literals) || literals > in.size() - at || literals > out.size() - to)
      return false;
    std::memcpy(out.data() + to, in.data() + at, literals);
    at += literals;
    to += literals;
    if (at == in.size()) break;  // the last sequence has no match
    if (in.size() - at < 2) return false;
    const size_t distance = static_cast<unsigned char>(in[at]) |
                            static_cast<size_t>(static_cast<unsigned char>(in[at + 1])) << 8;
    at += 2;
    size_t match = token & 15;
    if (!extend(in, at, match)) return false;
    match += 4;
    if (distance == 0 || distance > to || match > out.size() - to) return false;
    for (; match; --match, ++to) out[to] = out[to - distance];  // the two may overlap
  }
  return to == out.size();
}

// The library is looked for when it is needed, so that only those who need it depend on it.
bool decompress_zstd(std::string_view in, std::string& out) {
  using Decompress = size_t (*)(void*, size_t, const void*, size_t);
  static const auto decompress = [] {
    void* library = dlopen("libzstd.so.1", RTLD_NOW | RTLD_LOCAL);
    return reinterpret_cast<Decompress>(library ? dlsym(library, "ZSTD_decompress") : nullptr);
  }();
  return decompress && decompress(out.data(), out.size(), in.data(), in.size()) == out.size();
}

}  // namespace emulator::rt
