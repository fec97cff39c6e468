// SPDX-License-Identifier: MIT
// Values from the publishers' config.json files; which keys there are from the loader of llama.cpp
// v0.5.0 (src/models/*.cpp).
#include "engine/synth/synth_traits.h"

#include <algorithm>
#include <array>

namespace engine {
namespace {

struct Row {
  std::string_view architecture;
  SynthTraits traits;
};

constexpr std::uint32_t kSigmoid = 2, kSoftmax = 1;

constexpr std::array kRows = {
    Row{"llama", {.pre = "llama-bpe", .add_bos = true}},
    Row{"mistral3", {.add_bos = true, .yarn_log_multiplier = 1, .temperature_scale = 0.1}},
    Row{"qwen2", {.norm_eps = 1e-6, .pre = "qwen2"}},
    Row{"qwen2moe", {.norm_eps = 1e-6, .expert_width_key = true, .pre = "qwen2"}},
    Row{"qwen3", {.norm_eps = 1e-6, .pre = "qwen2"}},
    Row{"qwen3moe",
        {.norm_eps = 1e-6, .expert_width_key = true, .pre = "qwen2", .expert_weights_norm = true}},
    Row{"gemma",
        {.norm_eps = 1e-6, .tokenizer = "llama", .add_bos = true, .embedding_times_width = true}},
    Row{"gemma2",
        {.norm_eps = 1e-6,
         .tokenizer = "llama",
         .add_bos = true,
         .attention_softcap = 50,
         .final_softcap = 30,
         .embedding_times_width = true}},
    Row{"gemma3",
        {.norm_eps = 1e-6, .tokenizer = "llama", .add_bos = true, .embedding_times_width = true}},
    Row{"phi3", {}},
    Row{"olmoe", {}},
    Row{"gpt-oss", {.expert_width_key = true, .pre = "gpt-4o"}},
    Row{"deepseek2",
        {.norm_eps = 1e-6, .expert_width_key = true, .pre = "deepseek-llm", .add_bos = true}},
    Row{"granite", {.residual_scale = 0.22, .embedding_scale = 12, .logit_scale_divides = true}},
    Row{"granitemoe",
        {.norm_eps = 1e-6,
         .residual_scale = 0.22,
         .embedding_scale = 12,
         .logit_scale_divides = true}},
    Row{"smollm3", {.norm_eps = 1e-6, .pre = "llama-bpe"}},
    Row{"gpt2", {.pre = "gpt-2"}},
    Row{"command-r", {.layernorm_eps = true, .logit_scale = 0.0625}},
    Row{"cohere2", {.layernorm_eps = true, .logit_scale = 0.25}},
    Row{"olmo", {.layernorm_eps = true}},
    Row{"llama4", {.expert_width_key = true, .pre = "gpt-4o", .add_bos = true}},
    Row{"glm4moe",
        {.expert_width_key = true,
         .gating = kSigmoid,
         .expert_scale = 1,
         .expert_weights_norm = true}},
    Row{"deepseek", {.norm_eps = 1e-6, .expert_width_key = true, .expert_scale = 1}},
    Row{"ernie4_5-moe", {.expert_width_key = true}},
    Row{"minimax-m2", {.norm_eps = 1e-6, .expert_width_key = true, .gating = kSigmoid}},
};

/// Vocabularies up to this size are SentencePiece's in the families that have both kinds.
constexpr std::uint64_t kSentencePieceVocabulary = 32'064;

}  // namespace

SynthTraits synth_traits(const hwdb::ModelShape& shape) {
  const auto* row = std::ranges::find(kRows, shape.architecture, &Row::architecture);
  SynthTraits traits = row != kRows.end() ? row->traits : SynthTraits{};
  const bool two_kinds = shape.architecture == "llama" || shape.architecture == "phi3";
  if (two_kinds && shape.n_vocab <= kSentencePieceVocabulary) {
    traits.tokenizer = "llama";
    traits.pre = "default";
    traits.add_bos = true;
  }
  if (traits.embedding_scale > 0) {
    // Granite's published values: 1/head_dim, and 8 and 16 at widths of 2048 and 4096.
    traits.attention_scale = 1.0 / shape.head_dim_k;
    traits.logit_scale = shape.n_embd / 256.0;
  }
  if (shape.mla) {
    // DeepSeek V3 routes by a sigmoid with a correction bias, V2 by a softmax.
    traits.gating = shape.router_bias ? kSigmoid : kSoftmax;
    traits.expert_weights_norm = shape.router_bias;
    traits.expert_scale = shape.router_bias ? 2.5 : shape.mla->q_lora_rank > 0 ? 16 : 1;
    if (shape.rope.scaling == "yarn") traits.yarn_log_multiplier = shape.router_bias ? 0.1 : 0.0707;
  }
  return traits;
}

}  // namespace engine
