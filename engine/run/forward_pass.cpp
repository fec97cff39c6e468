// SPDX-License-Identifier: MIT
#include "engine/run/forward_pass.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>

#include "hwdb/op_counts.h"
#include "hwdb/units.h"

namespace engine {
namespace {

using hwdb::Error;
using hwdb::LayerKind;
using hwdb::Ok;
using hwdb::Result;
using hwdb::Status;

/// The widest rows that any layer needs.
struct Widths {
  std::uint64_t q = 0, k = 0, v = 0, attended = 0, latent_q = 0, ffn = 0;
  std::uint64_t pairs = 0;  // of tokens and experts, a token
};

Widths widths_of(const hwdb::ModelShape& shape, const std::vector<hwdb::LayerShape>& layers) {
  Widths w;
  const auto raise = [](std::uint64_t* to, std::uint64_t value) { *to = std::max(*to, value); };
  for (const hwdb::LayerShape& layer : layers) {
    if (layer.kind == LayerKind::mla) {
      const hwdb::MlaShape& mla = *shape.mla;
      const std::uint64_t head = std::uint64_t{mla.qk_nope_dim} + mla.qk_rope_dim;
      const std::uint64_t cached = std::uint64_t{mla.kv_lora_rank} + mla.qk_rope_dim;
      raise(&w.q, layer.n_heads * head);
      raise(&w.k, cached);
      raise(&w.v, layer.n_heads * (head + mla.v_head_dim));
      raise(&w.latent_q, std::max({layer.n_heads * cached, layer.n_heads * head,
                                   std::uint64_t{mla.q_lora_rank}}));
      raise(&w.attended, layer.n_heads * std::max<std::uint64_t>(mla.v_head_dim, mla.kv_lora_rank));
    } else {
      raise(&w.q, std::uint64_t{layer.n_heads} * layer.head_dim_k);
      raise(&w.k, std::uint64_t{layer.n_kv_heads} * layer.head_dim_k);
      raise(&w.v, std::uint64_t{layer.n_kv_heads} * layer.head_dim_v);
      raise(&w.attended, std::uint64_t{layer.n_heads} * layer.head_dim_v);
    }
    if (layer.n_experts > 0) {
      raise(&w.ffn, std::uint64_t{shape.n_ff_expert} * shape.n_experts_used);
      raise(&w.ffn, std::uint64_t{shape.n_shared_experts} * shape.n_ff_shared);
      raise(&w.pairs, shape.n_experts_used);
    }
    raise(&w.ffn, layer.n_ff);
  }
  return w;
}

}  // namespace

Result<std::unique_ptr<ForwardPass>> ForwardPass::make(const Model& model, ThreadPool& pool,
                                                       std::uint32_t n_ubatch,
                                                       std::uint64_t n_ctx) {
  std::unique_ptr<ForwardPass> pass(new ForwardPass(model, pool));
  if (Status s = pass->lay_out(n_ubatch, n_ctx); !s) return s.error();
  return pass;
}

Status ForwardPass::lay_out(std::uint32_t n_ubatch, std::uint64_t n_ctx) {
  n_ctx_ = n_ctx;
  const hwdb::ModelShape& shape = model_->shape();
  const Widths w = widths_of(shape, model_->params().layers);
  const std::pair<float**, std::uint64_t> buffers[] = {
      {&x_, shape.n_embd},
      {&normed_, shape.n_embd},
      {&q_, w.q},
      {&k_, w.k},
      {&v_, w.v},
      {&attended_, w.attended},
      {&latent_q_, w.latent_q},
      {&gate_up_, 2 * w.ffn},
      {&activated_, w.ffn},
      {&answer_, shape.n_embd * std::max<std::uint64_t>(w.pairs, 1)},
      {&block_, shape.n_embd},
      {&router_, std::max<std::uint32_t>(shape.n_experts, 1)},
  };
  constexpr std::uint64_t kLine = 16;  // floats of a cache line
  std::uint64_t total = 0;
  for (const auto& [target, width] : buffers) {
    total += (width * n_ubatch + kLine - 1) / kLine * kLine;
  }
  memory_ = HugeMemory(total * sizeof(float));
  if (memory_.data() == nullptr) {
    return Error{"run.memory",
                 fmt::format("the system refuses {} of scratch memory",
                             hwdb::format_bytes(hwdb::Bytes(total * sizeof(float)))),
                 {},
                 "a smaller -ub needs less"};
  }
  auto* next = reinterpret_cast<float*>(memory_.data());
  for (const auto& [target, width] : buffers) {
    *target = next;
    next += (width * n_ubatch + kLine - 1) / kLine * kLine;
  }
  return Ok{};
}

Status ForwardPass::run(const KvCache& cache, std::span<const TokenId> tokens,
                        std::span<const cpu::TokenPlace> places,
                        std::span<const std::uint32_t> wanted, const std::atomic<bool>* cancel,
                        float* logits, OpCounts* counts) {
  n_tokens_ = static_cast<std::uint32_t>(tokens.size());
  places_ = places;
  positions_.clear();
  for (const cpu::TokenPlace& place : places) positions_.push_back(place.position);
  if (Status s = embed(tokens); !s) return s;
  set_ropes();
  const std::size_t n_layers = model_->params().layers.size();
  for (std::size_t i = 0; i < n_layers; ++i) {
    if (cancel != nullptr && cancel->load()) {
      return Error{"run.interrupted", "interrupted while computing", {}, {}};
    }
    attention(i, cache);
    // Nothing asks for what the last layer makes of the other tokens.
    if (i + 1 == n_layers) keep_rows(wanted);
    if (n_tokens_ > 0) feed_forward(i);
    count_layer(i, cache, static_cast<std::uint32_t>(tokens.size()), n_tokens_, counts);
  }
  if (n_tokens_ > 0) {
    output(n_tokens_, logits);
    const hwdb::ModelCosts& costs = model_->costs();
    counts->weight_bytes_read += static_cast<double>(costs.output_bytes);
    counts->flops += costs.output_flops_per_token * n_tokens_;
  }
  counts->weight_bytes_read +=
      static_cast<double>(model_->weights().token_embedding->row_bytes * tokens.size());
  if (model_->weights().lost()) {
    return Error{"file.changed",
                 "the model file was cut while it was in use",
                 model_->file().paths.front(),
                 {}};
  }
  return Ok{};
}

Status ForwardPass::embed(std::span<const TokenId> tokens) {
  const ModelWeights& weights = model_->weights();
  const std::uint32_t width = model_->shape().n_embd;
  std::mutex mutex;
  std::optional<Error> error;
  const auto keep = [&](Status status) {
    if (status) return;
    const std::lock_guard lock(mutex);
    if (!error) error = status.error();
  };
  pool_->for_each(tokens.size(), [&](std::size_t t, unsigned) {
    float* const row = x_ + t * width;
    keep(weights.token_embedding->read(static_cast<std::uint64_t>(tokens[t]), row));
    const float scale = model_->params().embedding_scale;
    if (scale != 1) std::transform(row, row + width, row, [=](float v) { return v * scale; });
    if (weights.position_embedding == nullptr) return;
    std::vector<float> position(width);
    keep(weights.position_embedding->read(positions_[t], position.data()));
    std::transform(row, row + width, position.begin(), row, std::plus<>());
  });
  if (error) return *error;
  return Ok{};
}

void ForwardPass::normalize(const Norm& norm, const float* from, std::size_t n_rows,
                            std::uint32_t width, std::size_t stride, float* to) {
  const float eps = model_->params().norm_eps;
  if (model_->params().layer_norm) {
    cpu::layer_norm(*pool_, from, n_rows, width, stride, norm.weight, norm.bias, eps, to);
  } else {
    cpu::rms_norm(*pool_, from, n_rows, width, stride, norm.weight, eps, to);
    if (norm.bias == nullptr) return;
    for (std::size_t r = 0; r < n_rows; ++r) {
      float* const row = to + r * stride;
      std::transform(row, row + width, norm.bias, row, std::plus<>());
    }
  }
}

void ForwardPass::multiply(const Matrix& matrix, cpu::Activations* x, float* y,
                           std::size_t y_stride, const float* residual) {
  const cpu::Product product{.weights = &matrix.weights,
                             .x = x,
                             .n_tokens = x->n_tokens(),
                             .y = y,
                             .y_stride = y_stride,
                             .bias = matrix.bias,
                             .residual = residual};
  cpu::multiply(*pool_, {&product, 1});
}

void ForwardPass::add_to_stream(const Matrix& matrix, const float* from, std::uint32_t width,
                                const Norm& after) {
  const std::uint32_t d = model_->shape().n_embd;
  inner_.set(from, n_tokens_, width, width);
  if (!after && model_->params().residual_scale == 1) {
    multiply(matrix, &inner_, x_, d, x_);
    return;
  }
  multiply(matrix, &inner_, answer_, d);
  finish_stream(answer_, after);
}

void ForwardPass::finish_stream(const float* from, const Norm& after) {
  const std::uint32_t d = model_->shape().n_embd;
  const std::size_t n = std::size_t{n_tokens_} * d;
  if (after) {
    normalize(after, from, n_tokens_, d, d, answer_);
    from = answer_;
  }
  const float scale = model_->params().residual_scale;
  if (scale != 1) {
    cpu::scale(*pool_, from, n, scale, answer_);
    from = answer_;
  }
  cpu::add(*pool_, from, n, x_);
}

void ForwardPass::keep_rows(std::span<const std::uint32_t> wanted) {
  const std::uint32_t d = model_->shape().n_embd;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] == i) continue;
    for (float* rows : {x_, normed_}) {
      std::copy_n(rows + std::size_t{wanted[i]} * d, d, rows + i * d);
    }
  }
  n_tokens_ = static_cast<std::uint32_t>(wanted.size());
}

