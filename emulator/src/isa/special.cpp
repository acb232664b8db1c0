#include "isa/special.hpp"

#include <map>

namespace emulator::isa {

bool find_special(std::string_view name, Special& kind, u32& size) {
  static const std::map<std::string_view, std::pair<Special, u32>> table = {
      {"%tid.x", {Special::kTidX, 4}},
      {"%tid.y", {Special::kTidY, 4}},
      {"%tid.z", {Special::kTidZ, 4}},
      {"%ntid.x", {Special::kNtidX, 4}},
      {"%ntid.y", {Special::kNtidY, 4}},
      {"%ntid.z", {Special::kNtidZ, 4}},
      {"%ctaid.x", {Special::kCtaidX, 4}},
      {"%ctaid.y", {Special::kCtaidY, 4}},
      {"%ctaid.z", {Special::kCtaidZ, 4}},
      {"%nctaid.x", {Special::kNctaidX, 4}},
      {"%nctaid.y", {Special::kNctaidY, 4}},
      {"%nctaid.z", {Special::kNctaidZ, 4}},
      {"%laneid", {Special::kLaneid, 4}},
      {"%warpid", {Special::kWarpid, 4}},
      {"%nwarpid", {Special::kNwarpid, 4}},
      {"%smid", {Special::kSmid, 4}},
      {"%nsmid", {Special::kNsmid, 4}},
      {"%gridid", {Special::kGridid, 8}},
      {"%lanemask_eq", {Special::kLanemaskEq, 4}},
      {"%lanemask_le", {Special::kLanemaskLe, 4}},
      {"%lanemask_lt", {Special::kLanemaskLt, 4}},
      {"%lanemask_ge", {Special::kLanemaskGe, 4}},
      {"%lanemask_gt", {Special::kLanemaskGt, 4}},
      {"%clusterid.x", {Special::kClusteridX, 4}},
      {"%clusterid.y", {Special::kClusteridY, 4}},
      {"%clusterid.z", {Special::kClusteridZ, 4}},
      {"%nclusterid.x", {Special::kNclusteridX, 4}},
      {"%nclusterid.y", {Special::kNclusteridY, 4}},
      {"%nclusterid.z", {Special::kNclusteridZ, 4}},
      {"%cluster_ctaid.x", {Special::kClusterCtaidX, 4}},
      {"%cluster_ctaid.y", {Special::kClusterCtaidY, 4}},
      {"%cluster_ctaid.z", {Special::kClusterCtaidZ, 4}},
      {"%cluster_nctaid.x", {Special::kClusterNctaidX, 4}},
      {"%cluster_nctaid.y", {Special::kClusterNctaidY, 4}},
      {"%cluster_nctaid.z", {Special::kClusterNctaidZ, 4}},
      {"%cluster_ctarank", {Special::kClusterCtarank, 4}},
      {"%cluster_nctarank", {Special::kClusterNctarank, 4}},
      {"%is_explicit_cluster", {Special::kIsExplicitCluster, 0}},
      {"%dynamic_smem_size", {Special::kDynamicSmemSize, 4}},
      {"%total_smem_size", {Special::kTotalSmemSize, 4}},
      {"%aggr_smem_size", {Special::kAggrSmemSize, 4}},
      {"%envreg1", {Special::kEnvreg1, 4}},
      {"%envreg2", {Special::kEnvreg2, 4}},
      {"%clock", {Special::kClock, 4}},
      {"%clock_hi", {Special::kClockHi, 4}},
      {"%clock64", {Special::kClock64, 8}},
      {"%globaltimer", {Special::kGlobaltimer, 8}},
      {"%globaltimer_lo", {Special::kGlobaltimerLo, 4}},
      {"%globaltimer_hi", {Special::kGlobaltimerHi, 4}},
      {"%reserved_smem_offset_begin", {Special::kReservedSmemOffsetBegin, 4}},
      {"%reserved_smem_offset_end", {Special::kReservedSmemOffsetEnd, 4}},
      {"%reserved_smem_offset_cap", {Special::kReservedSmemOffsetCap, 4}},
      {"%reserved_smem_offset_0", {Special::kReservedSmemOffset0, 4}},
      {"%reserved_smem_offset_1", {Special::kReservedSmemOffset1, 4}},
  };
  auto it = table.find(name);
  if (it == table.end()) return false;
  kind = it->second.first;
  size = it->second.second;
  return true;
}

}  // namespace emulator::isa
