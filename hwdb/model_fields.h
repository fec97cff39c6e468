// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string_view>

#include "hwdb/row_fields.h"

/// The field tables of a model's row and shape, apart because they are long.
namespace hwdb::row_fields {

inline constexpr std::string_view kSsmKinds[] = {
    "mamba1",     "mamba2", "gated_deltanet", "kda", "lightning_attention",
    "short_conv", "rwkv5",  "rwkv7"};
inline constexpr std::string_view kQkNorms[] = {"none", "per_head_dim", "full_width", "per_head"};
inline constexpr std::string_view kNorms[] = {"rmsnorm", "layernorm"};

/// The texts of an enum in rows, in the order of its values.
constexpr std::span<const std::string_view> enum_names(SsmShape::Kind) {
  return kSsmKinds;
}
constexpr std::span<const std::string_view> enum_names(ModelShape::QkNorm) {
  return kQkNorms;
}
constexpr std::span<const std::string_view> enum_names(ModelShape::Norm) {
  return kNorms;
}

template <class V>
void fields(V& v, MlaShape& r) {
  v("kv_lora_rank", r.kv_lora_rank);
  v("q_lora_rank", r.q_lora_rank);
  v("qk_nope_dim", r.qk_nope_dim);
  v("qk_rope_dim", r.qk_rope_dim);
  v("v_head_dim", r.v_head_dim);
  v("split_kv_b", r.split_kv_b);
}

template <class V>
void fields(V& v, SsmShape& r) {
  v("kind", r.kind);
  v("d_inner", r.d_inner);
  v("d_state", r.d_state);
  v("d_conv", r.d_conv);
  v("dt_rank", r.dt_rank);
  v("n_groups", r.n_groups);
  v("n_heads", r.n_heads);
  v("head_dim", r.head_dim);
  v("n_k_heads", r.n_k_heads);
  v("n_v_heads", r.n_v_heads);
  v("head_k", r.head_k);
  v("head_v", r.head_v);
  v("gated_norm", r.gated_norm);
  v("bcdt_norm", r.bcdt_norm);
  v("rate_rank", r.rate_rank);
  v("decay_rank", r.decay_rank);
  v("gate_rank", r.gate_rank);
  v("value_rank", r.value_rank);
}

template <class V>
void fields(V& v, IndexerShape& r) {
  v("n_heads", r.n_heads);
  v("head_dim", r.head_dim);
  v("top_k", r.top_k);
  v("block", r.block);
  v("first_layer", r.first_layer);
}

template <class V>
void fields(V& v, LowRankAttention& r) {
  v("q_lora_rank", r.q_lora_rank);
  v("o_lora_rank", r.o_lora_rank);
  v("o_groups", r.o_groups);
}

template <class V>
void fields(V& v, AttentionVariant& r) {
  v("n_heads", r.n_heads);
  v("n_kv_heads", r.n_kv_heads);
  v("head_dim_k", r.head_dim_k);
  v("head_dim_v", r.head_dim_v);
  v("v_is_k", r.v_is_k);
}

template <class V>
void fields(V& v, RopeShape& r) {
  v("freq_base", r.freq_base);
  v("freq_base_swa", r.freq_base_swa);
  v("scaling", r.scaling);
  v("factor", r.factor);
  v("original_context", r.original_context);
  v("partial_factor", r.partial_factor);
  v("low_freq_factor", r.low_freq_factor);
  v("high_freq_factor", r.high_freq_factor);
  v("alpha", r.alpha);
  v("none_every", r.none_every);
}

template <class V>
void fields(V& v, ModelShape& r) {
  v("architecture", r.architecture);
  v("n_layers", r.n_layers);
  v("n_embd", r.n_embd);
  v("n_vocab", r.n_vocab);
  v("n_ctx_train", r.n_ctx_train);
  v("n_heads", r.n_heads);
  v("n_kv_heads", r.n_kv_heads);
  v("n_ff", r.n_ff);
  v("head_dim_k", r.head_dim_k);
  v("head_dim_v", r.head_dim_v);
  v("n_experts", r.n_experts);
  v("n_experts_used", r.n_experts_used);
  v("n_ff_expert", r.n_ff_expert);
  v("n_shared_experts", r.n_shared_experts);
  v("n_ff_shared", r.n_ff_shared);
  v("first_dense_layers", r.first_dense_layers);
  v("moe_layer_step", r.moe_layer_step);
  v("moe_layer_offset", r.moe_layer_offset);
  v("dense_ffn_beside_experts", r.dense_ffn_beside_experts);
  v("expert_latent_dim", r.expert_latent_dim);
  v("hash_routed_layers", r.hash_routed_layers);
  v("sliding_window", r.sliding_window);
  v("global_layers", r.global_layers);
  v("all_layers_sliding", r.all_layers_sliding);
  v("llama_cpp_ignores_window", r.llama_cpp_ignores_window);
  v("chunked_attention", r.chunked_attention);
  v("global_variant", r.global_variant);
  v("sliding_variant", r.sliding_variant);
  v("kv_shared_layers", r.kv_shared_layers);
  v("n_ff_kv_shared", r.n_ff_kv_shared);
  v("kv_share_factor", r.kv_share_factor);
  v("mla", r.mla);
  v("ssm", r.ssm);
  v("indexer", r.indexer);
  v("low_rank_attention", r.low_rank_attention);
  v("attention_layers", r.attention_layers);
  v("hybrid", r.hybrid);
  v("ssm_beside_attention", r.ssm_beside_attention);
  v("layer_pattern", r.layer_pattern);
  v("rope", r.rope);
  v("tie_embeddings", r.tie_embeddings);
  v("attn_qkv_bias", r.attn_qkv_bias);
  v("attn_out_bias", r.attn_out_bias);
  v("mlp_bias", r.mlp_bias);
  v("expert_bias", r.expert_bias);
  v("router_bias", r.router_bias);
  v("qk_norm", r.qk_norm);
  v("attn_output_gate", r.attn_output_gate);
  v("shared_expert_gate", r.shared_expert_gate);
  v("attn_sinks", r.attn_sinks);
  v("swa_sinks", r.swa_sinks);
  v("ffn_gated", r.ffn_gated);
  v("norm", r.norm);
  v("norms_per_layer", r.norms_per_layer);
  v("learned_positions", r.learned_positions);
  v("alibi", r.alibi);
  v("fused_qkv", r.fused_qkv);
  v("fused_gate_up", r.fused_gate_up);
  v("mtp_layers", r.mtp_layers);
  v("vision", r.vision);
  v("per_layer_vocab", r.per_layer_vocab);
  v("per_layer_dim", r.per_layer_dim);
  v("altup_inputs", r.altup_inputs);
  v("laurel_rank", r.laurel_rank);
  v("hyper_connections", r.hyper_connections);
}

template <class V>
void fields(V& v, ModelRow& r) {
  v("id", r.id);
  v("aliases", r.aliases);
  v("family", r.family);
  v("release", r.release);
  v("license", r.license);
  v("params_total", r.params_total);
  v("params_active", r.params_active);
  v("params_published", r.params_published);
  v("params_mtp", r.params_mtp);
  v("params_check", r.params_check);
  v("kv_elements_per_token", r.kv_elements_per_token);
  v("shape_incomplete", r.shape_incomplete);
  v("shape", r.shape);
  v("quality_ids", r.quality_ids);
  v("native_quant", r.native_quant);
  v("aware_quant", r.aware_quant);
  v("notes", r.notes);
  fields(v, r.origin);
}

/// Sets what follows from a row that was read: llama.cpp's tensor list is known where the
/// architecture's name and all sizes are.
template <class Row>
void finish(Row&) {}
inline void finish(ModelRow& row) {
  row.shape.known_architecture = !row.shape.architecture.empty() && !row.shape_incomplete;
}

}  // namespace hwdb::row_fields