void ForwardPass::output(std::uint32_t n_rows, float* logits) {
  const ModelWeights& weights = model_->weights();
  const ModelParams& params = model_->params();
  const std::uint32_t d = model_->shape().n_embd;
  normalize(weights.output_norm, x_, n_rows, d, d, normed_);
  inner_.set(normed_, n_rows, d, d);
  const std::uint32_t n_vocab = weights.output.weights.n_rows;
  multiply(weights.output, &inner_, logits, n_vocab);
  const std::size_t n = std::size_t{n_rows} * n_vocab;
  if (params.logit_scale != 1) cpu::scale(*pool_, logits, n, params.logit_scale, logits);
  if (params.final_softcap > 0) cpu::softcap(*pool_, logits, n, params.final_softcap, logits);
}

void ForwardPass::count_layer(std::size_t layer, const KvCache& cache, std::uint32_t n_all,
                              std::uint32_t n_ffn, OpCounts* counts) const {
  const hwdb::LayerCosts& costs = model_->costs().layers[layer];
  counts->weight_bytes_read += static_cast<double>(costs.attention_bytes);
  if (n_ffn > 0) {
    counts->weight_bytes_read += static_cast<double>(costs.dense_ffn_bytes) +
                                 static_cast<double>(costs.expert_bytes) * last_experts_share_;
  }
  counts->flops +=
      costs.mixing_flops_per_token * n_all +
      (costs.dense_flops_per_token - costs.mixing_flops_per_token + costs.expert_flops_per_token) *
          n_ffn;
  const std::uint64_t token_bytes = cache.bytes_per_token(layer);
  counts->cache_bytes_written += static_cast<double>(token_bytes) * n_all;
  for (std::size_t t = 0; t < places_.size(); ++t) {
    const double depth = places_[t].position + 1.0;
    const double seen = costs.window > 0 ? std::min<double>(costs.window, depth) : depth;
    counts->flops += costs.attention_flops_per_token_and_cell * seen;
    // Tokens of one sequence that stand together read its cache once.
    const bool last = t + 1 == places_.size() || places_[t + 1].sequence != places_[t].sequence;
    if (last) counts->cache_bytes_read += hwdb::cache_bytes_read(token_bytes, costs.window, depth);
  }
}

}  // namespace engine
