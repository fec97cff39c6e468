// SPDX-License-Identifier: MIT
// The attention half of a layer.
#include <algorithm>
#include <tuple>

#include "engine/run/forward_pass.h"

namespace engine {

const RopeTable* ForwardPass::rope_of(std::size_t layer) const {
  const ModelParams& params = model_->params();
  const RunTraits& traits = *params.traits;
  if (traits.no_rope) return nullptr;
  if (traits.no_rope_every > 0 && (layer + 1) % traits.no_rope_every == 0) return nullptr;
  if (params.layers[layer].window > 0) return &params.rope_sliding;
  const bool stretched = params.rope_long_from > 0 && n_ctx_ > params.rope_long_from;
  return stretched ? &params.rope_long : &params.rope;
}

void ForwardPass::turn(const RopeTable& table, std::uint32_t n_heads, std::uint32_t head_dim,
                       std::size_t stride, float* x) {
  const cpu::Rope rope{.pairs = model_->params().traits->rope_pairs,
                       .n_rotated = table.n_rotated,
                       .frequencies = table.frequencies,
                       .magnitude = table.magnitude};
  cpu::rotate(*pool_, rope, positions_, n_heads, head_dim, stride, x);
}

void ForwardPass::attention(std::size_t layer, const KvCache& cache) {
  const LayerWeights& weights = model_->weights().layers[layer];
  const std::uint32_t d = model_->shape().n_embd;
  attention_input_ = x_;
  if (weights.before_attention) {
    normalize(weights.before_attention, x_, n_tokens_, d, d, normed_);
    attention_input_ = normed_;
  }
  input_.set(attention_input_, n_tokens_, d, d);
  if (model_->params().layers[layer].kind == hwdb::LayerKind::mla) {
    latent_attention(layer, cache);
  } else {
    plain_attention(layer, cache);
  }
}

void ForwardPass::attend(std::size_t layer, const KvCache& cache, const float* q, float* out) {
  const hwdb::LayerShape& shape = model_->params().layers[layer];
  const cpu::Attention attention{
      .kv = cache.layer(layer),
      .n_heads = shape.n_heads,
      .scale = model_->params().attention_scale,
      .softcap = model_->params().attention_softcap,
      .window = shape.kind == hwdb::LayerKind::chunked_attention ? 0 : shape.window,
      .chunk = shape.kind == hwdb::LayerKind::chunked_attention ? shape.window : 0,
      .sinks = model_->weights().layers[layer].sinks};
  cpu::attend(*pool_, attention, places_, q, out);
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
  if (weights.q_norm) {
    const std::size_t n = n_tokens_;
    if (weights.qk_norm_over_all_heads) {
      normalize(weights.q_norm, q_, n, q_width, q_width, q_);
      normalize(weights.k_norm, k_, n, k_width, k_width, k_);
    } else {
      const std::uint32_t head = shape.head_dim_k;
      normalize(weights.q_norm, q_, n * shape.n_heads, head, head, q_);
      normalize(weights.k_norm, k_, n * shape.n_kv_heads, head, head, k_);
    }
  }
  if (const RopeTable* table = rope_of(layer)) {
    turn(*table, shape.n_heads, shape.head_dim_k, q_width, q_);
    turn(*table, shape.n_kv_heads, shape.head_dim_k, k_width, k_);
  }
  cpu::store_kv(*pool_, cache.layer(layer), places_, k_, v_);
  attend(layer, cache, q_, attended_);
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
  const RopeTable* const table = rope_of(layer);
  latent_queries(layer, head);
  multiply(weights.kv_a, &input_, k_, cached);
  normalize(weights.kv_a_norm, k_, n_tokens_, latent, cached, k_);
  if (table != nullptr) {
    turn(*table, n_heads, head, std::size_t{n_heads} * head, q_ + nope);
    turn(*table, 1, rope, cached, k_ + latent);
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
