// SPDX-License-Identifier: MIT
#include <utility>

#include "hwdb/tensor_list_builder.h"

namespace hwdb {

void ListBuilder::add_qkv(const LayerShape& layer) {
  const std::uint64_t d = shape_.n_embd;
  const std::uint64_t q =
      std::uint64_t{layer.n_heads} * layer.head_dim_k * (shape_.attn_output_gate ? 2 : 1);
  const std::uint64_t k = std::uint64_t{layer.n_kv_heads} * layer.head_dim_k;
  const std::uint64_t v = std::uint64_t{layer.n_kv_heads} * layer.head_dim_v;
  if (shape_.fused_qkv || traits_.fused_qkv) {
    block("attn_qkv.weight", {d, q + k + v, 1, 1}, TensorRole::attention);
    if (shape_.attn_qkv_bias) {
      block("attn_qkv.bias", {q + k + v, 1, 1, 1}, TensorRole::attention);
    }
    return;
  }
  const bool has_kv = layer.owns_cache || !traits_.shared_layers_lack_kv;
  const std::pair<std::string_view, std::uint64_t> parts[] = {
      {"attn_q", q}, {"attn_k", has_kv ? k : 0}, {"attn_v", has_kv && !layer.v_is_k ? v : 0}};
  for (const auto& [name, width] : parts) {
    if (width == 0 && name != "attn_q") continue;
    block(std::string(name) + ".weight", {d, width, 1, 1}, TensorRole::attention);
    if (shape_.attn_qkv_bias) {
      block(std::string(name) + ".bias", {width, 1, 1, 1}, TensorRole::attention);
    }
  }
}

void ListBuilder::add_attention(const LayerShape& layer) {
  add_qkv(layer);
  const std::uint64_t d = shape_.n_embd;
  const std::uint64_t out = std::uint64_t{layer.n_heads} * layer.head_dim_v;
  block("attn_output.weight", {out, d, 1, 1}, TensorRole::attention);
  if (shape_.attn_out_bias) block("attn_output.bias", {d, 1, 1, 1}, TensorRole::attention);
  const bool has_k = layer.owns_cache || !traits_.shared_layers_lack_kv;
  switch (shape_.qk_norm) {
    case ModelShape::QkNorm::none:
      break;
    case ModelShape::QkNorm::per_head_dim:
      block("attn_q_norm.weight", {layer.head_dim_k, 1, 1, 1}, TensorRole::attention);
      if (has_k) block("attn_k_norm.weight", {layer.head_dim_k, 1, 1, 1}, TensorRole::attention);
      break;
    case ModelShape::QkNorm::full_width:
      block("attn_q_norm.weight", {std::uint64_t{layer.n_heads} * layer.head_dim_k, 1, 1, 1},
            TensorRole::attention);
      block("attn_k_norm.weight", {std::uint64_t{layer.n_kv_heads} * layer.head_dim_k, 1, 1, 1},
            TensorRole::attention);
      break;
    case ModelShape::QkNorm::per_head:
      block("attn_q_norm.weight", {layer.head_dim_k, layer.n_heads, 1, 1}, TensorRole::attention);
      block("attn_k_norm.weight", {layer.head_dim_k, layer.n_kv_heads, 1, 1},
            TensorRole::attention);
      break;
  }
  if (shape_.attn_sinks || (shape_.swa_sinks && layer.window > 0)) {
    block("attn_sinks.weight", {layer.n_heads, 1, 1, 1}, TensorRole::attention);
  }
}

void ListBuilder::add_latent_attention(const LayerShape& layer) {
  const MlaShape& mla = *shape_.mla;
  const std::uint64_t d = shape_.n_embd, h = layer.n_heads, rank = mla.kv_lora_rank;
  const std::uint64_t q = h * (std::uint64_t{mla.qk_nope_dim} + mla.qk_rope_dim);
  const TensorRole role = TensorRole::attention;
  if (mla.q_lora_rank > 0) {
    block("attn_q_a.weight", {d, mla.q_lora_rank, 1, 1}, role);
    block("attn_q_a_norm.weight", {mla.q_lora_rank, 1, 1, 1}, role);
    block("attn_q_b.weight", {mla.q_lora_rank, q, 1, 1}, role);
  } else {
    block("attn_q.weight", {d, q, 1, 1}, role);
  }
  block("attn_kv_a_mqa.weight", {d, rank + mla.qk_rope_dim, 1, 1}, role);
  block("attn_kv_a_norm.weight", {rank, 1, 1, 1}, role);
  if (mla.split_kv_b && !traits_.kv_b_in_one_piece) {
    block("attn_k_b.weight", {mla.qk_nope_dim, rank, h, 1}, role);
    block("attn_v_b.weight", {rank, mla.v_head_dim, h, 1}, role);
  } else {
    block("attn_kv_b.weight", {rank, h * (std::uint64_t{mla.qk_nope_dim} + mla.v_head_dim), 1, 1},
          role);
  }
  if (shape_.attn_output_gate) {
    block("attn_gate.weight", {d, h * mla.v_head_dim, 1, 1}, role);
  }
  block("attn_output.weight", {h * mla.v_head_dim, d, 1, 1}, role);
}

void ListBuilder::add_indexer() {
  const IndexerShape& index = *shape_.indexer;
  const std::uint64_t d = shape_.n_embd, width = std::uint64_t{index.n_heads} * index.head_dim;
  const TensorRole role = TensorRole::attention;
  if (!shape_.mla) {
    block("indexer.q_proj.weight", {d, width, 1, 1}, role);
    block("indexer.k_proj.weight", {d, index.head_dim, 1, 1}, role);
    block("indexer.q_norm.weight", {index.head_dim, 1, 1, 1}, role);
    block("indexer.k_norm.weight", {index.head_dim, 1, 1, 1}, role);
    return;
  }
  const std::uint64_t from = shape_.mla->q_lora_rank > 0 ? shape_.mla->q_lora_rank : d;
  block("indexer.k_norm.weight", {index.head_dim, 1, 1, 1}, role);
  block("indexer.k_norm.bias", {index.head_dim, 1, 1, 1}, role);
  block("indexer.proj.weight", {d, index.n_heads, 1, 1}, role);
  block("indexer.attn_k.weight", {d, index.head_dim, 1, 1}, role);
  block("indexer.attn_q_b.weight", {from, width, 1, 1}, role);
}

}  // namespace hwdb
