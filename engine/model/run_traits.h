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
  std::uint32_t no_rope_every = 0;      // every n-th layer does not turn; 0: all do
  bool rope_only_with_window = false;   // where some layers have a window, only those turn
  bool sliding_rope_unscaled = false;   // layers with a window turn by rope.freq_base_swa, unscaled
  float default_sliding_rope_base = 0;  // of those, where the file gives none; 0: as full layers
  bool qk_norm_after_rope = false;      // norms of queries and keys see them turned
  bool yarn_multiplier_in_tenths = false;  // rope.scaling.yarn_log_multiplier holds a tenth of it

  /// How vectors are normalized: by mean and variance where the file's norms have a shift (else by
  /// the root mean square), always so, or never so.
  enum class NormKind { as_file, layer, root_mean_square };
  NormKind norm = NormKind::as_file;
  bool norms_without_weights = false;  // the file has no tensors for them

  cpu::Activation activation = cpu::Activation::silu;
  bool scale_embedding_by_width = false;  // times sqrt(n_embd)
  /// Names of norms after attention and after the FFN, "" none, and of the one before the FFN.
  std::string_view norm_after_attention = "", norm_before_ffn = "ffn_norm", norm_after_ffn = "";
  std::string_view norm_before_attention = "attn_norm";
  /// The FFN reads the stream as attention found it: through its own norm, or what attention read
  /// where it has none. Files may say otherwise by use_parallel_residual.
  bool parallel_ffn = false;
  bool parallel_ffn_without_norm = false;  // so in files whose FFN has no norm of its own
  /// Caps where the file gives none; 0: no cap.
  float default_attention_softcap = 0, default_final_softcap = 0;
  /// At this many layers the attention scale is by n_embd / n_heads and not by the head's width; 0:
  /// never.
  std::uint32_t layers_with_wide_scale = 0;

  enum class Router { softmax, sigmoid, softmax_of_chosen };
  Router router = Router::softmax;   // where the file gives no gating function
  bool normalize_chosen = true;      // the chosen experts' weights sum to one, where no key says
  bool needs_scales = false;         // files without scales mean other scales than one
  bool logit_scale_divides = false;  // logits / key instead of logits * key
};

/// Null for an architecture that the engine does not run.
const RunTraits* find_run_traits(std::string_view architecture);

}  // namespace engine
