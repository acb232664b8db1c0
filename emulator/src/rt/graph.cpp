// Graphs: captured or built node by node, replayed in a topological order.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <set>

#include "rt/stream.hpp"

namespace emulator::rt {
namespace {

Graph& graph_of(cudaGraph_t g) { return *reinterpret_cast<Graph*>(g); }

cudaError_t insert(cudaGraphNode_t* out, cudaGraph_t g, const cudaGraphNode_t* dependencies,
                   size_t count, WorkKind kind, std::function<cudaError_t()> work) {
  if (!g) return remember(cudaErrorInvalidValue);
  std::vector<GraphNode*> before;
  for (size_t k = 0; k < count; ++k)
    before.push_back(reinterpret_cast<GraphNode*>(dependencies[k]));
  GraphNode* n = add_node(graph_of(g), kind, std::move(work), std::move(before));
  if (out) *out = reinterpret_cast<cudaGraphNode_t>(n);
  return cudaSuccess;
}

void visit(GraphNode* n, std::set<GraphNode*>& seen, GraphExec& exec) {
  if (!seen.insert(n).second) return;
  for (GraphNode* d : n->dependencies) visit(d, seen, exec);
  if (n->work) exec.steps.push_back({n->kind, n->work});
}

}  // namespace
}  // namespace emulator::rt

using namespace emulator::rt;

