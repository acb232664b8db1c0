#include "exec/error.hpp"

#include <cstdarg>
#include <cstdio>
#include <mutex>
#include <vector>

#include "base/options.hpp"
#include "exec/module.hpp"
#include "exec/warp.hpp"

namespace emulator {
namespace {

std::string format_list(const char* format, va_list list) {
  va_list copy;
  va_copy(copy, list);
  const int n = std::vsnprintf(nullptr, 0, format, copy);
  va_end(copy);
  std::string out(n > 0 ? static_cast<size_t>(n) : 0, '\0');
  std::vsnprintf(out.data(), out.size() + 1, format, list);
  return out;
}

}  // namespace

std::string format_text(const char* format, ...) {
  va_list list;
  va_start(list, format);
  std::string out = format_list(format, list);
  va_end(list);
  return out;
}

void fault(Warp& w, const Inst& i, FaultKind kind, const char* format, ...) {
  va_list list;
  va_start(list, format);
  const std::string what = format_list(format, list);
  va_end(list);
  const Cta& c = *w.cta;
  throw KernelFault(kind, format_text("%s\n  kernel %s, CTA (%u,%u,%u), warp %u\n  at %s",
                                      what.c_str(), w.kernel->name.c_str(), c.id[0], c.id[1],
                                      c.id[2], w.id, w.kernel->describe(i).c_str()));
}

void report_line(const std::string& text) {
  static std::mutex mutex;
  std::lock_guard lock(mutex);
  const std::string& file = options().report_file;
  std::FILE* out = file.empty() ? stderr : std::fopen(file.c_str(), "a");
  if (!out) out = stderr;
  std::fprintf(out, "%s\n", text.c_str());
  if (out != stderr) std::fclose(out);
}

std::string Kernel::describe(const Inst& inst) const {
  const InstInfo& f = info_of(inst);
  const auto& files = module->source.files;
  std::string place = f.line && f.file < files.size() ? files[f.file] + ":" + std::to_string(f.line)
                                                      : "PTX line " + std::to_string(f.ptx_line);
  return place + ": " + f.text;
}

}  // namespace emulator
