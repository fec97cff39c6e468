// SPDX-License-Identifier: MIT
// From the publishers' reference models, checked against llama.cpp v0.5.0 (its src/models/*.cpp)
// by comparing logits: see the table of yardsticks in the README.
#include "engine/model/run_traits.h"

#include <algorithm>

namespace engine {
namespace {

using Pairs = cpu::Rope::Pairs;
using Act = cpu::Activation;
using Router = RunTraits::Router;

constexpr RunTraits kRows[] = {
    {.architecture = "llama"},
    {.architecture = "qwen2", .rope_pairs = Pairs::halves},
    {.architecture = "qwen3", .rope_pairs = Pairs::halves},
    {.architecture = "qwen3moe", .rope_pairs = Pairs::halves},
    {.architecture = "gemma",
     .rope_pairs = Pairs::halves,
     .activation = Act::gelu,
     .scale_embedding_by_width = true},
    {.architecture = "gemma2",
     .rope_pairs = Pairs::halves,
     .activation = Act::gelu,
     .scale_embedding_by_width = true,
     .norm_after_attention = "post_attention_norm",
     .norm_after_ffn = "post_ffw_norm",
     .default_attention_softcap = 50,
     .default_final_softcap = 30,
     .layers_with_wide_scale = 46},
    {.architecture = "gemma3",
     .rope_pairs = Pairs::halves,
     .sliding_rope_unscaled = true,
     .activation = Act::gelu,
     .scale_embedding_by_width = true,
     .norm_after_attention = "post_attention_norm",
     .norm_after_ffn = "post_ffw_norm",
     .layers_with_wide_scale = 62},
    {.architecture = "phi3", .rope_pairs = Pairs::halves},
    {.architecture = "olmoe", .rope_pairs = Pairs::halves, .normalize_chosen = false},
    {.architecture = "gpt-oss",
     .rope_pairs = Pairs::halves,
     .activation = Act::swiglu_oai,
     .norm_before_ffn = "post_attention_norm",
     .router = Router::softmax_of_chosen,
     .normalize_chosen = false},
    {.architecture = "deepseek2", .normalize_chosen = false},
    {.architecture = "granite", .logit_scale_divides = true},
    {.architecture = "granitemoe", .logit_scale_divides = true},
    {.architecture = "smollm3", .no_rope_every = 4},
    {.architecture = "gpt2", .no_rope = true, .activation = Act::gelu},
};

}  // namespace

const RunTraits* find_run_traits(std::string_view architecture) {
  const auto* it = std::ranges::find(kRows, architecture, &RunTraits::architecture);
  return it != std::end(kRows) ? it : nullptr;
}

std::span<const RunTraits> all_run_traits() {
  return kRows;
}

}  // namespace engine
