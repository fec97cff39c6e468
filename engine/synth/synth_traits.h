// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string_view>

#include "hwdb/model.h"

namespace engine {

/// Numbers of an architecture that its shape does not say and its files must, with the values that
/// its publisher's models have. 0 and "": no such key.
struct SynthTraits {
  double norm_eps = 1e-5;
  bool layernorm_eps = false;     // attention.layer_norm_epsilon although the norms have no bias
  bool expert_width_key = false;  // expert_feed_forward_length; else feed_forward_length is meant
  std::string_view tokenizer = "gpt2";  // tokenizer.ggml.model: "gpt2" or "llama"
  std::string_view pre = "default";     // tokenizer.ggml.pre
  bool add_bos = false;
  double attention_softcap = 0, final_softcap = 0;
  double logit_scale = 0, residual_scale = 0, embedding_scale = 0, attention_scale = 0;
  bool logit_scale_divides = false;
  bool embedding_times_width = false;  // the graph multiplies embeddings by sqrt(n_embd)
  std::uint32_t gating = 0;            // expert_gating_func
  double expert_scale = 0;             // expert_weights_scale
  bool expert_weights_norm = false;
  double yarn_log_multiplier = 0;
  double temperature_scale = 0;  // attention.temperature_scale
};

/// The row of a shape's architecture, completed by what follows from the sizes.
SynthTraits synth_traits(const hwdb::ModelShape& shape);

}  // namespace engine
