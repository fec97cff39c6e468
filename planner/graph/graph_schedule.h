// SPDX-License-Identifier: MIT
#pragma once

#include "planner/graph/graph_allocator.h"
#include "planner/graph/tensor_graph.h"

namespace planner {

/// Where a graph runs: GPUs first, the host behind them.
struct ScheduleOptions {
  int n_gpus = 0;
  /// Multiplications of at least this many rows go to the first GPU though their weights are in
  /// host memory; the weights are copied for each run. 0: never.
  std::uint32_t offload_from_rows = 32;
  /// Inputs are kept this many times, so that the GPUs of a pipeline can work on different
  /// micro-batches.
  int n_copies = 1;
  bool keeps = true;  // TensorGraph::keep counts: the GPUs fuse operations as CUDA does
};

/// Gives each operation a device by the rules of ggml's scheduler (weights decide, neighbours
/// follow, GPUs before the host), adds the copies between devices, and works out when each piece of
/// memory is taken, reused in place and given back. `values` decide only which operations are large
/// enough to be offloaded.
AllocationScript schedule(TensorGraph graph, const ScheduleOptions& options,
                          const ExtentValues& values);

}  // namespace planner
