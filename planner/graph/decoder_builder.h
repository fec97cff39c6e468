// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "planner/graph/decoder_graph.h"
#include "planner/graph/graph_blocks.h"
#include "planner/graph/graph_traits.h"

namespace planner {

/// Smallest rotation of a quantized cache, in values.
inline constexpr std::uint64_t kRotation = 64;

/// Writes the graph of a decoder, block by block. Only decoder_*.cpp use it.
class DecoderGraph {
 public:
  DecoderGraph(const hwdb::ModelShape& shape, const BlockKinds& kinds,
               const ComputeRequest& request, const ComputePlacement& placement,
               std::uint32_t n_tokens)
      : shape_(shape),
        kinds_(kinds),
        request_(request),
        placement_(placement),
        traits_(graph_traits(shape)),
        host_(static_cast<int>(placement.n_gpus)),
        n_tokens_(n_tokens),
        v_transposed_(!request.flash_attn || traits_.never_flash),
        flash_(!v_transposed_ && keeps_flash()) {}

  TensorGraph build();

 private:
  int output_device() const;
  bool keeps_flash() const;

  /// GPU buffers pad the last row of a quantized matrix; the copy of a borrowed one is as large.
  WeightPlace matrix(int device, std::uint64_t row, std::uint64_t columns,
                     Extent weighs = Extent::block_matrix) const {
    constexpr std::uint64_t kRowPadding = 512;
    const std::uint64_t rest = row % kRowPadding;
    const std::uint64_t padding = rest > 0 ? kRowPadding - rest : 0;
    return {device, (row * columns + padding) / 256, weighs};
  }
  WeightPlace vector(int device, std::uint64_t n) const { return {device, n * 4}; }

  int multiply(int in, std::uint64_t n_in, std::uint64_t n_out, Dim tokens, int device,
               bool bias = false);
  int norm(int in, const Block& block, bool pinned = true, bool bias_by_kind = true);
  int norm_at(int in, std::uint64_t n, int device, int pin, bool with_bias);

  struct Heads {
    int q = kNoTensor, k = kNoTensor, v = kNoTensor, gate = kNoTensor;
  };
  Heads project(int in, const Block& block);
  int turn(int in, std::uint64_t head_dim, const Block& block);
  int rotated(int in, int rotation);
  int attend(const Block& block, const Heads& heads);
  int attend_latent(const Block& block, int in);
  int attend_expanded(const Block& block, int in);
  int latent_queries(const Block& block, int in);
  int attention_core(const Block& block, int q, int k, int v, std::uint64_t head_dim_k,
                     std::uint64_t head_dim_v, std::uint64_t n_kv_heads, bool v_transposed,
                     int decompress);
  int states_of(int cache, std::uint64_t width);
  int mix_recurrently(const Block& block, int in);
  int mix_by_delta_rule(const Block& block, int in);
  int mix_by_scan(const Block& block, int in);
  int mix_by_convolution(const Block& block, int in);
  int convolution_input(const Block& block, int fresh_rows, std::uint64_t channels,
                        std::uint64_t history);
  int feed_forward(int in, std::uint64_t width, Dim tokens, int device);
  int experts(int in, int router_in, const Block& block, Dim tokens);
  void keep_routing(int logits, int probabilities, int weights, int until);
  int mix_channels(int in, const Block& block, Dim tokens);
  int mix_channels_twice(int in, const Block& block, Dim tokens);
  int all_layer_embeddings(int embeddings);
  int add_layer_embedding(int in, const Block& block);
  int block_output(int in, const Block& block);
  int add(int a, int b) { return g_.same(GraphOp::overwrites, {a, b}); }

  const hwdb::ModelShape& shape_;
  const BlockKinds& kinds_;
  const ComputeRequest& request_;
  const ComputePlacement& placement_;
  const GraphTraits traits_;
  const int host_;
  const std::uint32_t n_tokens_;
  const bool v_transposed_;  // settled when the cache is made, before a GPU can refuse
  const bool flash_;
  TensorGraph g_;
  int positions_ = kNoTensor, output_ids_ = kNoTensor, state_ids_ = kNoTensor,
      idle_ids_ = kNoTensor;
  int layer_embeddings_ = kNoTensor, query_scale_ = kNoTensor;
  struct CacheInputs {
    int k_places = kNoTensor, v_places = kNoTensor, mask = kNoTensor;
    int k_rotation = kNoTensor, v_rotation = kNoTensor;
  };
  CacheInputs full_, window_;
  std::map<int, int> rope_tables_;  // by device
  bool windowed_ = false;
};

}  // namespace planner
