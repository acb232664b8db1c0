// From "these two accesses are not ordered" to a report that says which rule was broken.
#include <cstdio>

#include "check/cta_checker.hpp"

namespace emulator::check {
namespace {

bool is_strong(Strength s) { return s >= Strength::kCta && s <= Strength::kSys; }

const char* what_is(ActorKind kind, PastAccess::Kind access) {
  const bool write = access == PastAccess::Kind::kWrite;
  switch (kind) {
    case ActorKind::kWarp:
      return write ? "write" : "read";
    case ActorKind::kCpAsync:
      return write ? "write of cp.async issued" : "read of cp.async issued";
    case ActorKind::kBulkRead:
      return "read of a bulk store issued";
    case ActorKind::kBulkWrite:
      return "write of a bulk store issued";
    case ActorKind::kWgmma:
      return "read of wgmma issued";
    case ActorKind::kMbarrier:
      return write ? "write of a bulk load" : "read of a bulk load";
  }
  return "access";
}

}  // namespace

std::string place_text(const CellPlace& at, u64 offset) {
  char text[64];
  if (at.space == CellPlace::Space::kShared)
    std::snprintf(text, sizeof text, "shared memory +%llu of CTA %u",
                  static_cast<unsigned long long>(offset), at.owner_cta);
  else
    std::snprintf(text, sizeof text, "global memory 0x%llx",
                  static_cast<unsigned long long>(at.address + offset));
  return text;
}

AccessPlace CtaChecker::place(const PastAccess& past) const {
  AccessPlace out;
  out.site = past.site;
  const bool current = past.actor >= record_.first_actor;
  const LaunchRecord& launch = current ? record_ : launch_.previous;
  if (past.actor < launch.first_actor || past.actor >= launch.end_actor) {
    out.what = past.kind == PastAccess::Kind::kWrite ? "write" : "read";
    return out;
  }
  const u32 index = past.actor - launch.first_actor;
  const u32 local = index % launch.layout.per_cta;
  const ActorKind kind = launch.layout.kind(local);
  out.what = what_is(kind, past.kind);
  if (kind != ActorKind::kMbarrier) {
    const Dim3 cta =
        launch.cta_of(index / launch.span(), index % launch.span() / launch.layout.per_cta);
    out.thread = launch.thread(cta, launch.layout.warp_of(local),
                               static_cast<u32>(__builtin_ctz(past.lanes | 1u << 31)));
  }
  if (!current) out.what += " in the previous launch";
  return out;
}

AccessPlace CtaChecker::place_now(Site site, u32 warp, u32 lane, const char* what) const {
  AccessPlace out;
  out.site = site;
  out.what = what;
  out.thread =
      record_.thread(record_.cta_of(cluster_->index, rank_), warp, lane < kLanes ? lane : 0);
  return out;
}

void CtaChecker::report(Rule rule, const AccessContext& context, u32 lane, const PastAccess* past,
                        const char* now_what, std::string where, std::string note) {
  Reporter& reporter = launch_.checker.reporter;
  if (!reporter.count(rule, context.site, past ? past->site : kNoSite)) return;
  Finding finding;
  finding.rule = rule;
  finding.now = place_now(context.site, context.warp, lane, now_what);
  if (past) finding.before = place(*past);
  finding.where = std::move(where);
  finding.note = std::move(note);
  reporter.add(std::move(finding));
}

void CtaChecker::report_at(Rule rule, const AccessContext& context, u32 lane,
                           const PastAccess* past, const char* now_what, u64 offset,
                           const CellPlace& at, const char* note) {
  if (!launch_.checker.reporter.count(rule, context.site, past ? past->site : kNoSite)) return;
  Finding finding;
  finding.rule = rule;
  finding.now = place_now(context.site, context.warp, lane, now_what);
  if (past) finding.before = place(*past);
  finding.where = place_text(at, offset);
  finding.note = note;
  launch_.checker.reporter.add(std::move(finding));
}

void CtaChecker::report_plain(Rule rule, const WarpEvent& event, u32 lane, const char* what,
                              std::string where, std::string note, Site before,
                              const char* before_what) {
  Reporter& reporter = launch_.checker.reporter;
  if (!reporter.count(rule, event.site, before)) return;
  Finding finding;
  finding.rule = rule;
  finding.now = place_now(event.site, event.warp, lane, what);
  if (before != kNoSite) finding.before = AccessPlace{before, before_what, {}};
  finding.where = std::move(where);
  finding.note = std::move(note);
  reporter.add(std::move(finding));
}

void CtaChecker::violation(const WarpEvent& event, Rule rule, std::string_view text) {
  report_plain(rule, event, event.mask ? static_cast<u32>(__builtin_ctz(event.mask)) : 0,
               "executed", {}, std::string(text));
  if (rule == Rule::kDeadlock && !stuck_) {
    stuck_ = true;
    for (const auto& cta : cluster_->ctas)
      if (cta) report_open_bytes(*cta);
    report_missed_phases();
  }
}

bool CtaChecker::waited_for_other_phase(const AccessContext& context, u32 lane,
                                        const PastAccess& past) const {
  const u32 index = past.actor - cluster_->first_actor;
  if (lane >= kLanes || index / layout_.per_cta != rank_) return false;
  const u32 thread = context.warp * kLanes + lane;
  for (const auto& [offset, m] : state_.mbarriers)
    if (layout_.mbarrier(m.index) == index % layout_.per_cta &&
        m.observed[thread].copies >= past.clock)
      return true;
  return false;
}

// Returns false if the two accesses may be concurrent: both strong, with scopes that include each
// other.
bool CtaChecker::conflict(const AccessContext& context, u32 lane, const PastAccess& past,
                          PastAccess::Kind now, u64 offset, const CellPlace& at) {
  const u32 index = past.actor - record_.first_actor;
  const bool current = past.actor >= record_.first_actor;
  const bool write = now == PastAccess::Kind::kWrite;
  const char* what = write ? "write" : "read";
  Rule rule;
  if (is_strong(past.strength) && is_strong(context.strength)) {
    const Strength least = std::min(past.strength, context.strength);
    const bool same_cta =
        current && index / layout_.per_cta ==
                       (cluster_->first_actor - record_.first_actor) / layout_.per_cta + rank_;
    const bool same_cluster = past.actor - cluster_->first_actor < cluster_->span;
    if (least >= Strength::kGpu || same_cta || (same_cluster && least >= Strength::kCluster))
      return false;
    report_at(Rule::kScope, context, lane, &past, what, offset, at,
              "both are strong operations, but the scope of one leaves out the other thread");
    return true;
  }
  const ActorKind kind = current ? layout_.kind(index % layout_.per_cta) : ActorKind::kWarp;
  const LaneGroup* group = context.group;
  bool out_of_scope = false;
  if (group && group->out_of_scope) {
    VectorClock wide(cluster_->index, cluster_->span, 0);
    wide.join(*group->out_of_scope);
    View view = context.view;
    view.clock = &wide;
    view.common = wide.own.common();
    out_of_scope = view.ordered_lanes(past.actor, past.clock, past.lanes, kNoLane);
  }
  if (out_of_scope)
    rule = Rule::kScope;
  else if (past.kind == PastAccess::Kind::kRead)
    rule = kind == ActorKind::kWarp ? Rule::kWriteAfterRead : Rule::kAsyncOverwrite;
  else if (kind == ActorKind::kWarp)
    rule = write ? Rule::kWriteAfterWrite : Rule::kReadAfterWrite;
  else if (kind == ActorKind::kMbarrier && waited_for_other_phase(context, lane, past))
    rule = Rule::kMbarrierPhase;
  else
    rule = Rule::kAsyncNotAwaited;
  report_at(rule, context, lane, &past, what, offset, at);
  return true;
}

// The async proxy touches a cell: generic writes in it must have been fenced.
void CtaChecker::check_fenced(ShadowTable& table, u32 cell, u32 bytes, const AccessContext& context,
                              u32 lane, const View& fenced, const CellPlace& at) {
  const auto check = [&](const WriteStamp& w, u32 write_bytes) {
    if (w.actor == 0 || !(write_bytes & bytes)) return;
    const auto strength = static_cast<Strength>(w.strength);
    if (strength == Strength::kAsync) return;
    if (is_strong(strength) && is_strong(context.strength)) return;
    if (!context.view.ordered(w.actor, w.clock, w.lane, lane)) return;  // reported as a race
    if (fenced.ordered(w.actor, w.clock, w.lane, kNoLane)) return;
    const PastAccess past{
        PastAccess::Kind::kWrite, w.actor, w.clock, 1u << w.lane, w.site, strength};
    report_at(Rule::kProxyFence, context, lane, &past, "access through the async proxy",
              u64{cell} * 4, at);
  };
  Cell& c = table[cell];
  check(c.write, c.write_bytes);
  if (c.crowd)
    for (const ByteWrite& w : table.crowd(c).writes) check(w.stamp, w.bytes);
}

}  // namespace emulator::check
