// SPDX-License-Identifier: MIT
// The attention half of a layer.
#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "engine/run/forward_pass.h"

namespace engine {

const cpu::RopeTable* ForwardPass::rope_of(std::size_t layer) const {
  const ModelParams& params = model_->params();
  const RunTraits& traits = *params.traits;
  if (traits.no_rope) return nullptr;
  if (traits.no_rope_every > 0 && (layer + 1) % traits.no_rope_every == 0) return nullptr;
  if (params.layers[layer].window > 0) return &rope_sliding_;
  if (traits.rope_only_with_window && model_->shape().sliding_window > 0) return nullptr;
  return &rope_;
}

/// Sines and cosines of the pass's positions, for all layers.
void ForwardPass::set_ropes() {
  const ModelParams& params = model_->params();
  if (params.traits->no_rope) return;
  const auto set = [&](const RopeFrequencies& from, cpu::RopeTable* to) {
    to->set(*pool_,
            {.pairs = params.traits->rope_pairs,
             .n_rotated = from.n_rotated,
             .frequencies = from.frequencies,
             .magnitude = from.magnitude},
            positions_);
  };
  const bool stretched = params.rope_long_from > 0 && n_ctx_ > params.rope_long_from;
  set(stretched ? params.rope_long : params.rope, &rope_);
  if (model_->shape().sliding_window > 0 || model_->shape().chunked_attention > 0) {
    set(params.rope_sliding, &rope_sliding_);
  }
}

void ForwardPass::attention(std::size_t layer, const KvCache& cache) {
  const LayerWeights& weights = model_->weights().layers[layer];
  const std::uint32_t d = model_->shape().n_embd;
  const hwdb::LayerKind kind = model_->params().layers[layer].kind;
  if (kind == hwdb::LayerKind::none) return;
  attention_input_ = x_;
  if (weights.before_attention) {
    normalize(weights.before_attention, x_, n_tokens_, d, d, normed_);
    attention_input_ = normed_;
  }
  input_.set(attention_input_, n_tokens_, d, d);
  if (kind == hwdb::LayerKind::mla) {
    latent_attention(layer, cache);
  } else {
    plain_attention(layer, cache);
  }
}

/// Far from the start, queries grow: scores of many keys would flatten.
void ForwardPass::sharpen(float* q, std::size_t width) {
  const ModelParams& params = model_->params();
  if (params.temperature_scale == 0) return;
  pool_->for_each(n_tokens_, [&](std::size_t t, unsigned) {
    const auto steps = static_cast<float>(positions_[t] / params.temperature_step);
    const float factor = 1 + params.temperature_scale * std::log1p(steps);
    for (std::size_t i = t * width; i < (t + 1) * width; ++i) q[i] *= factor;
  });
}

void ForwardPass::attend(std::size_t layer, const KvCache& cache, float* q, float* out) {
  const hwdb::LayerShape& shape = model_->params().layers[layer];
  sharpen(q, std::size_t{shape.n_heads} * cache.layer(layer).head_dim_k);
  const cpu::Attention attention{
      .kv = cache.layer(layer),
      .n_heads = shape.n_heads,
      .scale = model_->params().attention_scale,
      .softcap = model_->params().attention_softcap,
      .window = shape.kind == hwdb::LayerKind::chunked_attention ? 0 : shape.window,
      .chunk = shape.kind == hwdb::LayerKind::chunked_attention ? shape.window : 0,
      .sinks = model_->weights().layers[layer].sinks};
  cpu::attend(*pool_, attention, places_, q, out);
  if (const float scale = model_->params().value_scale; scale != 1) {
    const std::uint32_t width = shape.n_heads * attention.kv.head_dim_v;
    cpu::scale(*pool_, out, std::size_t{n_tokens_} * width, scale, out);
  }
}

void ForwardPass::normalize_qk(std::size_t layer) {
  using QkNorm = hwdb::ModelShape::QkNorm;
  const LayerWeights& weights = model_->weights().layers[layer];
  const hwdb::LayerShape& shape = model_->params().layers[layer];
  const std::uint32_t head = shape.head_dim_k;
  const auto normalize_heads = [&](const Norm& norm, std::uint32_t n_heads, float* x) {
    const std::uint32_t width = n_heads * head;
    if (weights.qk_norm == QkNorm::full_width) {
      normalize(norm, x, n_tokens_, width, width, x);
    } else if (weights.qk_norm == QkNorm::per_head_dim) {
      normalize(norm, x, std::size_t{n_tokens_} * n_heads, head, head, x);
    } else {
      for (std::uint32_t at = 0; at < width; at += head) {
        const Norm own{norm.weight + at, norm.bias != nullptr ? norm.bias + at : nullptr};
        normalize(own, x + at, n_tokens_, head, width, x + at);
      }
    }
  };
  if (weights.q_norm) normalize_heads(weights.q_norm, shape.n_heads, q_);
  if (weights.k_norm) normalize_heads(weights.k_norm, shape.n_kv_heads, k_);
}

void ForwardPass::plain_attention(std::size_t layer, const KvCache& cache) {
  const LayerWeights& weights = model_->weights().layers[layer];
  const hwdb::LayerShape& shape = model_->params().layers[layer];
  const std::uint32_t q_width = shape.n_heads * shape.head_dim_k,
                      k_width = shape.n_kv_heads * shape.head_dim_k,
                      v_width = shape.n_kv_heads * shape.head_dim_v;
  products_.clear();
  for (const auto& [matrix, y, width] :
       {std::tuple{&weights.q, q_, q_width}, std::tuple{&weights.k, k_, k_width},
        std::tuple{&weights.v, v_, v_width}}) {
    products_.push_back({.weights = &matrix->weights,
                         .x = &input_,
                         .n_tokens = n_tokens_,
                         .y = y,
                         .y_stride = width,
                         .bias = matrix->bias});
  }
  cpu::multiply(*pool_, products_);
  if (const float most = model_->params().qkv_clamp; most > 0) {
    for (const auto& [x, width] :
         {std::pair{q_, q_width}, std::pair{k_, k_width}, std::pair{v_, v_width}}) {
      std::transform(x, x + std::size_t{n_tokens_} * width, x,
                     [=](float value) { return std::clamp(value, -most, most); });
    }
  }
  const bool norm_last = model_->params().traits->qk_norm_after_rope;
  if (!norm_last) normalize_qk(layer);
  if (const cpu::RopeTable* table = rope_of(layer)) {
    cpu::rotate(*pool_, *table, shape.n_heads, shape.head_dim_k, q_width, q_);
    cpu::rotate(*pool_, *table, shape.n_kv_heads, shape.head_dim_k, k_width, k_);
  }
  if (norm_last) normalize_qk(layer);
  cpu::store_kv(*pool_, cache.layer(layer), places_, k_, v_);
  attend(layer, cache, q_, attended_);
  prepare_parallel_ffn(weights);
  add_to_stream(weights.attn_output, attended_, shape.n_heads * shape.head_dim_v,
                weights.after_attention);
}

/// One matrix a head: row (token, head) of x, and of y.
void ForwardPass::heads_product(const Matrix& matrix, const float* x, std::size_t x_stride,
                                float* y, std::uint32_t y_dim) {
  const std::uint32_t n_heads = matrix.weights.n_matrices;
  inner_.set(x, n_tokens_ * n_heads, matrix.weights.n_cols, x_stride);
  rows_.resize(std::size_t{n_tokens_} * n_heads);
  products_.clear();
  for (std::uint32_t h = 0; h < n_heads; ++h) {
    std::uint32_t* const rows = rows_.data() + std::size_t{h} * n_tokens_;
    for (std::uint32_t t = 0; t < n_tokens_; ++t) rows[t] = t * n_heads + h;
    products_.push_back({.weights = &matrix.weights,
                         .matrix = h,
                         .x = &inner_,
                         .x_rows = rows,
                         .n_tokens = n_tokens_,
                         .y = y + std::size_t{h} * y_dim,
                         .y_stride = std::size_t{n_heads} * y_dim});
  }
  cpu::multiply(*pool_, products_);
}

void ForwardPass::latent_queries(std::size_t layer, std::uint32_t head_dim) {
  const LayerWeights& weights = model_->weights().layers[layer];
  const std::uint32_t width = model_->params().layers[layer].n_heads * head_dim;
  if (!weights.q_a) {
    multiply(weights.q, &input_, q_, width);
    return;
  }
  // The low-rank query passes through latent_q_, which is free until the keys are there.
  const std::uint32_t rank = weights.q_a.weights.n_rows;
  multiply(weights.q_a, &input_, latent_q_, rank);
  normalize(weights.q_a_norm, latent_q_, n_tokens_, rank, rank, latent_q_);
  inner_.set(latent_q_, n_tokens_, rank, rank);
  multiply(weights.q_b, &inner_, q_, width);
}

/// Files without a latent cache: latent_q_ and attended_ become the full keys and values of v_
/// (token, head, nope + v) and of the one rotary key in k_.
void ForwardPass::spread_latent(const hwdb::MlaShape& mla, std::uint32_t n_heads) {
  const std::uint32_t nope = mla.qk_nope_dim, rope = mla.qk_rope_dim, v_dim = mla.v_head_dim;
  const std::uint32_t cached = mla.kv_lora_rank + rope;
  pool_->for_each(n_tokens_, [&](std::size_t t, unsigned) {
    const float* const turned = k_ + t * cached + mla.kv_lora_rank;
    for (std::size_t h = t * n_heads; h < (t + 1) * n_heads; ++h) {
      const float* const both = v_ + h * (nope + v_dim);
      float* const key = latent_q_ + h * (nope + rope);
      std::copy_n(both, nope, key);
      std::copy_n(turned, rope, key + nope);
      std::copy_n(both + nope, v_dim, attended_ + h * v_dim);
    }
  });
}

void ForwardPass::latent_attention(std::size_t layer, const KvCache& cache) {
  const LayerWeights& weights = model_->weights().layers[layer];
  const hwdb::MlaShape& mla = *model_->shape().mla;
  const std::uint32_t n_heads = model_->params().layers[layer].n_heads;
  const std::uint32_t nope = mla.qk_nope_dim, rope = mla.qk_rope_dim, latent = mla.kv_lora_rank;
  const std::uint32_t head = nope + rope, cached = latent + rope, v_dim = mla.v_head_dim;
  const cpu::RopeTable* const table = rope_of(layer);
  latent_queries(layer, head);
  multiply(weights.kv_a, &input_, k_, cached);
  normalize(weights.kv_a_norm, k_, n_tokens_, latent, cached, k_);
  if (table != nullptr) {
    cpu::rotate(*pool_, *table, n_heads, head, std::size_t{n_heads} * head, q_ + nope);
    cpu::rotate(*pool_, *table, 1, rope, cached, k_ + latent);
  }
  if (!mla.split_kv_b) {
    // Keys and values of all heads in full: (token, head, nope + v) behind the latent.
    inner_.set(k_, n_tokens_, latent, cached);
    multiply(weights.kv_b, &inner_, v_, std::size_t{n_heads} * (nope + v_dim));
    spread_latent(mla, n_heads);
    cpu::store_kv(*pool_, cache.layer(layer), places_, latent_q_, attended_);
    attend(layer, cache, q_, attended_);
  } else {
    cpu::store_kv(*pool_, cache.layer(layer), places_, k_, nullptr);
    heads_product(weights.k_b, q_, head, latent_q_, cached);
    pool_->for_each(n_tokens_, [&](std::size_t t, unsigned) {
      for (std::size_t h = t * n_heads; h < (t + 1) * n_heads; ++h) {
        std::copy_n(q_ + h * head + nope, rope, latent_q_ + h * cached + latent);
      }
    });
    attend(layer, cache, latent_q_, attended_);
    heads_product(weights.v_b, attended_, latent, v_, v_dim);
  }
  add_to_stream(weights.attn_output, mla.split_kv_b ? v_ : attended_, n_heads * v_dim,
                weights.after_attention);
}

}  // namespace engine
