// SPDX-License-Identifier: MIT
#include "planner/graph/graph_traits.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "hwdb/tensor_traits.h"

namespace planner {
namespace {

template <std::size_t n>
bool is_any(std::string_view name, const std::array<std::string_view, n>& names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool expands_latent(const hwdb::ModelShape& shape) {
  const hwdb::TensorTraits* layout = hwdb::find_tensor_traits(shape.architecture);
  return shape.mla && (!shape.mla->split_kv_b || (layout != nullptr && layout->kv_b_in_one_piece));
}

}  // namespace

GraphTraits graph_traits(const hwdb::ModelShape& shape) {
  using namespace std::literals;
  const std::string_view name = shape.architecture;
  GraphTraits t;
  if (is_any(name, std::array{"falcon"sv, "gptneox"sv, "plamo"sv}))
    t.parallel = GraphTraits::ParallelSum::ffn_attention_residual;
  if (name == "phi2") t.parallel = GraphTraits::ParallelSum::attention_ffn_residual;
  if (is_any(name, std::array{"command-r"sv, "cohere2"sv, "cohere2moe"sv}))
    t.parallel = GraphTraits::ParallelSum::ffn_residual_attention;
  const hwdb::TensorTraits* layout = hwdb::find_tensor_traits(name);
  t.fused_qkv = shape.fused_qkv || (layout != nullptr && layout->fused_qkv);
  t.norm_after_only = is_any(name, std::array{"olmo2"sv, "exaone4"sv});
  t.outputs_after_blocks = is_any(name, std::array{"gpt-oss"sv});
  t.outputs_after_norm = is_any(name, std::array{"qwen35"sv, "qwen35moe"sv, "qwen3next"sv,
                                                 "nemotron_h"sv, "nemotron_h_moe"sv, "gemma4"sv});
  if (is_any(name, std::array{"qwen35"sv, "qwen35moe"sv, "qwen2vl"sv, "qwen3vl"sv, "qwen3vlmoe"sv}))
    t.positions_per_token = 4;
  t.residual_first =
      is_any(name, std::array{"phi3"sv, "phimoe"sv, "lfm2"sv, "lfm2moe"sv, "jamba"sv});
  t.attention_residual_first =
      is_any(name, std::array{"openelm"sv, "jamba"sv, "lfm2"sv, "lfm2moe"sv});
  // Cohere's and OLMo's layer norms have no bias (OLMo's not even weights), and so look like RMS.
  t.layer_norm = shape.norm == hwdb::ModelShape::Norm::layernorm || shape.norms_per_layer == 0 ||
                 is_any(name, std::array{"command-r"sv, "cohere2"sv, "cohere2moe"sv});
  t.rope = shape.learned_positions == 0 && (name != "granitehybrid" || shape.rope.freq_base > 0) &&
           !is_any(name, std::array{"gpt2"sv, "starcoder"sv, "bloom"sv, "mpt"sv, "jamba"sv,
                                    "nemotron_h"sv, "nemotron_h_moe"sv});
  t.rope_on_windows_only = name == "cohere2";
  t.rope_table = shape.rope.scaling == "llama3" || shape.rope.scaling == "longrope" ||
                 shape.rope.scaling == "proportional";
  t.rope_table_on_global_only = shape.rope.scaling == "proportional";
  t.never_flash = name == "grok";
  t.joined_gate_up =
      shape.fused_gate_up || is_any(name, std::array{"chatglm"sv, "glm4"sv, "phi3"sv});
  t.router_picks_first = name == "gpt-oss";
  t.router_normalizes = is_any(
      name, std::array{"llama"sv,          "qwen3moe"sv,     "phi3"sv,        "phimoe"sv,
                       "granitemoe"sv,     "dbrx"sv,         "grok"sv,        "glm4moe"sv,
                       "minimax-m2"sv,     "ernie4_5-moe"sv, "hunyuan-moe"sv, "qwen3next"sv,
                       "qwen35moe"sv,      "lfm2moe"sv,      "bailingmoe"sv,  "bailingmoe2"sv,
                       "nemotron_h_moe"sv, "gemma4"sv,       "mimo2"sv,       "step35"sv,
                       "granitehybrid"sv});
  const bool bias_in_router = layout != nullptr && layout->router_bias_in_router;
  t.router_bias_weighs = shape.router_bias && bias_in_router;
  t.router_bias_picks = shape.router_bias && !bias_in_router;
  // DeepSeek V3 and its relatives choose by sigmoid and bias, V2 by softmax alone.
  t.router_normalizes = t.router_normalizes || (shape.mla && t.router_bias_picks);
  t.router_groups = name == "deepseek2" && t.router_bias_picks && shape.n_experts == 256;
  t.weighs_before_experts = name == "llama4";
  t.joined_expert_gate_up = layout != nullptr && layout->fused_expert_gate_up;
  t.sandwiched_experts = layout != nullptr && layout->sandwiched_experts;
  t.expert_output_scale = t.sandwiched_experts;
  t.scales_block_output = layout != nullptr && layout->output_scale;
  t.plain_head_norm = t.scales_unturned_queries = name == "llama4";
  t.norms_turned_heads = is_any(name, std::array{"llama4"sv, "hunyuan-dense"sv, "hunyuan-moe"sv});
  t.expands_latent = expands_latent(shape);
  t.drops_blocks_without_ffn = name == "deci";
  t.norm_before_state =
      is_any(name, std::array{"qwen35"sv, "qwen35moe"sv, "qwen3next"sv, "kimi-linear"sv});
  t.norms_values = name == "gemma4";
  t.adds_layer_embeddings = name == "gemma4" && shape.per_layer_dim > 0;
  t.scales_embeddings_at_once =
      is_any(name, std::array{"granite"sv, "granitemoe"sv, "granitehybrid"sv});
  t.scales_embeddings =
      t.scales_embeddings_at_once ||
      is_any(name, std::array{"gemma"sv, "gemma2"sv, "gemma3"sv, "gemma4"sv, "minicpm3"sv});
  return t;
}

bool gpus_have_flash_for(const hwdb::ModelShape& shape) {
  for (const hwdb::LayerShape& layer : hwdb::layers_of(shape)) {
    std::uint64_t k = layer.head_dim_k, v = layer.head_dim_v, heads = layer.n_heads,
                  kv_heads = layer.n_kv_heads;
    if (layer.kind == hwdb::LayerKind::mla && expands_latent(shape)) {
      k = std::uint64_t{shape.mla->qk_nope_dim} + shape.mla->qk_rope_dim;
      v = shape.mla->v_head_dim;
      kv_heads = heads;
    } else if (layer.kind == hwdb::LayerKind::mla) {
      k = std::uint64_t{shape.mla->kv_lora_rank} + shape.mla->qk_rope_dim;
      v = shape.mla->kv_lora_rank;
      kv_heads = 1;
    } else if (layer.n_heads == 0 || (layer.n_kv_heads == 0 && layer.owns_cache)) {
      continue;
    }
    const std::uint64_t group = kv_heads > 0 ? heads / kv_heads : heads;
    switch (k) {
      case 40:
      case 64:
      case 72:
      case 80:
      case 96:
      case 112:
      case 128:
      case 256:
        if (v != k) return false;
        break;
      case 192:
        if (v != 128 || group % 8 != 0) return false;
        break;
      case 320:
        if (v != 256 || group % 32 != 0) return false;
        break;
      case 512:
      case 576:
        if (v != 512 || group < 2) return false;
        break;
      default:
        return false;
    }
  }
  return true;
}

}  // namespace planner
