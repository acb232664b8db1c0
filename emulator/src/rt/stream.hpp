// Streams, events and graphs. Work is done when it is submitted, in the order of submission: one of
// the orders that streams allow.
#pragma once

#include <cuda_runtime_api.h>

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "rt/state.hpp"

namespace emulator::rt {

struct GraphNode {
  WorkKind kind = WorkKind::kEmpty;
  std::function<cudaError_t()> work;
  std::vector<GraphNode*> dependencies;
};

struct Graph {
  std::vector<std::unique_ptr<GraphNode>> nodes;  // a topological order
};

struct GraphExec {
  std::vector<std::pair<WorkKind, std::function<cudaError_t()>>> steps;
};

// A capture in progress; several streams may take part.
struct Capture {
  Graph* graph = nullptr;
  unsigned long long id = 0;
  cudaStream_t origin = nullptr;
  bool invalid = false;
};

struct Stream {
  unsigned flags = 0;
  int priority = 0;
  unsigned long long id = 0;
  std::shared_ptr<Capture> capture;
  GraphNode* last = nullptr;  // in the capture
};

struct Event {
  unsigned flags = 0;
  bool recorded = false;
  std::chrono::steady_clock::time_point when;
  std::shared_ptr<Capture> capture;
  GraphNode* node = nullptr;
};

Stream& stream_of(cudaStream_t s);
bool is_stream(cudaStream_t s);
GraphNode* add_node(Graph& g, WorkKind kind, std::function<cudaError_t()> work,
                    std::vector<GraphNode*> dependencies);

}  // namespace emulator::rt
