// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "hwdb/model.h"

namespace planner {

/// How an architecture wires its blocks where a shape alone cannot tell. Sizes never come from
/// here.
struct GraphTraits {
  /// Attention and FFN read the same norm; the order in which their results and the residual are
  /// added.
  enum class ParallelSum {
    none,
    ffn_attention_residual,
    attention_ffn_residual,
    ffn_residual_attention
  };
  ParallelSum parallel = ParallelSum::none;
  bool fused_qkv = false;
  bool joined_gate_up = false;        // one matrix gives gate and up
  bool norm_after_only = false;       // the norms stand behind attention and FFN
  bool outputs_after_norm = false;    // unwanted tokens are dropped behind the last norm
  bool outputs_after_blocks = false;  // unwanted tokens are dropped behind the last block
  bool residual_first = false;  // the sum is written over the residual, not over the FFN's result
  bool attention_residual_first = false;  // the same behind attention
  bool layer_norm = false;                // mean and variance, with or without weights
  bool rope = true;
  std::uint32_t positions_per_token = 1;  // 4 where images have rows and columns
  bool rope_on_windows_only = false;
  bool rope_table = false;                 // the file has a table of rotary frequencies
  bool rope_table_on_global_only = false;  // and windows do without
  bool never_flash = false;                // flash attention is asked for in vain
  bool router_picks_first = false;         // softmax over the chosen experts only
  bool router_normalizes = false;          // weights of the chosen experts are divided by their sum
  bool router_bias_weighs = false;         // a bias is added to the router's scores
  bool router_bias_picks = false;          // a bias takes part in choosing, not in weighing
  bool router_groups = false;              // experts are chosen by group first
  bool weighs_before_experts = false;      // and chooses by the raw scores
  bool joined_expert_gate_up = false;
  bool expert_output_scale = false;      // a factor for each expert's result
  bool sandwiched_experts = false;       // dense FFN and experts side by side, norms around each
  bool norms_turned_heads = false;       // the norm of queries and keys stands behind the rotation
  bool plain_head_norm = false;          // and has no weights
  bool scales_unturned_queries = false;  // blocks without rotation scale queries by position
  bool norms_values = false;             // values too have a norm, without weights
  bool scales_block_output = false;      // a factor for each block's result
  bool scales_embeddings = false;        // looked-up rows are multiplied by a constant
  bool scales_embeddings_at_once = false;  // before anything else is computed
  bool expands_latent =
      false;  // MLA that unfolds keys and values of every head (kv_b in one piece)
  bool drops_blocks_without_ffn = false;  // such a block is computed and its result not used
  bool norm_before_state = false;         // a block's norm is queued before its state is read
  bool adds_layer_embeddings = false;     // each block has an embedding table of its own
};

/// From the architecture's name and the shape; an unknown architecture is a plain decoder.
GraphTraits graph_traits(const hwdb::ModelShape& shape);

/// Whether CUDA has a flash attention kernel for every layer's head sizes; without one llama.cpp
/// falls back to plain attention everywhere ("-fa auto").
bool gpus_have_flash_for(const hwdb::ModelShape& shape);

}  // namespace planner
