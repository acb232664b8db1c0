// gallery                     lists the exhibits: name, rule
// gallery NAME broken|mended  runs one; what the checker has to say goes where EMULATOR_REPORT asks
#include <cstdio>
#include <cstring>

#include "gallery.hpp"

namespace gallery {

std::vector<Exhibit>& exhibits() {
  static std::vector<Exhibit> all;
  return all;
}

}  // namespace gallery

int main(int argc, char** argv) {
  using gallery::Variant;
  if (argc != 3) {
    for (const gallery::Exhibit& e : gallery::exhibits())
      std::printf("%s %s\n", e.name.c_str(), e.rule.c_str());
    return 0;
  }
  for (const gallery::Exhibit& e : gallery::exhibits()) {
    if (e.name != argv[1]) continue;
    e.run(std::strcmp(argv[2], "broken") == 0 ? Variant::kBroken : Variant::kMended);
    return 0;
  }
  std::fprintf(stderr, "no exhibit %s\n", argv[1]);
  return 2;
}
