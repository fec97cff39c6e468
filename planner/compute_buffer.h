// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "hwdb/model.h"
#include "planner/scenario.h"

namespace planner {

/// Scratch memory of one graph at its largest points, in bytes. Doubles, since the product of
/// unchecked settings may pass 64 bits; the memory plan checks the sum.
struct ComputeBuffers {
  double blocks = 0;  // largest point inside the blocks: attention or feed-forward
  double output = 0;  // largest point at the vocabulary matrix: logits of a whole micro-batch
  double inputs = 0;  // host-pinned inputs of a GPU: mask and embeddings
};

/// The graph's largest points at the micro-batch, with or without flash attention. `cells`: cells
/// of one sequence's widest cache.
ComputeBuffers compute_buffers(const hwdb::ModelShape& shape, const RunSettings& settings,
                               std::uint64_t cells);

/// Logits of one token for each sequence, kept on the host.
double output_buffer_bytes(const hwdb::ModelShape& shape, const RunSettings& settings);

}  // namespace planner
