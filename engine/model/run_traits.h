// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "engine/cpu/elementwise.h"

namespace engine {

/// What an architecture does with its numbers, beyond the shape that hwdb reads. One row an
/// architecture; the forward pass branches on these members and never on a name. Norms, biases and
/// fused matrices are taken as the file has them. An architecture without a row is plan-only.
struct RunTraits {
  std::string_view architecture;  // general.architecture
  /// Which elements of a head turn together; absent position embeddings have no_rope.
  cpu::Rope::Pairs rope_pairs = cpu::Rope::Pairs::adjacent;
  bool no_rope = false;
  std::uint32_t no_rope_every = 0;     // every n-th layer does not turn; 0: all do
  bool sliding_rope_unscaled = false;  // layers with a window turn by rope.freq_base_swa, unscaled

  cpu::Activation activation = cpu::Activation::silu;
  bool scale_embedding_by_width = false;  // times sqrt(n_embd)
  /// Names of norms after attention and after the FFN, "" none, and of the one before the FFN.
  std::string_view norm_after_attention = "", norm_before_ffn = "ffn_norm", norm_after_ffn = "";
  std::string_view norm_before_attention = "attn_norm";
  bool parallel_ffn = false;  // the FFN reads what attention read
  /// Caps where the file gives none; 0: no cap.
  float default_attention_softcap = 0, default_final_softcap = 0;
  /// At this many layers the attention scale is by n_embd / n_heads and not by the head's width; 0:
  /// never.
  std::uint32_t layers_with_wide_scale = 0;

  enum class Router { softmax, sigmoid, softmax_of_chosen };
  Router router = Router::softmax;   // where the file gives no gating function
  bool normalize_chosen = true;      // the chosen experts' weights sum to one, where no key says
  bool logit_scale_divides = false;  // logits / key instead of logits * key
};

/// Null for an architecture that the engine does not run.
const RunTraits* find_run_traits(std::string_view architecture);
std::span<const RunTraits> all_run_traits();

}  // namespace engine
