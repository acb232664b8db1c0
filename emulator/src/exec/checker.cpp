#include "exec/checker.hpp"

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <string>
#include <vector>

#include "base/options.hpp"
#include "base/strings.hpp"
#include "exec/module.hpp"

namespace emulator {
namespace {

class Sites final : public check::SiteTable {
 public:
  void add(Kernel& k) {
    std::lock_guard lock(mutex_);
    k.site_base = next_;
    next_ += static_cast<u32>(k.code.size());
    kernels_.push_back(&k);
  }
  check::SiteInfo site_info(check::Site site) const override {
    std::lock_guard lock(mutex_);
    check::SiteInfo out;
    auto it = std::upper_bound(kernels_.begin(), kernels_.end(), site,
                               [](u32 s, const Kernel* k) { return s < k->site_base; });
    if (it == kernels_.begin()) return out;
    const Kernel& k = **--it;
    const u32 index = site - k.site_base;
    if (index >= k.info.size()) return out;
    const InstInfo& info = k.info[index];
    out.kernel = demangled(k.name);
    const auto& files = k.module->source.files;
    if (info.line && info.file < files.size()) out.file = files[info.file];
    out.line = info.line;
    out.ptx_line = info.ptx_line;
    out.text = info.text;
    return out;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<const Kernel*> kernels_;
  u32 next_ = 0;
};

Sites& sites() {
  static auto* s = new Sites;
  return *s;
}

check::CheckerOptions checker_options() {
  check::CheckerOptions out;
  if (const char* order = std::getenv("EMULATOR_CHECK_WARP");
      order && order == std::string("collectives"))
    out.warp_order = check::CheckerOptions::WarpOrder::kCollectives;
  if (const char* report = std::getenv("EMULATOR_CHECK_UNINITIALISED"); report && *report == '0')
    out.report_uninitialised = false;
  return out;
}

}  // namespace

check::Observer* checker() {
  static check::Observer* instance =
      options().check ? check::make_checker(checker_options(), sites()).release() : nullptr;
  return instance;
}

void register_sites(Kernel& kernel) { sites().add(kernel); }

}  // namespace emulator
