// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "planner/graph/compute_graph.h"
#include "planner/graph/graph_blocks.h"
#include "planner/graph/tensor_graph.h"

namespace planner {

/// The graph of one pass over the model, as llama.cpp (commit de3ff815, 2026-09-28) would build it,
/// with the blocks that BlockKinds keeps. `n_tokens` of it decides where norms are pinned
/// (llama.cpp pins them for small batches).
TensorGraph decoder_graph(const hwdb::ModelShape& shape, const BlockKinds& kinds,
                          const ComputeRequest& request, const ComputePlacement& placement,
                          std::uint32_t n_tokens);

}  // namespace planner
