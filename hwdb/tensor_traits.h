// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace hwdb {

/// How llama.cpp's converter names and lays out one architecture's tensors, where the shape alone
/// does not say it. One row an architecture; the arithmetic never looks at a name.
struct TensorTraits {
  std::string_view architecture;
  /// Norms of a block in order; a shape with `norms_per_layer` n has the first n.
  std::array<std::string_view, 4> norms{"attn_norm", "ffn_norm", "", ""};
  std::string_view output_norm = "output_norm";
  bool fused_qkv = false;          // attn_qkv in every file, whatever the checkpoint has
  bool kv_b_in_one_piece = false;  // MLA without a latent cache: attn_kv_b, full keys and values
  bool embedding_norm = false;     // token_embd_norm
  bool output_bias = false;
  bool router_bias_in_router = false;  // ffn_gate_inp.bias instead of exp_probs_b.bias
  bool needs_layer_pattern = false;    // kinds of layers follow no other rule
  bool fused_expert_gate_up = false;   // ffn_gate_up_exps
  bool mxfp4_experts = false;          // published and kept in MXFP4 whatever the preset
  bool one_beta_alpha = false;         // gated delta net: ssm_ba instead of ssm_alpha and ssm_beta
  bool shared_layers_lack_kv = false;  // layers that reuse a cache have no K and V matrices
  bool sandwiched_experts = false;     // Gemma 4: three more norms and two scales in a MoE block
  bool output_scale = false;           // layer_output_scale
  bool zero_kv_heads_if_recurrent = false;  // the file gives KV heads per layer, 0 where none
  bool stores_mtp = false;                  // the file holds the built-in draft layers
  bool no_tensor_split = false;             // llama.cpp's -sm tensor is not made for it
  bool state_rollback = false;      // llama.cpp keeps states of earlier tokens to undo drafts
  bool falcon_mix = false;          // the quantizer has own rules for this architecture
  std::uint32_t layers_of_70b = 0;  // the quantizer's "70B" rule applies at this many layers
  bool only_gqa_70b = false;        // and only with fewer KV heads than heads
};

/// Null for an architecture that llama.cpp does not know (or that we do not).
const TensorTraits* find_tensor_traits(std::string_view architecture);
std::span<const TensorTraits> all_tensor_traits();
/// A plain decoder, for formats outside GGUF where names do not matter.
const TensorTraits& plain_tensor_traits();

}  // namespace hwdb
