// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "hwdb/model.h"

namespace hwdb {

/// What a GGUF architecture name implies beyond its metadata keys. One row an architecture; nothing
/// else branches on names. Where a file has a tensor table, biases, norms and fused matrices are
/// read from it, and the row only fills what is left.
struct ArchitectureTraits {
  std::string_view name;       // general.architecture
  std::string_view display;    // "Llama", "Qwen 3 MoE"
  bool fused_qkv = false;      // attn_qkv instead of attn_q, attn_k, attn_v
  bool fused_gate_up = false;  // ffn_up holds gate and up
  bool ffn_gated = true;
  bool layernorm = false;  // norms with a bias; else a weight alone
  std::uint32_t norms_per_layer = 2;
  bool learned_positions = false;
  ModelShape::QkNorm qk_norm = ModelShape::QkNorm::none;
  bool qkv_bias = false, out_bias = false, mlp_bias = false, expert_bias = false,
       router_bias = false;
  bool attn_output_gate = false, shared_expert_gate = false, attn_sinks = false;
  bool tied = false;  // embeddings tied when the configuration does not say

  /// What a window key means: nothing to this architecture's graph; a sliding window where it is
  /// given; chunks, even where it is not given.
  enum class Window { ignored, sliding, chunked } window = Window::ignored;
  std::uint32_t default_window = 0;  // 0: there must be a key
  /// Sliding-window layers: every n-th layer is full. 0: the file lists the layers.
  std::uint32_t swa_period = 0;
  bool swa_period_dense_first = false;  // the full layer opens the period instead of closing it
  bool zero_window_is_none = false;     // converters write a window of 0 for "none"

  /// Recurrent layers: of which kind, and which layers they are.
  std::optional<SsmShape::Kind> ssm = std::nullopt;
  enum class Mixing {
    attention,
    recurrent,
    by_kv_heads,
    by_interval,
    both
  } mixing = Mixing::attention;
  std::uint32_t full_attention_interval = 0;  // by_interval: every n-th layer has attention
  std::uint32_t kv_from_start = 0;  // layers from here on reuse an earlier layer's cache; 0: none
};

/// Null for an architecture without a row: then sizes come from the tensor table alone.
const ArchitectureTraits* find_architecture(std::string_view name);
std::span<const ArchitectureTraits> architectures();

}  // namespace hwdb
