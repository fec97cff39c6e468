// SPDX-License-Identifier: MIT
#include <algorithm>

#include "planner/graph/decoder_builder.h"

namespace planner {

int DecoderGraph::turn(int in, std::uint64_t head_dim, const Block& block) {
  if (!traits_.rope_table || (traits_.rope_table_on_global_only && block.layer.window > 0))
    return g_.same(GraphOp::rope, {in, positions_});
  // The table of frequencies is a weight that all blocks of a device share. Being a weight, it
  // makes a GPU that borrows it start anew, which frees the matrix borrowed before.
  const auto [table, made] = rope_tables_.try_emplace(block.device, kNoTensor);
  if (made) table->second = g_.external({head_dim / 2}, 4, 1, block.device);
  return g_.same(GraphOp::rope, {in, positions_, table->second}, {block.device, 0});
}

DecoderGraph::Heads DecoderGraph::project(int in, const Block& block) {
  const hwdb::LayerShape& l = block.layer;
  const std::uint64_t dk = l.head_dim_k, dv = l.head_dim_v;
  const std::uint64_t nq = dk * l.n_heads, nk = dk * l.n_kv_heads, nv = dv * l.n_kv_heads;
  const Dim tokens = Extent::tokens;
  const bool bias = shape_.attn_qkv_bias;
  Heads h;
  const bool full_norm = shape_.qk_norm == hwdb::ModelShape::QkNorm::full_width;
  const bool per_head_norm = shape_.qk_norm != hwdb::ModelShape::QkNorm::none && !full_norm;
  const auto finish = [&](int x, std::uint64_t width, std::uint64_t heads, std::uint64_t dim,
                          bool normed, bool turned) {
    const int pin = kAnyDevice;
    if (normed && full_norm) x = norm_at(x, width, block.device, pin, false);
    if (full_norm || (!traits_.fused_qkv && g_.at(x).root == kNoTensor))
      x = g_.view(x, {dim, heads, tokens});
    const auto head_norm = [&](int y) {
      // Llama 4's has no weights.
      return traits_.plain_head_norm ? g_.same(GraphOp::overwrites, {y})
                                     : norm_at(y, dim, block.device, pin, false);
    };
    if (normed && per_head_norm && !traits_.norms_turned_heads) x = head_norm(x);
    if (turned && block.rope) x = turn(x, dim, block);
    if (normed && per_head_norm && traits_.norms_turned_heads &&
        (block.rope || !traits_.plain_head_norm))
      x = head_norm(x);
    return x;
  };
  if (traits_.fused_qkv) {
    const int qkv = multiply(in, shape_.n_embd, nq + nk + nv, tokens, block.device, bias);
    h.q = g_.view(qkv, {dk, l.n_heads, tokens}, false);
    h.k = g_.view(qkv, {dk, l.n_kv_heads, tokens}, false);
    h.v = g_.view(qkv, {dv, l.n_kv_heads, tokens}, false);
  } else {
    if (shape_.attn_output_gate) {  // queries and gates of each head side by side
      const int both = multiply(in, shape_.n_embd, 2 * nq, tokens, block.device, bias);
      h.q = g_.view(both, {dk, l.n_heads, tokens}, false);
      h.gate = g_.op(GraphOp::fresh, {nq, tokens}, {g_.view(both, {dk, l.n_heads, tokens}, false)});
    } else {
      h.q = multiply(in, shape_.n_embd, nq, tokens, block.device, bias);
    }
    if (l.owns_cache) {
      h.k = multiply(in, shape_.n_embd, nk, tokens, block.device, bias);
      h.v = l.v_is_k ? h.k : multiply(in, shape_.n_embd, nv, tokens, block.device, bias);
    }
  }
  h.q = finish(h.q, nq, l.n_heads, dk, true, true);
  if (query_scale_ != kNoTensor && !block.rope)
    h.q = g_.same(GraphOp::overwrites, {h.q, query_scale_});
  if (h.k != kNoTensor) {
    h.k = finish(h.k, nk, l.n_kv_heads, dk, true, true);
    h.v = finish(h.v, nv, l.n_kv_heads, dv, false, false);
    if (traits_.norms_values) h.v = g_.same(GraphOp::overwrites, {h.v});
  }
  return h;
}

int DecoderGraph::rotated(int in, int rotation) {
  const Dims ne = g_.at(in).ne;
  if (!g_.at(in).contiguous) in = g_.op(GraphOp::fresh, ne, {in});
  const int turned = g_.op(GraphOp::matmul, ne, {rotation, g_.view(in, ne)});
  return g_.view(turned, ne);
}

int DecoderGraph::attention_core(const Block& block, int q, int k, int v, std::uint64_t head_dim_k,
                                 std::uint64_t head_dim_v, std::uint64_t n_kv_heads,
                                 bool v_transposed, int decompress) {
  const CacheInputs& inputs = block.layer.window > 0 && windowed_ ? window_ : full_;
  const Extent cells = block.layer.window > 0 && windowed_ ? Extent::window_cells : Extent::cells;
  const Dim heads = block.layer.n_heads;
  const Dim tokens = Extent::stream_tokens, streams = Extent::streams;
  q = g_.view(g_.view(q, {head_dim_k, heads, tokens, streams}),
              {head_dim_k, tokens, heads, streams}, false);
  k = g_.view(k, {head_dim_k, cells, n_kv_heads, streams}, false);
  v = g_.view(v, {head_dim_v, cells, n_kv_heads, streams}, false);
  int out;
  if (flash_) {
    // Flash attention reads half precision: a single-precision cache is copied before it.
    const hwdb::TensorType single = hwdb::tensor_type("F32");
    const auto halved = [&](int cache) {
      return g_.op(GraphOp::fresh, g_.at(cache).ne, {cache}, {}, 2);
    };
    if (request_.type_k == single) k = halved(k);
    if (request_.type_v == single) v = halved(v);
    out = g_.op(GraphOp::flash_attention, {head_dim_v, heads, tokens, streams},
                {q, k, v, inputs.mask});
    const bool quantized_k = hwdb::format_of(request_.type_k).block_weights > 1;
    const bool quantized_v = hwdb::format_of(request_.type_v).block_weights > 1;
    // GPU kernels for whole batches read half precision: the cache is unpacked beside the result.
    if ((quantized_k || quantized_v) && n_tokens_ / std::max(request_.n_seq, 1u) > 2) {
      GraphTensor& t = g_.at(out);
      t.scratch_elements = head_dim_k * n_kv_heads;
      t.scratch_cells = cells;
      t.scratch_parts =
          static_cast<std::uint8_t>(quantized_k + (quantized_v && decompress == kNoTensor));
    }
    if (decompress != kNoTensor) {
      out = g_.view(out, {head_dim_v, tokens, heads, streams}, false);
      out =
          g_.op(GraphOp::matmul, {block.layer.head_dim_v, Extent::tokens, heads}, {kNoTensor, out},
                matrix(block.device, head_dim_v, block.layer.head_dim_v * block.layer.n_heads));
      out = g_.view(out, {block.layer.head_dim_v, heads, Extent::tokens}, false);
      out = g_.op(GraphOp::fresh, {block.layer.head_dim_v, heads, Extent::tokens}, {out});
    }
    out = g_.view(out, {head_dim_v * block.layer.n_heads, Extent::tokens});
  } else {
    const int scores = g_.op(GraphOp::matmul, {cells, tokens, heads, streams}, {k, q});
    // Learned sinks are a weight, and so keep the softmax where the block's weights are.
    const WeightPlace sinks =
        shape_.attn_sinks ? vector(block.device, block.layer.n_heads) : WeightPlace{};
    const int weights = g_.same(GraphOp::overwrites, {scores, inputs.mask}, sinks);
    if (!v_transposed) {
      const std::uint32_t bytes = g_.at(v).block_bytes, elements = g_.at(v).block_elements;
      v = g_.op(GraphOp::fresh, {cells, head_dim_v, n_kv_heads, streams}, {g_.view(v, g_.at(v).ne)},
                {}, bytes);
      g_.at(v).block_elements = elements;
    }
    out = g_.op(GraphOp::matmul, {head_dim_v, tokens, heads, streams}, {v, weights});
    std::uint64_t dim = head_dim_v;
    if (decompress != kNoTensor) {
      dim = block.layer.head_dim_v;
      out = g_.op(GraphOp::matmul, {dim, tokens, heads, streams}, {kNoTensor, out},
                  matrix(block.device, head_dim_v, dim * block.layer.n_heads));
    }
    out = g_.view(out, {dim, heads, tokens, streams}, false);
    out = g_.op(GraphOp::fresh, {dim * block.layer.n_heads, Extent::tokens}, {out});
    if (placement_.cache_on_host) g_.at(out).home = host_;
  }
  g_.expand(out);
  return out;
}

int DecoderGraph::attend(const Block& block, const Heads& projected) {
  const hwdb::LayerShape& l = block.layer;
  const bool in_window = l.window > 0 && windowed_;
  const CacheInputs& inputs = in_window ? window_ : full_;
  const Extent cells = in_window ? Extent::window_cells : Extent::cells;
  Heads h = projected;
  if (inputs.k_rotation != kNoTensor) {
    h.q = rotated(h.q, inputs.k_rotation);
    if (h.k != kNoTensor) h.k = rotated(h.k, inputs.k_rotation);
  }
  if (inputs.v_rotation != kNoTensor && h.v != kNoTensor) h.v = rotated(h.v, inputs.v_rotation);
  g_.expand(h.q);
  const hwdb::TensorFormat& fk = hwdb::format_of(request_.type_k);
  const hwdb::TensorFormat& fv = hwdb::format_of(request_.type_v);
  const int k_cache = g_.external({l.head_dim_k, l.n_kv_heads, cells, Extent::streams},
                                  fk.block_bytes, fk.block_weights, block.cache_device);
  const int v_cache = g_.external({l.head_dim_v, l.n_kv_heads, cells, Extent::streams},
                                  fv.block_bytes, fv.block_weights, block.cache_device);
  if (h.k != kNoTensor) {
    if (windowed_) {
      g_.expand(h.k);
      g_.expand(h.v);
    } else {
      g_.expand(h.v);
      g_.expand(h.k);
    }
    const Dims rows_k{l.head_dim_k * std::uint64_t{l.n_kv_heads}, Extent::tokens};
    const Dims rows_v{l.head_dim_v * std::uint64_t{l.n_kv_heads}, Extent::tokens};
    g_.expand(g_.store(g_.view(h.k, rows_k, g_.at(h.k).contiguous), inputs.k_places, k_cache));
    int v = h.v;
    if (v_transposed_ && !g_.at(v).contiguous) v = g_.op(GraphOp::fresh, rows_v, {v});
    g_.expand(g_.store(g_.view(v, rows_v, g_.at(v).contiguous), inputs.v_places, v_cache));
  }
  int out = attention_core(block, h.q, k_cache, v_cache, l.head_dim_k, l.head_dim_v, l.n_kv_heads,
                           v_transposed_, kNoTensor);
  if (inputs.v_rotation != kNoTensor) out = rotated(out, inputs.v_rotation);
  if (h.gate != kNoTensor) out = add(out, g_.same(GraphOp::overwrites, {h.gate}));
  return multiply(out, std::uint64_t{l.head_dim_v} * l.n_heads, shape_.n_embd, Extent::tokens,
                  block.device, shape_.attn_out_bias);
}

int DecoderGraph::latent_queries(const Block& block, int in) {
  const hwdb::MlaShape& mla = *shape_.mla;
  const std::uint64_t heads = block.layer.n_heads;
  const std::uint64_t head_dim = std::uint64_t{mla.qk_nope_dim} + mla.qk_rope_dim;
  int q = in;
  std::uint64_t q_in = shape_.n_embd;
  if (mla.q_lora_rank > 0) {
    q = multiply(q, q_in, mla.q_lora_rank, Extent::tokens, block.device);
    q = norm_at(q, mla.q_lora_rank, block.device, kAnyDevice, false);
    q_in = mla.q_lora_rank;
  }
  q = multiply(q, q_in, head_dim * heads, Extent::tokens, block.device);
  return g_.view(q, {head_dim, heads, Extent::tokens});
}

/// Each head's keys and values are unfolded from the latent, and cached like any other's.
int DecoderGraph::attend_expanded(const Block& block, int in) {
  const hwdb::MlaShape& mla = *shape_.mla;
  const std::uint64_t heads = block.layer.n_heads;
  const std::uint64_t latent = mla.kv_lora_rank, rope = mla.qk_rope_dim, nope = mla.qk_nope_dim;
  const Dim tokens = Extent::tokens;
  Heads h;
  h.q = turn(latent_queries(block, in), rope, block);
  const int compressed = multiply(in, shape_.n_embd, latent + rope, tokens, block.device);
  const int kv = norm_at(g_.view(compressed, {latent, tokens}, false), latent, block.device,
                         kAnyDevice, false);
  const int unfolded = multiply(kv, latent, heads * (nope + mla.v_head_dim), tokens, block.device);
  h.v = g_.op(GraphOp::fresh, {mla.v_head_dim, heads, tokens},
              {g_.view(unfolded, {mla.v_head_dim, heads, tokens}, false)});
  const int k_rope = turn(g_.view(compressed, {rope, 1, tokens}, false), rope, block);
  const int repeated = g_.op(GraphOp::fresh, {rope, heads, tokens}, {k_rope});
  h.k = g_.op(GraphOp::fresh, {nope + rope, heads, tokens},
              {g_.view(unfolded, {nope, heads, tokens}, false), repeated});
  Block spread = block;
  spread.layer.n_kv_heads = block.layer.n_heads;
  spread.layer.head_dim_k = mla.qk_nope_dim + mla.qk_rope_dim;
  spread.layer.head_dim_v = mla.v_head_dim;
  return attend(spread, h);
}

int DecoderGraph::attend_latent(const Block& block, int in) {
  const hwdb::MlaShape& mla = *shape_.mla;
  const std::uint64_t heads = block.layer.n_heads;
  const std::uint64_t latent = mla.kv_lora_rank, rope = mla.qk_rope_dim;
  const Dim tokens = Extent::tokens;
  int q = latent_queries(block, in);
  const int compressed = multiply(in, shape_.n_embd, latent + rope, tokens, block.device);
  int kv = g_.view(compressed, {latent, tokens}, false);
  int k_rope = g_.view(compressed, {rope, 1, tokens}, false);
  k_rope = turn(k_rope, rope, block);
  kv = norm_at(kv, latent, block.device, kAnyDevice, false);
  int q_nope = g_.view(q, {mla.qk_nope_dim, heads, tokens}, false);
  int q_rope = g_.view(q, {rope, heads, tokens}, false);
  q_rope = turn(q_rope, rope, block);
  q_nope = g_.view(q_nope, {mla.qk_nope_dim, tokens, heads}, false);
  int absorbed = g_.op(GraphOp::matmul, {latent, tokens, heads}, {kNoTensor, q_nope},
                       matrix(block.device, mla.qk_nope_dim, latent * heads));
  absorbed = g_.view(absorbed, {latent, heads, tokens}, false);
  q = g_.op(GraphOp::fresh, {latent + rope, heads, tokens}, {absorbed, q_rope});
  kv = g_.view(kv, {latent, 1, tokens});
  const int k = g_.op(GraphOp::fresh, {latent + rope, 1, tokens}, {kv, k_rope});
  g_.expand(q);
  g_.expand(kv);
  g_.expand(k);
  const hwdb::TensorFormat& format = hwdb::format_of(request_.type_k);
  const int cache = g_.external({latent + rope, 1, Extent::cells, Extent::streams},
                                format.block_bytes, format.block_weights, block.cache_device);
  g_.expand(g_.store(g_.view(k, {latent + rope, tokens}), full_.k_places, cache));
  const int v_cache = g_.view(cache, {latent, 1, Extent::cells, Extent::streams}, false);
  const int out = attention_core(block, q, cache, v_cache, latent + rope, latent, 1, false, 1);
  return multiply(out, mla.v_head_dim * heads, shape_.n_embd, tokens, block.device,
                  shape_.attn_out_bias);
}

}  // namespace planner