extern "C" {

cudaError_t CUDARTAPI cudaGraphCreate(cudaGraph_t* g, unsigned) {
  *g = reinterpret_cast<cudaGraph_t>(new Graph);
  return cudaSuccess;
}
cudaError_t CUDARTAPI cudaGraphDestroy(cudaGraph_t g) {
  delete reinterpret_cast<Graph*>(g);
  return cudaSuccess;
}
cudaError_t CUDARTAPI cudaGraphGetNodes(cudaGraph_t g, cudaGraphNode_t* nodes, size_t* count) {
  Graph& graph = graph_of(g);
  if (nodes)
    for (size_t k = 0; k < std::min(*count, graph.nodes.size()); ++k)
      nodes[k] = reinterpret_cast<cudaGraphNode_t>(graph.nodes[k].get());
  *count = graph.nodes.size();
  return cudaSuccess;
}
cudaError_t CUDARTAPI cudaGraphNodeGetType(cudaGraphNode_t node, cudaGraphNodeType* type) {
  switch (reinterpret_cast<GraphNode*>(node)->kind) {
    case WorkKind::kKernel:
      *type = cudaGraphNodeTypeKernel;
      break;
    case WorkKind::kCopy:
      *type = cudaGraphNodeTypeMemcpy;
      break;
    case WorkKind::kSet:
      *type = cudaGraphNodeTypeMemset;
      break;
    case WorkKind::kHost:
      *type = cudaGraphNodeTypeHost;
      break;
    case WorkKind::kAlloc:
      *type = cudaGraphNodeTypeMemAlloc;
      break;
    case WorkKind::kFree:
      *type = cudaGraphNodeTypeMemFree;
      break;
    case WorkKind::kEmpty:
      *type = cudaGraphNodeTypeEmpty;
      break;
  }
  return cudaSuccess;
}

cudaError_t CUDARTAPI cudaGraphAddEmptyNode(cudaGraphNode_t* out, cudaGraph_t g,
                                            const cudaGraphNode_t* deps, size_t n) {
  return insert(out, g, deps, n, WorkKind::kEmpty, nullptr);
}
cudaError_t CUDARTAPI cudaGraphAddMemcpyNode1D(cudaGraphNode_t* out, cudaGraph_t g,
                                               const cudaGraphNode_t* deps, size_t n, void* to,
                                               const void* from, size_t bytes,
                                               cudaMemcpyKind kind) {
  return insert(out, g, deps, n, WorkKind::kCopy,
                [=] { return cudaMemcpy(to, from, bytes, kind); });
}
cudaError_t CUDARTAPI cudaGraphAddMemsetNode(cudaGraphNode_t* out, cudaGraph_t g,
                                             const cudaGraphNode_t* deps, size_t n,
                                             const cudaMemsetParams* p) {
  if (p->elementSize != 1) return remember(cudaErrorNotSupported);
  const cudaMemsetParams copy = *p;
  return insert(out, g, deps, n, WorkKind::kSet, [copy] {
    return cudaMemset2D(copy.dst, copy.pitch, static_cast<int>(copy.value), copy.width,
                        copy.height);
  });
}
cudaError_t CUDARTAPI cudaGraphAddHostNode(cudaGraphNode_t* out, cudaGraph_t g,
                                           const cudaGraphNode_t* deps, size_t n,
                                           const cudaHostNodeParams* p) {
  const cudaHostNodeParams copy = *p;
  return insert(out, g, deps, n, WorkKind::kHost, [copy] {
    copy.fn(copy.userData);
    return cudaSuccess;
  });
}
cudaError_t CUDARTAPI cudaGraphAddKernelNode(cudaGraphNode_t* out, cudaGraph_t g,
                                             const cudaGraphNode_t* deps, size_t n,
                                             const cudaKernelNodeParams* p) {
  Function* f = find_function(p->func);
  if (!f) return remember(load_error(p->func));
  // Arguments are read now, as the runtime does.
  auto arguments = std::make_shared<std::vector<std::vector<emulator::u8>>>();
  for (size_t k = 0; k < f->kernel->params.size(); ++k) {
    const auto* from = static_cast<const emulator::u8*>(p->kernelParams[k]);
    arguments->push_back({from, from + f->kernel->params[k].size});
  }
  const cudaKernelNodeParams copy = *p;
  return insert(out, g, deps, n, WorkKind::kKernel, [copy, arguments] {
    std::vector<void*> pointers;
    for (auto& a : *arguments) pointers.push_back(a.data());
    return cudaLaunchKernel(copy.func, copy.gridDim, copy.blockDim, pointers.data(),
                            copy.sharedMemBytes, nullptr);
  });
}

cudaError_t CUDARTAPI cudaGraphInstantiateWithFlags(cudaGraphExec_t* out, cudaGraph_t g,
                                                    unsigned long long) {
  if (!g) return remember(cudaErrorInvalidValue);
  auto* exec = new GraphExec;
  std::set<GraphNode*> seen;
  for (auto& n : graph_of(g).nodes) visit(n.get(), seen, *exec);
  *out = reinterpret_cast<cudaGraphExec_t>(exec);
  return cudaSuccess;
}
cudaError_t CUDARTAPI cudaGraphInstantiate(cudaGraphExec_t* out, cudaGraph_t g,
                                           unsigned long long flags) {
  return cudaGraphInstantiateWithFlags(out, g, flags);
}
cudaError_t CUDARTAPI cudaGraphExecDestroy(cudaGraphExec_t e) {
  delete reinterpret_cast<GraphExec*>(e);
  return cudaSuccess;
}
cudaError_t CUDARTAPI cudaGraphUpload(cudaGraphExec_t, cudaStream_t) { return cudaSuccess; }
cudaError_t CUDARTAPI cudaGraphLaunch(cudaGraphExec_t e, cudaStream_t s) {
  if (!e) return remember(cudaErrorInvalidValue);
  const auto steps = reinterpret_cast<GraphExec*>(e)->steps;
  return submit(s, WorkKind::kKernel, [steps] {
    for (const auto& [kind, work] : steps) {
      if (sticky_error() != cudaSuccess) return sticky_error();
      if (cudaError_t error = work(); error != cudaSuccess) return error;
    }
    return cudaSuccess;
  });
}
cudaError_t CUDARTAPI cudaGraphExecUpdate(cudaGraphExec_t e, cudaGraph_t g,
                                          cudaGraphExecUpdateResultInfo* info) {
  auto& exec = *reinterpret_cast<GraphExec*>(e);
  GraphExec next;
  std::set<GraphNode*> seen;
  for (auto& n : graph_of(g).nodes) visit(n.get(), seen, next);
  bool same = next.steps.size() == exec.steps.size();
  for (size_t k = 0; same && k < next.steps.size(); ++k)
    same = next.steps[k].first == exec.steps[k].first;
  if (info) {
    *info = {};
    info->result = same ? cudaGraphExecUpdateSuccess : cudaGraphExecUpdateErrorTopologyChanged;
  }
  if (!same) return remember(cudaErrorGraphExecUpdateFailure);
  exec = std::move(next);
  return cudaSuccess;
}

}  // extern "C"
