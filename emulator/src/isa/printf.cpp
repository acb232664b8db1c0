#include "isa/printf.hpp"

#include <cstdio>

namespace emulator::isa {
namespace {

struct Conversion {
  std::string spec;  // "%-5.2f"
  char kind = 0;
  bool is_long = false;
  u32 stars = 0;
};

// `at` points behind the '%'.
Conversion read_conversion(const std::string& f, size_t& at) {
  Conversion c;
  c.spec = "%";
  while (at < f.size()) {
    const char ch = f[at++];
    if (ch == 'h') continue;  // promoted to int anyway
    if (ch == 'l' || ch == 'z' || ch == 'j' || ch == 't') {
      c.is_long = true;
      continue;
    }
    c.stars += ch == '*';
    if (std::string("diouxXcsfFeEgGaAp%").find(ch) != std::string::npos) {
      c.kind = ch;
      return c;
    }
    c.spec += ch;
  }
  return c;
}

template <class... T>
std::string print(const std::string& spec, T... values) {
  char text[1024];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
  std::snprintf(text, sizeof text, spec.c_str(), values...);
#pragma GCC diagnostic pop
  return text;
}

class Arguments {
 public:
  explicit Arguments(const u8* at) : base_(at) {}
  template <class T>
  T next() {
    offset_ = align_up(offset_, sizeof(T));
    T v{};
    if (base_) v = load_as<T>(base_ + offset_);
    offset_ += sizeof(T);
    return v;
  }

 private:
  const u8* base_;
  u64 offset_ = 0;
};

}  // namespace

std::string format_device(const std::string& f, const u8* arguments,
                          const std::function<std::string(u64)>& read_string) {
  std::string out;
  Arguments args(arguments);
  for (size_t at = 0; at < f.size();) {
    const char ch = f[at++];
    if (ch != '%') {
      out += ch;
      continue;
    }
    Conversion c = read_conversion(f, at);
    if (c.kind == '%') {
      out += '%';
      continue;
    }
    for (; c.stars; --c.stars) {
      const size_t star = c.spec.find('*');
      c.spec.replace(star, 1, std::to_string(args.next<s32>()));
    }
    switch (c.kind) {
      case 'd':
      case 'i':
      case 'o':
      case 'u':
      case 'x':
      case 'X':
        out += c.is_long ? print(c.spec + "ll" + c.kind, args.next<long long>())
                         : print(c.spec + c.kind, args.next<int>());
        break;
      case 'c':
        out += print(c.spec + 'c', args.next<int>());
        break;
      case 's':
        out += print(c.spec + 's', read_string(args.next<u64>()).c_str());
        break;
      case 'p':
        out += print(c.spec + 'p', reinterpret_cast<void*>(args.next<u64>()));
        break;
      case 0:
        out += c.spec;
        break;
      default:
        out += print(c.spec + c.kind, args.next<double>());
    }
  }
  return out;
}

u32 count_conversions(const std::string& f) {
  u32 n = 0;
  for (size_t at = 0; at < f.size();) {
    if (f[at++] != '%') continue;
    const Conversion c = read_conversion(f, at);
    n += c.kind && c.kind != '%';
  }
  return n;
}

}  // namespace emulator::isa
