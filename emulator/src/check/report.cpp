#include "check/report.hpp"

#include <sstream>

namespace emulator::check {
namespace {

std::string quoted(const std::string& s) {
  std::string out = "\"";
  for (const char c : s) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char code[8];
      std::snprintf(code, sizeof code, "\\u%04x", c);
      out += code;
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string triple(const Dim3& d) {
  return std::to_string(d.x) + "," + std::to_string(d.y) + "," + std::to_string(d.z);
}

std::string source_position(const SiteInfo& info) {
  if (!info.file.empty()) return info.file + ":" + std::to_string(info.line);
  return "ptx line " + std::to_string(info.ptx_line);
}

std::string access_json(const AccessPlace& access, const SiteTable& sites) {
  std::ostringstream out;
  out << "{\"what\": " << quoted(access.what);
  if (access.site != kNoSite) {
    const SiteInfo info = sites.site_info(access.site);
    out << ", \"kernel\": " << quoted(info.kernel) << ", \"file\": " << quoted(info.file)
        << ", \"line\": " << info.line << ", \"ptx_line\": " << info.ptx_line
        << ", \"instruction\": " << quoted(info.text);
  }
  if (access.thread)
    out << ", \"cta\": [" << triple(access.thread->cta) << "], \"thread\": ["
        << triple(access.thread->thread) << "]";
  out << "}";
  return out.str();
}

}  // namespace

bool Reporter::count(Rule rule, Site now, Site before) {
  ++total_;
  std::lock_guard lock(mutex_);
  auto it = entries_.find({rule, now, before});
  if (it == entries_.end()) return entries_.size() < max_reports_;
  ++it->second.count;
  return false;
}

void Reporter::add(Finding finding) {
  const Key key{finding.rule, finding.now.site, finding.before ? finding.before->site : kNoSite};
  std::lock_guard lock(mutex_);
  Entry& entry = entries_[key];
  if (entry.count++ == 0) entry.finding = std::move(finding);
}

u64 Reporter::distinct() const {
  std::lock_guard lock(mutex_);
  return entries_.size();
}

std::string Reporter::access_text(const AccessPlace& access) const {
  std::string out = access.what;
  if (access.thread)
    out += " by thread (" + triple(access.thread->thread) + ") of CTA (" +
           triple(access.thread->cta) + ")";
  if (access.site != kNoSite) {
    const SiteInfo info = sites_.site_info(access.site);
    out += " at " + source_position(info) + ": " + info.text;
  }
  return out;
}

std::string Reporter::text() const {
  std::lock_guard lock(mutex_);
  std::ostringstream out;
  for (const auto& [key, entry] : entries_) {
    const Finding& f = entry.finding;
    out << "[" << rule_name(f.rule) << "] " << rule_explanation(f.rule);
    if (f.now.site != kNoSite) out << "\n    kernel " << sites_.site_info(f.now.site).kernel;
    out << "\n    now    " << access_text(f.now);
    if (f.before) out << "\n    before " << access_text(*f.before);
    if (!f.where.empty()) out << "\n    where  " << f.where;
    if (!f.note.empty()) out << "\n    note   " << f.note;
    if (entry.count > 1) out << "\n    " << entry.count << " times; the first is shown";
    out << "\n";
  }
  return out.str();
}

std::string Reporter::json() const {
  std::lock_guard lock(mutex_);
  std::ostringstream out;
  out << "{\"total\": " << total_ << ", \"reports\": [";
  const char* separator = "\n  ";
  for (const auto& [key, entry] : entries_) {
    const Finding& f = entry.finding;
    out << separator << "{\"rule\": " << quoted(rule_name(f.rule)) << ", \"count\": " << entry.count
        << ", \"now\": " << access_json(f.now, sites_);
    if (f.before) out << ", \"before\": " << access_json(*f.before, sites_);
    out << ", \"where\": " << quoted(f.where) << ", \"note\": " << quoted(f.note) << "}";
    separator = ",\n  ";
  }
  out << "\n]}\n";
  return out.str();
}

}  // namespace emulator::check
