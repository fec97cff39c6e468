// SPDX-License-Identifier: MIT
#include "hwdb/model.h"

#include <algorithm>
#include <string>

#include "hwdb/limits.h"

namespace hwdb {
namespace {

/// One flag a layer, for the lists of layer numbers in a shape.
std::vector<bool> marks(const std::vector<std::uint32_t>& layers, std::uint32_t n_layers) {
  std::vector<bool> marked(n_layers, false);
  for (std::uint32_t layer : layers) {
    if (layer < n_layers) marked[layer] = true;
  }
  return marked;
}

/// A per-layer value where the list may be shorter than the model (a malformed record, refused
/// elsewhere).
std::uint32_t value_at(const PerLayer& values, std::uint32_t layer) {
  return values.values.size() > 1 && layer >= values.values.size() ? 0 : values.at(layer);
}

bool has_experts(const ModelShape& shape, std::uint32_t layer) {
  if (shape.n_experts == 0 || layer < shape.first_dense_layers) return false;
  const std::uint32_t step = std::max<std::uint32_t>(shape.moe_layer_step, 1);
  return layer % step == shape.moe_layer_offset % step;
}

void apply_variant(const AttentionVariant& variant, LayerShape* layer) {
  if (variant.n_heads > 0) layer->n_heads = variant.n_heads;
  if (variant.n_kv_heads > 0) layer->n_kv_heads = variant.n_kv_heads;
  if (variant.head_dim_k > 0) layer->head_dim_k = variant.head_dim_k;
  if (variant.head_dim_v > 0) layer->head_dim_v = variant.head_dim_v;
  layer->v_is_k = variant.v_is_k;
}

/// Sizes and window of a layer that attends.
void shape_attention(const ModelShape& shape, bool is_global, std::uint32_t index,
                     LayerShape* layer) {
  layer->n_heads = value_at(shape.n_heads, index);
  layer->n_kv_heads = value_at(shape.n_kv_heads, index);
  layer->head_dim_k = shape.head_dim_k;
  layer->head_dim_v = shape.head_dim_v;
  const bool windowed = shape.sliding_window > 0 || shape.chunked_attention > 0;
  const bool limited =
      windowed && !is_global &&
      (shape.all_layers_sliding || !shape.global_layers.empty() || shape.chunked_attention > 0);
  if (limited) {
    layer->kind =
        shape.chunked_attention > 0 ? LayerKind::chunked_attention : LayerKind::sliding_attention;
    layer->window = shape.chunked_attention > 0 ? shape.chunked_attention : shape.sliding_window;
    if (shape.sliding_variant) apply_variant(*shape.sliding_variant, layer);
    return;
  }
  layer->kind = LayerKind::full_attention;
  if (windowed && shape.global_variant) apply_variant(*shape.global_variant, layer);
  if (shape.mla) {
    layer->kind = LayerKind::mla;
    layer->head_dim_k = shape.mla->qk_nope_dim + shape.mla->qk_rope_dim;
    layer->head_dim_v = shape.mla->v_head_dim;
  }
}

}  // namespace

std::vector<LayerShape> layers_of(const ModelShape& shape) {
  const std::uint32_t n = shape.n_layers;
  const std::vector<bool> global = marks(shape.global_layers, n);
  const std::vector<bool> attends = marks(shape.attention_layers, n);
  const bool listed = shape.hybrid && shape.ssm.has_value();
  // Where every layer of a hybrid attends, its state can only be beside attention.
  const bool beside =
      shape.ssm.has_value() && (shape.ssm_beside_attention ||
                                (listed && std::ranges::find(attends, false) == attends.end()));
  const std::uint32_t first_shared = shape.kv_shared_layers < n ? n - shape.kv_shared_layers : n;

  std::vector<LayerShape> layers(n);
  for (std::uint32_t i = 0; i < n; ++i) {
    LayerShape& layer = layers[i];
    layer.n_ff = i >= first_shared && shape.n_ff_kv_shared > 0 ? shape.n_ff_kv_shared
                                                               : value_at(shape.n_ff, i);
    layer.n_experts = has_experts(shape, i) ? shape.n_experts : 0;
    if (layer.n_experts > 0 && !shape.dense_ffn_beside_experts) layer.n_ff = 0;

    bool recurrent = false, attention = false;
    if (i < shape.layer_pattern.size()) {
      const char letter = shape.layer_pattern[i];
      recurrent = letter == 'M';
      attention = letter == '*';
      layer.n_experts = letter == 'E' ? shape.n_experts : 0;
      layer.n_ff = letter == '-' ? value_at(shape.n_ff, i) : 0;
    } else if (listed) {
      attention = attends[i];
      recurrent = !attention;
    } else {
      attention = value_at(shape.n_kv_heads, i) > 0;
      recurrent = !attention && shape.ssm.has_value();
    }

    layer.has_state = recurrent || beside;
    if (attention) {
      shape_attention(shape, global[i], i, &layer);
      layer.owns_cache = i < first_shared && i % std::max(shape.kv_share_factor, 1u) == 0;
    } else {
      layer.kind = recurrent ? LayerKind::recurrent : LayerKind::none;
    }
  }
  return layers;
}

Status check_sizes(const ModelShape& shape) {
  if (shape.n_layers == 0 || shape.n_layers > limits::kLayers) {
    return Error{"model.range",
                 "the number of layers must be 1 to " + std::to_string(limits::kLayers) + ", not " +
                     std::to_string(shape.n_layers),
                 shape.architecture,
                 {}};
  }
  const MlaShape mla = shape.mla.value_or(MlaShape{});
  const SsmShape ssm = shape.ssm.value_or(SsmShape{});
  const IndexerShape index = shape.indexer.value_or(IndexerShape{});
  const AttentionVariant global = shape.global_variant.value_or(AttentionVariant{});
  const AttentionVariant sliding = shape.sliding_variant.value_or(AttentionVariant{});
  std::uint32_t widest = std::max({shape.n_embd,         shape.head_dim_k,
                                   shape.head_dim_v,     shape.n_experts,
                                   shape.n_ff_expert,    shape.n_shared_experts,
                                   shape.n_ff_shared,    shape.expert_latent_dim,
                                   shape.n_ff_kv_shared, shape.learned_positions,
                                   shape.mtp_layers,     shape.per_layer_dim,
                                   shape.altup_inputs,   shape.laurel_rank,
                                   mla.kv_lora_rank,     mla.q_lora_rank,
                                   mla.qk_nope_dim,      mla.qk_rope_dim,
                                   mla.v_head_dim,       ssm.d_inner,
                                   ssm.d_state,          ssm.d_conv,
                                   ssm.dt_rank,          ssm.n_groups,
                                   ssm.n_heads,          ssm.head_dim,
                                   ssm.n_k_heads,        ssm.n_v_heads,
                                   ssm.head_k,           ssm.head_v,
                                   index.n_heads,        index.head_dim,
                                   global.n_heads,       global.n_kv_heads,
                                   global.head_dim_k,    global.head_dim_v,
                                   sliding.n_heads,      sliding.n_kv_heads,
                                   sliding.head_dim_k,   sliding.head_dim_v});
  for (const PerLayer* list : {&shape.n_heads, &shape.n_kv_heads, &shape.n_ff}) {
    for (std::uint32_t value : list->values) widest = std::max(widest, value);
  }
  constexpr std::uint32_t kWidest = 1u << 24;
  if (widest > kWidest) {
    return Error{"model.overflow",
                 "a width of " + std::to_string(widest) + " is beyond any model",
                 shape.architecture,
                 {}};
  }
  return Ok{};
}

}  // namespace hwdb
