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
using NormKind = RunTraits::NormKind;

constexpr RunTraits kRows[] = {
    {.architecture = "llama"},
    {.architecture = "mistral3"},
    {.architecture = "internlm2"},
    {.architecture = "deci"},
    {.architecture = "xverse"},
    {.architecture = "arcee", .activation = Act::relu_squared},
    {.architecture = "qwen2", .rope_pairs = Pairs::halves},
    {.architecture = "qwen2vl", .rope_pairs = Pairs::halves},
    {.architecture = "qwen2moe", .rope_pairs = Pairs::halves, .normalize_chosen = false},
    {.architecture = "qwen3", .rope_pairs = Pairs::halves},
    {.architecture = "qwen3moe", .rope_pairs = Pairs::halves},
    {.architecture = "qwen3vl", .rope_pairs = Pairs::halves},
    {.architecture = "qwen3vlmoe", .rope_pairs = Pairs::halves},
    {.architecture = "seed_oss",
     .rope_pairs = Pairs::halves,
     .norm_before_ffn = "post_attention_norm"},
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
     .default_sliding_rope_base = 10000,
     .activation = Act::gelu,
     .scale_embedding_by_width = true,
     .norm_after_attention = "post_attention_norm",
     .norm_after_ffn = "post_ffw_norm",
     .layers_with_wide_scale = 62},
    {.architecture = "phi2",
     .rope_pairs = Pairs::halves,
     .activation = Act::gelu,
     .parallel_ffn = true},
    {.architecture = "phi3", .rope_pairs = Pairs::halves},
    {.architecture = "phimoe", .rope_pairs = Pairs::halves, .norm = NormKind::root_mean_square},
    {.architecture = "dbrx",
     .rope_pairs = Pairs::halves,
     .norm = NormKind::layer,
     .norm_before_ffn = "attn_output_norm"},
    {.architecture = "olmo", .norm = NormKind::layer, .norms_without_weights = true},
    {.architecture = "olmo2",
     .rope_pairs = Pairs::halves,
     .sliding_rope_unscaled = true,
     .norm_after_attention = "post_attention_norm",
     .norm_before_ffn = "",
     .norm_after_ffn = "post_ffw_norm",
     .norm_before_attention = ""},
    {.architecture = "olmoe", .rope_pairs = Pairs::halves, .normalize_chosen = false},
    {.architecture = "gpt-oss",
     .rope_pairs = Pairs::halves,
     .activation = Act::swiglu_oai,
     .norm_before_ffn = "post_attention_norm",
     .router = Router::softmax_of_chosen,
     .normalize_chosen = false},
    {.architecture = "deepseek", .normalize_chosen = false},
    {.architecture = "deepseek2", .yarn_multiplier_in_tenths = true, .normalize_chosen = false},
    {.architecture = "dots1", .rope_pairs = Pairs::halves, .normalize_chosen = false},
    {.architecture = "chatglm"},
    {.architecture = "glm4",
     .norm_after_attention = "post_attention_norm",
     .norm_after_ffn = "post_ffw_norm"},
    {.architecture = "glm4moe",
     .rope_pairs = Pairs::halves,
     .norm_before_ffn = "post_attention_norm",
     .router = Router::sigmoid,
     .normalize_chosen = false},
    {.architecture = "ernie4_5"},
    {.architecture = "ernie4_5-moe"},
    {.architecture = "hunyuan-dense", .rope_pairs = Pairs::halves, .qk_norm_after_rope = true},
    {.architecture = "hunyuan-moe", .rope_pairs = Pairs::halves, .qk_norm_after_rope = true},
    {.architecture = "bailingmoe", .normalize_chosen = false},
    {.architecture = "bailingmoe2", .rope_pairs = Pairs::halves, .normalize_chosen = false},
    {.architecture = "mimo2", .rope_pairs = Pairs::halves, .router = Router::sigmoid},
    {.architecture = "minimax-m2", .rope_pairs = Pairs::halves},
    {.architecture = "exaone", .rope_pairs = Pairs::halves},
    {.architecture = "exaone4",
     .rope_pairs = Pairs::halves,
     .rope_only_with_window = true,
     .norm_after_attention = "post_attention_norm",
     .norm_before_ffn = "",
     .norm_after_ffn = "post_ffw_norm",
     .norm_before_attention = ""},
    {.architecture = "command-r", .norm = NormKind::layer, .parallel_ffn = true},
    {.architecture = "cohere2",
     .rope_only_with_window = true,
     .norm = NormKind::layer,
     .parallel_ffn = true},
    {.architecture = "minicpm", .needs_scales = true, .logit_scale_divides = true},
    {.architecture = "granite", .logit_scale_divides = true},
    {.architecture = "granitemoe", .logit_scale_divides = true},
    {.architecture = "smollm3", .no_rope_every = 4},
    {.architecture = "gpt2", .no_rope = true, .activation = Act::gelu},
    {.architecture = "starcoder", .no_rope = true, .activation = Act::gelu},
    {.architecture = "starcoder2", .rope_pairs = Pairs::halves, .activation = Act::gelu},
    {.architecture = "gptneox",
     .rope_pairs = Pairs::halves,
     .activation = Act::gelu,
     .parallel_ffn = true},
    {.architecture = "falcon",
     .rope_pairs = Pairs::halves,
     .activation = Act::gelu,
     .norm_before_ffn = "attn_norm",
     .norm_before_attention = "attn_norm_2",
     .parallel_ffn = true},
    {.architecture = "stablelm",
     .rope_pairs = Pairs::halves,
     .norm = NormKind::layer,
     .parallel_ffn_without_norm = true},
    {.architecture = "nemotron", .rope_pairs = Pairs::halves, .activation = Act::relu_squared},
    {.architecture = "orion", .rope_pairs = Pairs::halves},
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
