// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/cpu/attention.h"
#include "engine/cpu/elementwise.h"
#include "engine/cpu/mat_mul.h"
#include "engine/model/model.h"
#include "engine/model/model_params.h"
#include "engine/model/model_weights.h"
#include "engine/run/experts.h"
#include "engine/run/kv_cache.h"
#include "engine/run/op_counts.h"
#include "engine/runtime/huge_memory.h"
#include "engine/runtime/thread_pool.h"
#include "hwdb/result.h"

namespace engine {

/// One pass of some tokens over all layers, driven by the shape and its traits. Owns the scratch
/// memory; the cache belongs to the context.
class ForwardPass {
 public:
  /// `n_ubatch` is the most tokens of a pass, `n_ctx` the cells of a sequence (it chooses the rope
  /// table). Error: run.memory.
  static hwdb::Result<std::unique_ptr<ForwardPass>> make(const Model& model, ThreadPool& pool,
                                                         std::uint32_t n_ubatch,
                                                         std::uint64_t n_ctx);

  /// Runs the tokens at their places; their keys and values are in the cache afterwards. Row i of
  /// `logits` (n_vocab floats) is that of token wanted[i] (an index into tokens, ascending). Adds
  /// to `counts`. Errors: file.* (an embedding row could not be read, or a mapped file was cut),
  /// run.interrupted.
  hwdb::Status run(const KvCache& cache, std::span<const TokenId> tokens,
                   std::span<const cpu::TokenPlace> places, std::span<const std::uint32_t> wanted,
                   const std::atomic<bool>* cancel, float* logits, OpCounts* counts);

  std::uint64_t scratch_bytes() const { return memory_.size(); }

 private:
  ForwardPass(const Model& model, ThreadPool& pool) : model_(&model), pool_(&pool) {}
  hwdb::Status lay_out(std::uint32_t n_ubatch, std::uint64_t n_ctx);

  hwdb::Status embed(std::span<const TokenId> tokens);
  void normalize(const Norm& norm, const float* from, std::size_t n_rows, std::uint32_t width,
                 std::size_t stride, float* to);
  void set_ropes();
  const cpu::RopeTable* rope_of(std::size_t layer) const;
  void attention(std::size_t layer, const KvCache& cache);
  void plain_attention(std::size_t layer, const KvCache& cache);
  void latent_attention(std::size_t layer, const KvCache& cache);
  void latent_queries(std::size_t layer, std::uint32_t head_dim);
  void normalize_qk(std::size_t layer);
  void sharpen(float* q, std::size_t width);
  void attend(std::size_t layer, const KvCache& cache, float* q, float* out);
  void heads_product(const Matrix& matrix, const float* x, std::size_t x_stride, float* y,
                     std::uint32_t y_dim);
  /// x += what `matrix` makes of `from`, through the norm after it where there is one.
  void add_to_stream(const Matrix& matrix, const float* from, std::uint32_t width,
                     const Norm& after);
  void finish_stream(const float* from, const Norm& after);
  bool is_parallel(const LayerWeights& weights) const;
  void prepare_parallel_ffn(const LayerWeights& weights);
  void feed_forward(std::size_t layer);
  void dense_ffn(const Matrix& gate, const Matrix& up);
  void experts(std::size_t layer);
  void shared_expert(const LayerWeights& weights);
  void sum_expert_answers(std::uint32_t n_used);
  void spread_latent(const hwdb::MlaShape& mla, std::uint32_t n_heads);
  void multiply(const Matrix& matrix, cpu::Activations* x, float* y, std::size_t y_stride,
                const float* residual = nullptr);
  void keep_rows(std::span<const std::uint32_t> wanted);
  void output(std::uint32_t n_rows, float* logits);
  void count_layer(std::size_t layer, const KvCache& cache, std::uint32_t n_all,
                   std::uint32_t n_ffn, OpCounts* counts) const;

  const Model* model_;
  ThreadPool* pool_;
  HugeMemory memory_;
  std::uint64_t n_ctx_ = 0;

  // (token, width) each, in memory_.
  float* x_ = nullptr;       // the residual stream
  float* normed_ = nullptr;  // n_embd
  float* q_ = nullptr;
  float* k_ = nullptr;
  float* v_ = nullptr;
  float* attended_ = nullptr;
  float* latent_q_ = nullptr;  // latent attention: queries as the cache has keys
  float* gate_up_ = nullptr;   // (token or pair, 2 * width): gate, then up
  float* activated_ = nullptr;
  float* answer_ = nullptr;  // of a block, before it joins the stream; of experts: a row a pair
  float* block_ = nullptr;   // n_embd: the experts' answers by their weights
  float* router_ = nullptr;

  cpu::RopeTable rope_, rope_sliding_;
  cpu::Activations input_, inner_;
  std::vector<std::uint32_t> positions_, rows_;
  std::span<const cpu::TokenPlace> places_;
  std::uint32_t n_tokens_ = 0;  // rows of x_
  const float* attention_input_ = nullptr;
  ExpertChoice choice_;
  std::vector<cpu::Product> products_;
  double last_experts_share_ = 0;  // of a layer's experts, taken by the pass
};

}  // namespace engine
