// SPDX-License-Identifier: MIT
#include "hwdb/tensor_traits.h"

#include <algorithm>

namespace hwdb {
namespace {

using Norms = std::array<std::string_view, 4>;

constexpr Norms kPlain{"attn_norm", "ffn_norm", "", ""};
constexpr Norms kPostAttention{"attn_norm", "post_attention_norm", "", ""};
constexpr Norms kPostOnly{"post_attention_norm", "post_ffw_norm", "", ""};
constexpr Norms kSandwich{"attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"};

// Read from llama.cpp's loader (src/models/*.cpp) and converter (conversion/*.py) at commit
// de3ff815, 2026-09-28, and its quantizer's rules.
constexpr TensorTraits kTraits[] = {
    {.architecture = "llama", .layers_of_70b = 80, .only_gqa_70b = true},
    {.architecture = "llama4"},
    {.architecture = "mistral3"},
    {.architecture = "qwen2", .layers_of_70b = 80},
    {.architecture = "qwen2moe"},
    {.architecture = "qwen2vl"},
    {.architecture = "qwen3"},
    {.architecture = "qwen3moe"},
    {.architecture = "qwen3vl"},
    {.architecture = "qwen3vlmoe"},
    {.architecture = "qwen3next", .norms = kPostAttention, .one_beta_alpha = true},
    {.architecture = "qwen35", .norms = kPostAttention, .stores_mtp = true, .state_rollback = true},
    {.architecture = "qwen35moe",
     .norms = kPostAttention,
     .stores_mtp = true,
     .state_rollback = true},
    {.architecture = "gemma"},
    {.architecture = "gemma2", .norms = kSandwich},
    {.architecture = "gemma3", .norms = kSandwich},
    {.architecture = "gemma3n", .norms = kSandwich, .no_tensor_split = true},
    {.architecture = "gemma4",
     .norms = kSandwich,
     .fused_expert_gate_up = true,
     .shared_layers_lack_kv = true,
     .sandwiched_experts = true,
     .output_scale = true},
    {.architecture = "gpt2", .fused_qkv = true},
    {.architecture = "gptneox", .fused_qkv = true},
    {.architecture = "bloom", .fused_qkv = true, .embedding_norm = true},
    {.architecture = "starcoder", .fused_qkv = true},
    {.architecture = "starcoder2"},
    {.architecture = "falcon",
     .norms = {"attn_norm", "attn_norm_2", "", ""},
     .fused_qkv = true,
     .falcon_mix = true},
    {.architecture = "falcon-h1", .no_tensor_split = true},
    {.architecture = "phi2", .output_bias = true},
    {.architecture = "phi3", .fused_qkv = true},
    {.architecture = "phimoe", .output_bias = true},
    {.architecture = "deepseek"},
    {.architecture = "deepseek2", .no_tensor_split = true},
    {.architecture = "deepseek32", .stores_mtp = true, .no_tensor_split = true},
    {.architecture = "glm-dsa", .stores_mtp = true, .no_tensor_split = true},
    {.architecture = "chatglm", .fused_qkv = true},
    {.architecture = "glm4", .norms = kSandwich},
    {.architecture = "glm4moe", .norms = kPostAttention, .stores_mtp = true},
    {.architecture = "gpt-oss",
     .norms = kPostAttention,
     .router_bias_in_router = true,
     .mxfp4_experts = true},
    {.architecture = "kimi-linear", .zero_kv_heads_if_recurrent = true, .no_tensor_split = true},
    {.architecture = "minimax-01", .no_tensor_split = true},
    {.architecture = "minimax-m2", .no_tensor_split = true},
    {.architecture = "minimax-m3", .no_tensor_split = true},
    {.architecture = "granite"},
    {.architecture = "granitemoe"},
    {.architecture = "granitehybrid", .zero_kv_heads_if_recurrent = true, .no_tensor_split = true},
    {.architecture = "smollm3"},
    {.architecture = "olmo", .layers_of_70b = 80},
    {.architecture = "olmo2", .norms = kPostOnly, .no_tensor_split = true},
    {.architecture = "olmoe", .no_tensor_split = true},
    {.architecture = "command-r"},
    {.architecture = "cohere2"},
    {.architecture = "openelm", .fused_qkv = true},
    {.architecture = "stablelm"},
    {.architecture = "nemotron"},
    {.architecture = "nemotron_h",
     .needs_layer_pattern = true,
     .zero_kv_heads_if_recurrent = true,
     .no_tensor_split = true,
     .state_rollback = true},
    {.architecture = "nemotron_h_moe",
     .needs_layer_pattern = true,
     .zero_kv_heads_if_recurrent = true,
     .no_tensor_split = true,
     .state_rollback = true},
    {.architecture = "deci", .layers_of_70b = 80},
    {.architecture = "hunyuan-dense"},
    {.architecture = "hunyuan-moe"},
    {.architecture = "hy_v3", .stores_mtp = true},
    {.architecture = "ernie4_5"},
    {.architecture = "ernie4_5-moe"},
    {.architecture = "jamba", .zero_kv_heads_if_recurrent = true, .no_tensor_split = true},
    {.architecture = "mamba", .no_tensor_split = true},
    {.architecture = "mamba2", .no_tensor_split = true},
    {.architecture = "rwkv7",
     .norms = {"attn_norm", "attn_norm_2", "", ""},
     .embedding_norm = true},
    {.architecture = "lfm2",
     .output_norm = "token_embd_norm",
     .zero_kv_heads_if_recurrent = true,
     .state_rollback = true},
    {.architecture = "lfm2moe",
     .output_norm = "token_embd_norm",
     .zero_kv_heads_if_recurrent = true,
     .state_rollback = true},
    {.architecture = "mimo2", .stores_mtp = true},
    {.architecture = "step35", .stores_mtp = true},
    {.architecture = "seed_oss", .norms = kPostAttention},
    {.architecture = "exaone"},
    {.architecture = "exaone4", .norms = kPostOnly},
    {.architecture = "dots1"},
    {.architecture = "arcee"},
    {.architecture = "orion"},
    {.architecture = "xverse"},
    {.architecture = "bailingmoe"},
    {.architecture = "bailingmoe2", .fused_qkv = true, .stores_mtp = true},
    {.architecture = "internlm2"},
    {.architecture = "minicpm"},
    {.architecture = "minicpm3", .kv_b_in_one_piece = true, .no_tensor_split = true},
    {.architecture = "dbrx", .norms = {"attn_norm", "attn_output_norm", "", ""}, .fused_qkv = true},
    {.architecture = "grok",
     .norms = {"attn_norm", "attn_output_norm", "ffn_norm", "layer_output_norm"},
     .no_tensor_split = true},
};

constexpr TensorTraits kPlainTraits{.architecture = "", .norms = kPlain};

}  // namespace

const TensorTraits* find_tensor_traits(std::string_view architecture) {
  const auto* it = std::ranges::find(kTraits, architecture, &TensorTraits::architecture);
  return it != std::end(kTraits) ? it : nullptr;
}

std::span<const TensorTraits> all_tensor_traits() {
  return kTraits;
}

const TensorTraits& plain_tensor_traits() {
  return kPlainTraits;
}

}  // namespace hwdb
