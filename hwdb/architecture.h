// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string_view>

namespace hwdb {

/// What a GGUF architecture name implies beyond its metadata keys. One row an architecture; nothing
/// else branches on names.
struct ArchitectureTraits {
  std::string_view name;       // general.architecture
  std::string_view display;    // "Llama", "Qwen 3 MoE"
  bool fused_qkv = false;      // attn_qkv instead of attn_q, attn_k, attn_v
  bool fused_gate_up = false;  // ffn_up holds gate and up
  bool ffn_gated = true;
  bool layernorm = false;  // else RMSNorm
  int norms_per_layer = 2;
  bool learned_positions = false;
  int swa_period =
      0;  // sliding-window layers: every n-th layer is full; 0: the file's own pattern key or none
  bool swa_period_dense_first = false;  // the full layer opens the period instead of closing it
  bool multiplies_experts = true;       // expert_feed_forward_length is given per expert
};

/// Null for an architecture without a row: then sizes come from the tensor table alone.
const ArchitectureTraits* find_architecture(std::string_view name);
std::span<const ArchitectureTraits> architectures();

}  // namespace hwdb
