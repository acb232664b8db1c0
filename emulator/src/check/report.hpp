// Collects what the checker found: equal findings are merged and counted.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "check/clock.hpp"
#include "check/observer.hpp"

namespace emulator::check {

struct ThreadPlace {
  Dim3 cta{0, 0, 0};
  Dim3 thread{0, 0, 0};
};

struct AccessPlace {
  Site site = kNoSite;
  std::string what;  // "write", "bulk copy", ...
  std::optional<ThreadPlace> thread;
};

struct Finding {
  Rule rule = Rule::kIllegal;
  AccessPlace now;
  std::optional<AccessPlace> before;
  std::string where;  // "shared memory +128", "global 0x..."
  std::string note;
};

const char* rule_name(Rule rule);         // stable, for tools: "read-after-write"
const char* rule_explanation(Rule rule);  // one sentence for people

class Reporter {
 public:
  Reporter(const SiteTable& sites, u32 max_reports) : sites_(sites), max_reports_(max_reports) {}

  // True if the caller should describe this finding in full: the first of its kind.
  bool count(Rule rule, Site now, Site before);
  void add(Finding finding);

  u64 total() const { return total_; }
  u64 distinct() const;
  std::string text() const;
  std::string json() const;

 private:
  struct Key {
    Rule rule;
    Site now, before;
    auto operator<=>(const Key&) const = default;
  };
  struct Entry {
    Finding finding;
    u64 count = 0;
  };
  std::string access_text(const AccessPlace& access) const;

  const SiteTable& sites_;
  const u32 max_reports_;
  std::atomic<u64> total_{0};
  mutable std::mutex mutex_;
  std::map<Key, Entry> entries_;
};

}  // namespace emulator::check
