// SPDX-License-Identifier: MIT
#pragma once

#include "hwdb/model.h"

namespace planner {

/// How an architecture wires its blocks where a shape alone cannot tell. Sizes never come from
/// here.
struct GraphTraits {
  bool parallel_ffn = false;          // attention and FFN read the same norm and are added together
  bool norm_after_only = false;       // the norms stand behind attention and FFN
  bool outputs_after_blocks = false;  // unwanted tokens are dropped behind the last block
  bool residual_first = false;  // the sum is written over the residual, not over the FFN's result
  bool rope = true;
  bool joined_gate_up = false;      // one matrix gives gate and up
  bool router_picks_first = false;  // softmax over the chosen experts only
  bool router_normalizes = false;   // weights of the chosen experts are divided by their sum
  bool router_bias_picks = false;   // a bias takes part in choosing, not in weighing
  bool router_groups = false;       // experts are chosen by group first
  bool weighs_before_experts = false;
  bool router_scales = false;
};

GraphTraits graph_traits(const hwdb::ModelShape& shape);

}  // namespace planner
