// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

#include "hwdb/model.h"
#include "planner/graph/compute_graph.h"

namespace planner {

/// What one block is and where its parts are.
struct Block {
  hwdb::LayerShape layer;
  std::uint32_t index = 0;
  std::uint32_t kind = 0;  // blocks of one kind and the same devices have the same graph
  int device = 0, cache_device = 0, expert_device = 0;
  bool last = false;
  bool rope = true;
};

/// The GPU of a block, or `n_gpus` for the host.
int device_of_block(const ComputePlacement& placement, std::uint32_t layer);

/// A model's layers, sorted into kinds once.
class BlockKinds {
 public:
  explicit BlockKinds(const hwdb::ModelShape& shape);

  /// The first, the last and every differing block in between, in order; blocks that only repeat
  /// are left out, since they live in the same memory.
  std::vector<Block> representatives(const ComputePlacement& placement) const;

  const std::vector<hwdb::LayerShape>& layers() const { return layers_; }

 private:
  std::vector<hwdb::LayerShape> layers_;
  std::vector<std::uint32_t> kind_;  // of each layer
  std::vector<char> rope_;
  bool all_count_ = false;          // no block only repeats another
  bool copies_embeddings_ = false;  // a block on another GPU gets a part of a shared tensor
};

}  // namespace planner
