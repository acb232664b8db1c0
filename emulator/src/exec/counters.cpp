#include "exec/counters.hpp"

#include <algorithm>
#include <bit>
#include <map>
#include <mutex>
#include <tuple>

#include "base/strings.hpp"
#include "exec/error.hpp"
#include "exec/module.hpp"

namespace emulator {
namespace {

// How an instruction is listed: equal ones are added up.
struct Entry {
  std::string file, opcode;
  u32 line = 0;
  auto operator<=>(const Entry&) const = default;
};

struct KernelCounts {
  u64 launches = 0, ctas = 0, threads = 0;
  std::vector<Entry> entries;  // by instruction
  std::vector<InstCount> counts;
};

std::mutex mutex;
std::map<std::string, KernelCounts>& all_kernels() {
  static auto* all = new std::map<std::string, KernelCounts>;  // outlives static destructors
  return *all;
}

// "@%p1 ld.shared.v4.f32 {%f1, ..." to "ld.shared.v4.f32"
std::string opcode_of(const std::string& text) {
  size_t at = text.find_first_not_of(" \t");
  if (at != std::string::npos && text[at] == '@')
    at = text.find_first_not_of(" \t", text.find_first_of(" \t", at));
  if (at == std::string::npos) return text;
  return text.substr(at, text.find_first_of(" \t;", at) - at);
}

KernelCounts& record_of(const Kernel& k) {
  KernelCounts& record = all_kernels()[k.name];
  if (record.counts.size() == k.code.size()) return record;
  record.counts.assign(k.code.size(), {});
  record.entries.clear();
  const auto& files = k.module->source.files;
  for (u32 n = 0; n < k.code.size(); ++n) {
    const InstInfo& info = k.info[n];
    Entry entry;
    entry.opcode = opcode_of(info.text);
    entry.line = info.line;
    if (info.line && info.file < files.size()) entry.file = files[info.file];
    record.entries.push_back(std::move(entry));
  }
  return record;
}

bool begins(std::string_view text, std::initializer_list<std::string_view> heads) {
  return std::any_of(heads.begin(), heads.end(),
                     [&](std::string_view head) { return text.starts_with(head); });
}

bool has(std::string_view text, std::initializer_list<std::string_view> parts) {
  return std::any_of(parts.begin(), parts.end(), [&](std::string_view part) {
    return text.find(part) != std::string_view::npos;
  });
}

const char* memory_class(std::string_view op) {
  if (has(op, {".shared"})) return "shared";
  if (has(op, {".global"})) return "global";
  if (has(op, {".local"})) return "local";
  return has(op, {".param", ".const"}) ? "constant" : "generic";
}

const char* class_of(std::string_view op) {
  if (begins(op, {"mma"})) return "mma";
  if (begins(op, {"wgmma.mma"})) return "wgmma";
  if (begins(op, {"ldmatrix", "stmatrix"})) return "shared";
  if (begins(op, {"cp.async.bulk"}) && !has(op, {"wait_group", "commit_group"})) return "copy";
  if (has(op, {"wait_group", "commit_group", "mbarrier"}) ||
      begins(op, {"bar", "fence", "membar", "wgmma", "griddep", "nanosleep", "setmaxnreg"}))
    return "sync";
  if (begins(op, {"cp.", "st.async", "red.async"})) return "copy";
  if (begins(op, {"ld", "st", "atom", "red.", "prefetch"})) return memory_class(op);
  if (begins(op, {"bra", "brx", "ret", "exit", "trap", "call"})) return "control";
  if (begins(op, {"shfl", "vote", "match", "redux", "movmatrix", "elect", "activemask"}))
    return "warp";
  if (begins(op, {"ex2", "lg2", "tanh", "rcp", "rsqrt", "sqrt", "sin", "cos"})) return "special";
  if (begins(op, {"cvt"})) return begins(op, {"cvta"}) ? "integer" : "convert";
  if (begins(op, {"mov", "selp", "prmt"})) return "move";
  if (has(op, {".f64"})) return "fp64";
  if (has(op, {".f32"})) return "fp32";
  return has(op, {"f16"}) ? "half" : "integer";
}

u32 distinct(u32* values, u32 n) {
  std::sort(values, values + n);
  return static_cast<u32>(std::unique(values, values + n) - values);
}

// Of one warp: m16n8k16 in the opcode; a wgmma belongs to four warps.
u64 multiply_adds(std::string_view op) {
  const size_t at = op.find(".m");
  if (!(begins(op, {"mma", "wgmma.mma"})) || at == std::string_view::npos) return 0;
  u64 product = 1, number = 0;
  for (const char c : op.substr(op.find_first_of("0123456789", at))) {
    if (c >= '0' && c <= '9') {
      number = number * 10 + static_cast<u64>(c - '0');
    } else {
      product *= number;
      number = 0;
      if (c == '.') break;
    }
  }
  return begins(op, {"wgmma"}) ? product / 4 : product;
}

std::string fields(const InstCount& c, u64 products) {
  const std::pair<const char*, u64> values[] = {{"warp_instructions", c.warps},
                                                {"thread_instructions", c.threads},
                                                {"shared_bytes", c.shared_bytes},
                                                {"shared_wavefronts", c.wavefronts},
                                                {"shared_wavefronts_ideal", c.ideal_wavefronts},
                                                {"global_bytes", c.global_bytes},
                                                {"global_sectors", c.sectors},
                                                {"copy_bytes", c.copy_bytes},
                                                {"multiply_adds", products},
                                                {"wgmma_operand_bytes", c.operand_bytes}};
  std::string out;
  for (const auto& [name, value] : values) {
    if (!value) continue;
    if (!out.empty()) out += ", ";
    out += format_text("\"%s\": %llu", name, static_cast<unsigned long long>(value));
  }
  return out;
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

// Bits 4 to 7 and 9: "4-7,9".
std::string list_of(u64 bits) {
  std::string out;
  for (u32 first = 0; first < 64; ++first) {
    if (!(bits >> first & 1)) continue;
    u32 last = first;
    while (last < 63 && bits >> (last + 1) & 1) ++last;
    if (!out.empty()) out += ",";
    out += format_text(first == last ? "%u" : "%u-%u", first, last);
    first = last;
  }
  return out;
}

std::string kernel_json(const std::string& name, const KernelCounts& k) {
  struct Sum {
    InstCount count;
    u64 products = 0;
  };
  Sum totals;
  std::map<std::string, Sum> classes;
  std::map<std::pair<Entry, u64>, Sum> entries;  // by instruction and warps
  for (size_t n = 0; n < k.counts.size(); ++n) {
    if (!k.counts[n].warps) continue;
    const u64 products = k.counts[n].warps * multiply_adds(k.entries[n].opcode);
    for (Sum* sum : {&totals, &classes[class_of(k.entries[n].opcode)],
                     &entries[{k.entries[n], k.counts[n].who}]}) {
      sum->count.add(k.counts[n]);
      sum->products += products;
    }
  }
  std::string out = format_text(
      "{\"kernel\": %s, \"symbol\": %s, \"launches\": %llu, \"ctas\": %llu, \"threads\": %llu,\n",
      quoted(demangled(name)).c_str(), quoted(name).c_str(),
      static_cast<unsigned long long>(k.launches), static_cast<unsigned long long>(k.ctas),
      static_cast<unsigned long long>(k.threads));
  out += " \"totals\": {" + fields(totals.count, totals.products) + "},\n \"classes\": {";
  const char* comma = "";
  for (const auto& [what, sum] : classes) {
    out +=
        format_text("%s\n  \"%s\": {", comma, what.c_str()) + fields(sum.count, sum.products) + "}";
    comma = ",";
  }
  out += "},\n \"lines\": [";
  comma = "";
  for (const auto& [key, sum] : entries) {
    const Entry& entry = key.first;
    out += format_text("%s\n  {\"file\": ", comma) + quoted(entry.file);
    out += format_text(", \"line\": %u, \"opcode\": \"%s\", \"class\": \"%s\", \"warps\": \"%s\", ",
                       entry.line, entry.opcode.c_str(), class_of(entry.opcode),
                       list_of(key.second).c_str());
    out += fields(sum.count, sum.products) + "}";
    comma = ",";
  }
  return out + "]}";
}

}  // namespace

void InstCount::add(const InstCount& other) {
  warps += other.warps;
  threads += other.threads;
  who |= other.who;
  shared_bytes += other.shared_bytes;
  wavefronts += other.wavefronts;
  ideal_wavefronts += other.ideal_wavefronts;
  global_bytes += other.global_bytes;
  sectors += other.sectors;
  copy_bytes += other.copy_bytes;
  operand_bytes += other.operand_bytes;
}

void count_shared(InstCount& count, u32 mask, u32 bytes, const u32* offsets) {
  const u32 lanes_at_once = bytes <= 4 ? 32 : bytes == 8 ? 16 : bytes == 16 ? 8 : 4;
  count.shared_bytes += u64{bytes} * static_cast<u32>(std::popcount(mask));
  for (u32 first = 0; first < kWarpSize; first += lanes_at_once) {
    u32 words[kWarpSize], n = 0;
    for (u32 l = first; l < first + lanes_at_once; ++l)
      if (mask >> l & 1)
        for (u32 b = 0; b < bytes; b += 4) words[n++] = (offsets[l] + b) / 4;
    if (!n) continue;
    n = distinct(words, n);
    u32 in_bank[32] = {};
    u32 most = 0;
    for (u32 k = 0; k < n; ++k) most = std::max(most, ++in_bank[words[k] % 32]);
    count.wavefronts += most;
    ++count.ideal_wavefronts;
  }
}

void count_global(InstCount& count, u32 mask, u32 bytes, const u64* addresses) {
  u32 sectors[2 * kWarpSize], n = 0;
  for (u32 l = 0; l < kWarpSize; ++l) {
    if (!(mask >> l & 1)) continue;
    count.global_bytes += bytes;
    sectors[n++] = static_cast<u32>(addresses[l] / 32);
    const u32 last = static_cast<u32>((addresses[l] + bytes - 1) / 32);
    if (last != sectors[n - 1]) sectors[n++] = last;
  }
  count.sectors += distinct(sectors, n);
}

void add_counts(const Kernel& kernel, const std::vector<InstCount>& counts) {
  std::lock_guard lock(mutex);
  KernelCounts& record = record_of(kernel);
  for (size_t n = 0; n < counts.size(); ++n) record.counts[n].add(counts[n]);
}

void add_launch(const Kernel& kernel, u64 ctas, u32 threads) {
  std::lock_guard lock(mutex);
  KernelCounts& record = record_of(kernel);
  ++record.launches;
  record.ctas += ctas;
  record.threads += ctas * threads;
}

std::string counters_json() {
  std::lock_guard lock(mutex);
  std::string out = "{\"kernels\": [";
  const char* comma = "";
  for (const auto& [name, counts] : all_kernels()) {
    out += comma;
    out += "\n";
    out += kernel_json(name, counts);
    comma = ",";
  }
  return out + "\n]}\n";
}

}  // namespace emulator
