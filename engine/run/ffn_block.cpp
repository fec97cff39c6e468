// SPDX-License-Identifier: MIT
// The feed-forward half of a layer.
#include <algorithm>
#include <cmath>

#include "engine/run/forward_pass.h"

namespace engine {

void ForwardPass::feed_forward(std::size_t layer) {
  const LayerWeights& weights = model_->weights().layers[layer];
  const hwdb::LayerShape& shape = model_->params().layers[layer];
  const std::uint32_t d = model_->shape().n_embd;
  if (!weights.up && !weights.has_experts()) return;
  if (model_->params().traits->parallel_ffn) {
    input_.set(attention_input_, n_tokens_, d, d);
  } else if (weights.before_ffn) {
    normalize(weights.before_ffn, x_, n_tokens_, d, d, normed_);
    input_.set(normed_, n_tokens_, d, d);
  } else {
    input_.set(x_, n_tokens_, d, d);
  }
  if (weights.has_experts()) {
    experts(layer);
    return;
  }
  dense_ffn(weights.gate, weights.up);
  add_to_stream(weights.down, activated_, shape.n_ff, weights.after_ffn);
}

/// activated_ = activation(gate x) * (up x), or activation(up x) where there is no gate.
void ForwardPass::dense_ffn(const Matrix& gate, const Matrix& up) {
  const std::uint32_t ff = up.weights.n_rows;
  const std::size_t stride = gate ? 2 * std::size_t{ff} : ff;
  products_.clear();
  const auto add = [&](const Matrix& matrix, float* y) {
    products_.push_back({.weights = &matrix.weights,
                         .x = &input_,
                         .n_tokens = n_tokens_,
                         .y = y,
                         .y_stride = stride,
                         .bias = matrix.bias});
  };
  if (gate) add(gate, gate_up_);
  float* const up_rows = gate ? gate_up_ + ff : gate_up_;
  add(up, up_rows);
  cpu::multiply(*pool_, products_);
  const cpu::Activation activation = model_->params().traits->activation;
  cpu::activate(*pool_, activation, gate_up_, gate ? up_rows : nullptr, n_tokens_, ff, stride,
                activated_);
}

void ForwardPass::experts(std::size_t layer) {
  const LayerWeights& weights = model_->weights().layers[layer];
  const hwdb::ModelShape& shape = model_->shape();
  const std::uint32_t n_experts = model_->params().layers[layer].n_experts;
  const std::uint32_t n_used = shape.n_experts_used, d = shape.n_embd;
  multiply(weights.router, &input_, router_, n_experts);
  choose_experts(model_->params(), router_, n_tokens_, n_experts, n_used,
                 weights.router_selection_bias, &choice_);
  last_experts_share_ = static_cast<double>(choice_.groups.size()) / n_experts;

  const std::uint32_t ff = weights.expert_up.weights.n_rows;
  const bool gated = static_cast<bool>(weights.expert_gate);
  const std::size_t stride = gated ? 2 * std::size_t{ff} : ff;
  const std::uint32_t n_pairs = n_tokens_ * n_used;
  products_.clear();
  const auto add = [&](const Matrix& matrix, cpu::Activations* x, bool by_token, float* y,
                       std::size_t y_stride) {
    for (const ExpertChoice::Group& group : choice_.groups) {
      products_.push_back({.weights = &matrix.weights,
                           .matrix = group.expert,
                           .x = x,
                           .x_rows = by_token ? choice_.token_of.data() + group.first : nullptr,
                           .x_first = by_token ? 0 : group.first,
                           .n_tokens = group.n,
                           .y = y + group.first * y_stride,
                           .y_stride = y_stride,
                           .bias = matrix.bias_of(group.expert)});
    }
  };
  if (gated) add(weights.expert_gate, &input_, true, gate_up_, stride);
  float* const up_rows = gated ? gate_up_ + ff : gate_up_;
  add(weights.expert_up, &input_, true, up_rows, stride);
  cpu::multiply(*pool_, products_);
  cpu::activate(*pool_, model_->params().traits->activation, gate_up_, gated ? up_rows : nullptr,
                n_pairs, ff, stride, activated_);
  inner_.set(activated_, n_pairs, ff, ff);
  products_.clear();
  add(weights.expert_down, &inner_, false, answer_, d);
  cpu::multiply(*pool_, products_);
  sum_expert_answers(n_used);
  if (weights.shared_up) shared_expert(weights);
  finish_stream(block_, weights.after_ffn);
}

/// Adds the expert that every token takes to block_.
void ForwardPass::shared_expert(const LayerWeights& weights) {
  const std::uint32_t d = model_->shape().n_embd;
  const std::uint32_t ff = weights.shared_up.weights.n_rows;
  dense_ffn(weights.shared_gate, weights.shared_up);
  if (weights.shared_router) multiply(weights.shared_router, &input_, router_, 1);
  inner_.set(activated_, n_tokens_, ff, ff);
  if (!weights.shared_router) {
    multiply(weights.shared_down, &inner_, block_, d, block_);
    return;
  }
  multiply(weights.shared_down, &inner_, answer_, d);
  pool_->for_each(n_tokens_, [&](std::size_t t, unsigned) {
    const float share = 1 / (1 + std::exp(-router_[t]));
    for (std::size_t c = t * d; c < (t + 1) * d; ++c) block_[c] += share * answer_[c];
  });
}

/// block_ = the sum of what each token's experts answered, by their weights.
void ForwardPass::sum_expert_answers(std::uint32_t n_used) {
  const std::uint32_t d = model_->shape().n_embd;
  pool_->for_each(n_tokens_, [&](std::size_t t, unsigned) {
    float* const row = block_ + t * d;
    std::fill_n(row, d, 0.0f);
    for (std::uint32_t i = 0; i < n_used; ++i) {
      const std::uint32_t pair = choice_.pair_of[t * n_used + i];
      const float weight = choice_.weight_of[pair];
      const float* const answer = answer_ + std::size_t{pair} * d;
      for (std::uint32_t c = 0; c < d; ++c) row[c] += weight * answer[c];
    }
  });
}

}  // namespace engine
