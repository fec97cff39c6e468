// SPDX-License-Identifier: MIT
#include "planner/decoder_graph.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "planner/graph_traits.h"

namespace planner {
namespace {

constexpr std::uint32_t kPinningBatch = 32;  // below it llama.cpp pins each norm to its block's GPU
constexpr std::uint64_t kRotation = 64;      // smallest rotation of a quantized cache

/// What one block is and where its parts are.
struct Block {
  hwdb::LayerShape layer;
  std::uint32_t index = 0;
  int device = 0, cache_device = 0, expert_device = 0;
  bool last = false;
  bool rope = true;
};

bool same_kind(const Block& a, const Block& b) {
  const hwdb::LayerShape& x = a.layer;
  const hwdb::LayerShape& y = b.layer;
  return x.kind == y.kind && x.n_heads == y.n_heads && x.n_kv_heads == y.n_kv_heads &&
         x.head_dim_k == y.head_dim_k && x.head_dim_v == y.head_dim_v && x.v_is_k == y.v_is_k &&
         x.owns_cache == y.owns_cache && (x.window > 0) == (y.window > 0) && x.n_ff == y.n_ff &&
         x.n_experts == y.n_experts && a.device == b.device && a.cache_device == b.cache_device &&
         a.expert_device == b.expert_device && a.rope == b.rope;
}

class DecoderGraph {
 public:
  DecoderGraph(const hwdb::ModelShape& shape, const ComputeRequest& request,
               const ComputePlacement& placement, std::uint32_t n_tokens)
      : shape_(shape),
        request_(request),
        placement_(placement),
        traits_(graph_traits(shape)),
        host_(static_cast<int>(placement.n_gpus)),
        n_tokens_(n_tokens),
        flash_(request.flash_attn && !traits_.never_flash) {}

  TensorGraph build();

 private:
  std::vector<Block> representative_blocks() const;
  int device_of(std::uint32_t layer) const;
  bool turns(const Block& block) const;

  WeightPlace matrix(int device, std::uint64_t rows, std::uint64_t columns) const {
    return {device,
            static_cast<std::uint64_t>(static_cast<double>(rows) * static_cast<double>(columns) *
                                       placement_.bytes_per_weight)};
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
  int rotated(int in, int rotation);
  int attend(const Block& block, const Heads& heads);
  int attend_latent(const Block& block, int in);
  int attention_core(const Block& block, int q, int k, int v, std::uint64_t head_dim_k,
                     std::uint64_t head_dim_v, std::uint64_t n_kv_heads, bool v_transposed,
                     int decompress);
  int states_of(int cache, std::uint64_t width);
  int mix_by_delta_rule(const Block& block, int in);
  int feed_forward(int in, std::uint64_t width, Dim tokens, int device);
  int experts(int in, const Block& block, Dim tokens);
  int mix_channels(int in, const Block& block, Dim tokens);
  int block_output(int in, const Block& block);
  int add(int a, int b) { return g_.same(GraphOp::overwrites, {a, b}); }

  const hwdb::ModelShape& shape_;
  const ComputeRequest& request_;
  const ComputePlacement& placement_;
  const GraphTraits traits_;
  const int host_;
  const std::uint32_t n_tokens_;
  const bool flash_;
  TensorGraph g_;
  int positions_ = kNoTensor, output_ids_ = kNoTensor, state_ids_ = kNoTensor;
  struct CacheInputs {
    int k_places = kNoTensor, v_places = kNoTensor, mask = kNoTensor;
    int k_rotation = kNoTensor, v_rotation = kNoTensor;
  };
  CacheInputs full_, window_;
  bool windowed_ = false;
};

int DecoderGraph::device_of(std::uint32_t layer) const {
  if (layer < placement_.first_gpu_layer || placement_.n_gpus == 0) return host_;
  std::uint32_t end = placement_.first_gpu_layer;
  for (std::uint32_t gpu = 0; gpu < placement_.n_gpus; ++gpu) {
    end += placement_.layers_on_gpu[gpu];
    if (layer < end) return static_cast<int>(gpu);
  }
  return host_ - 1;
}

bool DecoderGraph::turns(const Block& block) const {
  const std::uint32_t every = shape_.rope.none_every;
  if (!traits_.rope || (every > 0 && (block.index + 1) % every == 0)) return false;
  return !traits_.rope_on_windows_only || block.layer.window > 0;
}

std::vector<Block> DecoderGraph::representative_blocks() const {
  const std::vector<hwdb::LayerShape> layers = hwdb::layers_of(shape_);
  std::vector<Block> kinds, kept;
  std::map<std::pair<std::size_t, std::size_t>, int> seen;
  std::size_t before = 0;
  for (std::uint32_t i = 0; i < layers.size(); ++i) {
    Block block;
    block.layer = layers[i];
    block.index = i;
    block.device = device_of(i);
    block.cache_device = placement_.cache_on_host ? host_ : block.device;
    block.expert_device = i < placement_.n_cpu_moe ? host_ : block.device;
    block.last = i + 1 == layers.size();
    block.rope = turns(block);
    const auto it =
        std::ranges::find_if(kinds, [&](const Block& known) { return same_kind(known, block); });
    const auto kind = static_cast<std::size_t>(it - kinds.begin()) + 1;
    if (it == kinds.end()) kinds.push_back(block);
    // Two of each neighbourhood: the second one runs on holes that the first has left.
    if (seen[{before, kind}]++ < 2 || block.last) kept.push_back(block);
    before = kind;
  }
  return kept;
}

int DecoderGraph::multiply(int in, std::uint64_t n_in, std::uint64_t n_out, Dim tokens, int device,
                           bool bias) {
  int out = g_.op(GraphOp::matmul, {n_out, tokens}, {in}, matrix(device, n_in, n_out));
  if (bias) out = g_.same(GraphOp::overwrites, {out}, vector(device, n_out));
  return out;
}

int DecoderGraph::norm_at(int in, std::uint64_t n, int device, int pin, bool with_bias) {
  int out = g_.same(traits_.layer_norm ? GraphOp::fresh : GraphOp::overwrites, {in});
  if (shape_.norms_per_layer == 0) return out;  // without weights (OLMo)
  g_.at(out).home = pin;
  out = g_.same(GraphOp::overwrites, {out}, vector(device, n));
  if (with_bias) out = g_.same(GraphOp::overwrites, {out}, vector(device, n));
  return out;
}

int DecoderGraph::norm(int in, const Block& block, bool pinned, bool bias_by_kind) {
  const bool all_on_gpu =
      placement_.n_gpus > 0 && placement_.first_gpu_layer == 0 && placement_.output_on_gpu;
  const bool pin = pinned && (n_tokens_ < kPinningBatch || all_on_gpu);
  return norm_at(in, shape_.n_embd, block.device, pin ? block.device : kAnyDevice,
                 bias_by_kind && shape_.norm == hwdb::ModelShape::Norm::layernorm);
}

DecoderGraph::Heads DecoderGraph::project(int in, const Block& block) {
  const hwdb::LayerShape& l = block.layer;
  const std::uint64_t dk = l.head_dim_k, dv = l.head_dim_v;
  const std::uint64_t nq = dk * l.n_heads, nk = dk * l.n_kv_heads, nv = dv * l.n_kv_heads;
  const Dim tokens = Extent::tokens;
  const bool bias = shape_.attn_qkv_bias;
  Heads h;
  const bool full_norm = shape_.qk_norm == hwdb::ModelShape::QkNorm::full_width;
  const auto finish = [&](int x, std::uint64_t width, std::uint64_t heads, std::uint64_t dim,
                          bool normed, bool turned) {
    const int pin = kAnyDevice;
    if (normed && full_norm) x = norm_at(x, width, block.device, pin, false);
    if (full_norm || (!traits_.fused_qkv && g_.at(x).root == kNoTensor))
      x = g_.view(x, {dim, heads, tokens});
    if (normed && shape_.qk_norm != hwdb::ModelShape::QkNorm::none && !full_norm)
      x = norm_at(x, dim, block.device, pin, false);
    if (turned && block.rope) x = g_.same(GraphOp::rope, {x, positions_});
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
  if (h.k != kNoTensor) {
    h.k = finish(h.k, nk, l.n_kv_heads, dk, true, true);
    h.v = finish(h.v, nv, l.n_kv_heads, dv, false, false);
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
      out = g_.op(GraphOp::matmul, {block.layer.head_dim_v, Extent::tokens, heads}, {out},
                  matrix(block.device, head_dim_v * block.layer.head_dim_v, block.layer.n_heads));
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
      const hwdb::TensorFormat& format = hwdb::format_of(request_.type_k);
      v = g_.op(GraphOp::fresh, {cells, head_dim_v, n_kv_heads, streams}, {g_.view(v, g_.at(v).ne)},
                {}, format.block_bytes);
      g_.at(v).block_elements = format.block_weights;
    }
    out = g_.op(GraphOp::matmul, {head_dim_v, tokens, heads, streams}, {v, weights});
    std::uint64_t dim = head_dim_v;
    if (decompress != kNoTensor) {
      dim = block.layer.head_dim_v;
      out = g_.op(GraphOp::matmul, {dim, tokens, heads, streams}, {out},
                  matrix(block.device, head_dim_v * dim, block.layer.n_heads));
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
    if (!flash_ && !g_.at(v).contiguous) v = g_.op(GraphOp::fresh, rows_v, {v});
    g_.expand(g_.store(g_.view(v, rows_v, g_.at(v).contiguous), inputs.v_places, v_cache));
  }
  int out = attention_core(block, h.q, k_cache, v_cache, l.head_dim_k, l.head_dim_v, l.n_kv_heads,
                           true, kNoTensor);
  if (inputs.v_rotation != kNoTensor) out = rotated(out, inputs.v_rotation);
  if (h.gate != kNoTensor) out = add(out, g_.same(GraphOp::overwrites, {h.gate}));
  return multiply(out, std::uint64_t{l.head_dim_v} * l.n_heads, shape_.n_embd, Extent::tokens,
                  block.device, shape_.attn_out_bias);
}

int DecoderGraph::attend_latent(const Block& block, int in) {
  const hwdb::MlaShape& mla = *shape_.mla;
  const std::uint64_t heads = block.layer.n_heads;
  const std::uint64_t head_dim = std::uint64_t{mla.qk_nope_dim} + mla.qk_rope_dim;
  const std::uint64_t latent = mla.kv_lora_rank, rope = mla.qk_rope_dim;
  const Dim tokens = Extent::tokens;
  int q = in;
  std::uint64_t q_in = shape_.n_embd;
  if (mla.q_lora_rank > 0) {
    q = multiply(q, q_in, mla.q_lora_rank, tokens, block.device);
    q = norm_at(q, mla.q_lora_rank, block.device, kAnyDevice, false);
    q_in = mla.q_lora_rank;
  }
  q = multiply(q, q_in, head_dim * heads, tokens, block.device);
  q = g_.view(q, {head_dim, heads, tokens});
  const int compressed = multiply(in, shape_.n_embd, latent + rope, tokens, block.device);
  int kv = g_.view(compressed, {latent, tokens}, false);
  int k_rope = g_.view(compressed, {rope, 1, tokens}, false);
  k_rope = g_.same(GraphOp::rope, {k_rope, positions_});
  kv = norm_at(kv, latent, block.device, kAnyDevice, false);
  int q_nope = g_.view(q, {mla.qk_nope_dim, heads, tokens}, false);
  int q_rope = g_.view(q, {rope, heads, tokens}, false);
  q_rope = g_.same(GraphOp::rope, {q_rope, positions_});
  q_nope = g_.view(q_nope, {mla.qk_nope_dim, tokens, heads}, false);
  int absorbed = g_.op(GraphOp::matmul, {latent, tokens, heads}, {q_nope},
                       matrix(block.device, latent * mla.qk_nope_dim, heads));
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

int DecoderGraph::states_of(int cache, std::uint64_t width) {
  const int rows = g_.op(GraphOp::lookup, {width, Extent::sequences}, {cache, state_ids_});
  g_.expand(rows);
  // States of sequences that sit this batch out are carried over; when memory is planned there are
  // none of them, but even a tensor without rows leaves its trace in the allocator.
  const int idle = g_.op(GraphOp::lookup, {width, Dim(0)}, {cache, state_ids_});
  g_.expand(g_.store(idle, kNoTensor, cache));
  return rows;
}

int DecoderGraph::mix_by_delta_rule(const Block& block, int in) {
  const hwdb::SsmShape& ssm = *shape_.ssm;
  const Dim tokens = Extent::tokens, sequences = Extent::sequences;
  const std::uint64_t nk = ssm.n_k_heads, nv = ssm.n_v_heads, dk = ssm.head_k, dv = ssm.head_v;
  const std::uint64_t channels = 2 * nk * dk + nv * dv, history = ssm.d_conv - 1;
  const int device = block.device;
  const int mixed = multiply(in, shape_.n_embd, channels, tokens, device);
  const int z = multiply(in, shape_.n_embd, nv * dv, tokens, device);
  int beta = multiply(in, shape_.n_embd, nv, tokens, device);
  beta = g_.same(GraphOp::overwrites, {g_.view(beta, {1, nv, tokens})});
  int decay = multiply(in, shape_.n_embd, nv, tokens, device);
  decay = g_.same(GraphOp::overwrites, {g_.view(decay, {nv, tokens})}, vector(device, nv));
  decay = g_.same(GraphOp::overwrites, {decay}, vector(device, nv));
  decay = g_.view(decay, {1, nv, tokens});

  const int conv_cache = g_.external({history * channels, sequences}, 4, 1, block.cache_device);
  const int old_rows = states_of(conv_cache, history * channels);
  // Convolution input: the rows kept from before, then this batch.
  const int window = g_.op(GraphOp::fresh, {channels, tokens},
                           {g_.view(old_rows, {history, channels, sequences}),
                            g_.view(mixed, {tokens, channels}, false)});
  g_.at(window).more = {history * channels, sequences, Dim(), Dim()};
  g_.expand(
      g_.store(g_.view(window, {history, channels, sequences}, false), kNoTensor, conv_cache));

  const int state_cache = g_.external({dv * dv * nv, sequences}, 4, 1, block.cache_device);
  const int state = g_.view(states_of(state_cache, dv * dv * nv), {dv, dv, nv, sequences});
  const int convolved = g_.same(
      GraphOp::overwrites,
      {g_.op(GraphOp::fresh, {channels, tokens}, {window}, vector(device, ssm.d_conv * channels))});
  const auto unit_length = [&](int x) { return g_.same(GraphOp::overwrites, {x}); };
  const int q = unit_length(g_.view(convolved, {dk, nk, tokens}, false));
  const int k = unit_length(g_.view(convolved, {dk, nk, tokens}, false));
  const int v = g_.view(convolved, {dv, nv, tokens}, false);
  const int both = g_.op(GraphOp::fresh, {dv * nv, tokens}, {q, k, v, decay, beta, state});
  g_.at(both).more = {dv * dv * nv, sequences, Dim(), Dim()};
  g_.expand(g_.store(g_.view(both, {dv * dv * nv, sequences}, false), kNoTensor, state_cache));
  int out = norm_at(g_.view(both, {dv, nv, tokens}), dv, device, kAnyDevice, false);
  const int gate = g_.same(GraphOp::overwrites, {g_.view(z, {dv, nv, tokens})});
  out = g_.view(add(out, gate), {dv * nv, tokens});
  // Reshaped, and so never written over by the residual's sum.
  return g_.view(multiply(out, dv * nv, shape_.n_embd, tokens, device), {shape_.n_embd, tokens});
}

int DecoderGraph::feed_forward(int in, std::uint64_t width, Dim tokens, int device) {
  int hidden;
  const std::uint64_t n = shape_.n_embd;
  if (!shape_.ffn_gated) {
    hidden = multiply(in, n, width, tokens, device, shape_.mlp_bias);
    hidden = g_.same(GraphOp::overwrites, {hidden});
  } else if (traits_.joined_gate_up) {
    const int both = multiply(in, n, 2 * width, tokens, device, shape_.mlp_bias);
    hidden = g_.op(GraphOp::fresh, {width, tokens}, {both});
  } else {
    const int up = multiply(in, n, width, tokens, device, shape_.mlp_bias);
    const int gate = multiply(in, n, width, tokens, device, shape_.mlp_bias);
    hidden = g_.op(GraphOp::fresh, {width, tokens}, {gate, up});
  }
  return multiply(hidden, width, n, tokens, device, shape_.mlp_bias);
}

int DecoderGraph::experts(int in, const Block& block, Dim tokens) {
  const std::uint64_t n = shape_.n_embd, all = shape_.n_experts, used = shape_.n_experts_used,
                      width = shape_.n_ff_expert;
  const int device = block.device, far = block.expert_device;
  int logits = multiply(in, n, all, tokens, device, traits_.router_bias_weighs);
  int probabilities = traits_.router_picks_first ? logits : g_.same(GraphOp::overwrites, {logits});
  int choice = probabilities;
  if (traits_.router_bias_picks)
    choice = g_.same(GraphOp::overwrites, {probabilities}, vector(device, all));
  if (traits_.router_groups) {
    const std::uint64_t groups = 8, half = 4, size = all / groups;
    const int grouped = g_.view(choice, {size, groups, tokens});
    const int sorted = g_.same(GraphOp::fresh, {grouped});
    const int top = g_.view(sorted, {2, groups, tokens}, false);
    int scores = g_.op(GraphOp::lookup, {1, 2, groups, tokens},
                       {g_.view(grouped, {1, size, groups, tokens}), top});
    scores = g_.op(GraphOp::fresh, {1, groups, tokens}, {g_.view(scores, {2, groups, tokens})});
    const int order = g_.op(GraphOp::fresh, {groups, tokens}, {g_.view(scores, {groups, tokens})});
    const int best = g_.view(order, {half, tokens}, false);
    const int kept = g_.op(GraphOp::lookup, {size, half, tokens}, {grouped, best});
    const int emptied = g_.same(GraphOp::overwrites, {grouped});
    choice = g_.store(kept, best, emptied);
    g_.at(choice).external = false;
    g_.at(choice).home = kAnyDevice;
    choice = g_.view(choice, {all, tokens});
  }
  const int sorted = g_.same(GraphOp::fresh, {choice});
  const int chosen = g_.view(sorted, {used, tokens}, false);
  int weights =
      g_.op(GraphOp::lookup, {1, used, tokens}, {g_.view(probabilities, {1, all, tokens}), chosen});
  if (traits_.router_picks_first) {
    weights = g_.same(GraphOp::overwrites, {g_.view(weights, {used, tokens})});
    weights = g_.view(weights, {1, used, tokens});
  }
  if (traits_.router_normalizes) {
    weights = g_.view(weights, {used, tokens});
    int sum = g_.op(GraphOp::fresh, {1, tokens}, {weights});
    sum = g_.same(GraphOp::overwrites, {sum});
    weights = g_.same(GraphOp::overwrites, {weights, sum});
    weights = g_.view(weights, {1, used, tokens});
  }
  g_.expand(weights);
  int cur = g_.view(in, {n, 1, tokens});
  if (traits_.weighs_before_experts) {
    cur = g_.op(GraphOp::fresh, {n, used, tokens}, {cur});
    cur = g_.same(GraphOp::overwrites, {cur, weights});
  }
  const auto expert_multiply = [&](int x, std::uint64_t n_in, std::uint64_t n_out) {
    int out = g_.op(GraphOp::expert_matmul, {n_out, used, tokens}, {x, chosen},
                    matrix(far, n_in * all, n_out));
    if (shape_.expert_bias)
      out = g_.same(GraphOp::overwrites, {out, chosen}, vector(far, n_out * all));
    return out;
  };
  int hidden;
  const Dims inner{width, used, tokens};
  if (!shape_.ffn_gated) {
    hidden = g_.same(GraphOp::overwrites, {expert_multiply(cur, n, width)});
  } else {
    const int up = expert_multiply(cur, n, width);
    const int gate = expert_multiply(cur, n, width);
    hidden = g_.op(GraphOp::fresh, inner, {gate, up});
  }
  int out = expert_multiply(hidden, width, n);
  if (!traits_.weighs_before_experts) out = g_.same(GraphOp::overwrites, {out, weights});
  g_.expand(out);
  std::vector<int> parts;
  for (std::uint64_t e = 0; e < used; ++e) {
    parts.push_back(g_.view(out, {n, tokens}, false));
    g_.expand(parts.back());
  }
  int sum = parts.front();
  for (std::size_t e = 1; e < parts.size(); ++e) {
    sum = g_.op(GraphOp::overwrites, {n, tokens}, {sum, parts[e]});
    g_.expand(sum);
  }
  if (parts.size() == 1) sum = g_.op(GraphOp::fresh, {n, tokens}, {sum});
  return sum;
}

int DecoderGraph::mix_channels(int in, const Block& block, Dim tokens) {
  if (block.layer.n_experts == 0) return feed_forward(in, block.layer.n_ff, tokens, block.device);
  int out = experts(in, block, tokens);
  if (shape_.n_shared_experts == 0) return out;
  int gate = kNoTensor;
  if (shape_.shared_expert_gate) {
    gate = multiply(in, shape_.n_embd, 1, tokens, block.device);
    gate = g_.same(GraphOp::overwrites, {g_.same(GraphOp::overwrites, {gate}), gate});
  }
  const std::uint64_t width = std::uint64_t{shape_.n_ff_shared} * shape_.n_shared_experts;
  int shared = feed_forward(in, width, tokens, block.device);
  if (gate != kNoTensor) shared = add(shared, gate);
  return add(out, shared);
}

int DecoderGraph::block_output(int in, const Block& block) {
  using Sum = GraphTraits::ParallelSum;
  const bool parallel = traits_.parallel != Sum::none;
  const bool norm_before = !traits_.norm_after_only;
  const bool norm_after = traits_.norm_after_only || shape_.norms_per_layer >= 4;
  const bool mixes_tokens = block.layer.kind != hwdb::LayerKind::none;
  const bool mixes_channels = block.layer.n_ff > 0 || block.layer.n_experts > 0;

  int residual = in;
  int normed = norm_before && mixes_tokens ? norm(in, block) : in;
  int cur = in;
  if (block.layer.kind == hwdb::LayerKind::mla)
    cur = attend_latent(block, normed);
  else if (block.layer.kind == hwdb::LayerKind::recurrent)
    cur = mix_by_delta_rule(block, normed);
  else if (mixes_tokens)
    cur = attend(block, project(normed, block));
  Dim tokens = Extent::tokens;
  if (block.last && !traits_.outputs_after_blocks && !traits_.outputs_after_norm) {
    tokens = Extent::outputs;
    const Dims kept{shape_.n_embd, tokens};
    cur = g_.op(GraphOp::lookup, kept, {cur, output_ids_});
    residual = g_.op(GraphOp::lookup, kept, {residual, output_ids_});
    if (parallel) normed = g_.op(GraphOp::lookup, kept, {normed, output_ids_});
  }
  if (norm_after && mixes_tokens) cur = norm(cur, block);
  if (parallel) {
    const int ffn = mix_channels(normed, block, tokens);
    if (traits_.parallel == Sum::attention_ffn_residual) return add(add(cur, ffn), residual);
    if (traits_.parallel == Sum::ffn_residual_attention) return add(add(ffn, residual), cur);
    return add(add(ffn, cur), residual);
  }
  int middle = cur;
  if (mixes_tokens)
    middle = traits_.attention_residual_first ? add(residual, cur) : add(cur, residual);
  if (!mixes_channels) return middle;
  cur = mix_channels(norm_before ? norm(middle, block) : middle, block, tokens);
  if (norm_after) cur = norm(cur, block, false);
  return traits_.residual_first ? add(middle, cur) : add(cur, middle);
}

TensorGraph DecoderGraph::build() {
  const std::vector<Block> blocks = representative_blocks();
  const Dim tokens = Extent::tokens;
  const int ids = g_.input({tokens}, 4);
  const int ready_embeddings = g_.input({shape_.n_embd, tokens}, 4);
  int cur = g_.op(GraphOp::lookup, {shape_.n_embd, tokens}, {ids},
                  {host_, 0});  // the embedding matrix never leaves the host
  g_.expand(cur);
  g_.expand(ready_embeddings);
  positions_ = g_.input({traits_.positions_per_token, tokens}, 4);
  state_ids_ = g_.input({Extent::sequences}, 4);
  windowed_ = request_.window_cells > 0;
  std::uint64_t widest_v = 0, head_dim_k = 0, head_dim_v = 0;
  for (const hwdb::LayerShape& layer : hwdb::layers_of(shape_)) {
    if (layer.n_kv_heads == 0) continue;
    widest_v = std::max(widest_v, std::uint64_t{layer.head_dim_v} * layer.n_kv_heads);
    head_dim_k = layer.head_dim_k;
    head_dim_v = layer.head_dim_v;
  }
  const auto cache_inputs = [&](Extent cells) {
    CacheInputs in;
    in.k_places = g_.input({tokens}, 8);
    in.v_places = g_.input({flash_ ? 1 : widest_v, tokens}, 8);
    in.mask = g_.input({cells, Extent::stream_tokens, 1, Extent::streams}, flash_ ? 2 : 4);
    const bool rotates = !shape_.mla;
    if (rotates && hwdb::format_of(request_.type_k).block_weights > 1 &&
        head_dim_k % kRotation == 0 && head_dim_k > 0) {
      std::uint64_t n = kRotation;
      while (head_dim_k % (2 * n) == 0) n *= 2;
      in.k_rotation = g_.input({n, n}, 4);
    }
    if (rotates && hwdb::format_of(request_.type_v).block_weights > 1 &&
        head_dim_v % kRotation == 0 && head_dim_v > 0)
      in.v_rotation = g_.input({kRotation, kRotation}, 4);
    return in;
  };
  full_ = cache_inputs(Extent::cells);
  if (windowed_) window_ = cache_inputs(Extent::window_cells);
  output_ids_ = g_.input({Extent::outputs}, 4);
  if (shape_.learned_positions > 0) {
    const int places = g_.op(GraphOp::lookup, {shape_.n_embd, tokens}, {positions_}, {host_, 0});
    cur = g_.same(GraphOp::overwrites, {cur, places});
  }
  for (const Block& block : blocks) cur = block_output(cur, block);
  if (traits_.outputs_after_blocks) g_.at(cur).output = true;  // kept for a draft head
  if (traits_.outputs_after_blocks || blocks.empty())
    cur = g_.op(GraphOp::lookup, {shape_.n_embd, Extent::outputs}, {cur, output_ids_});
  const int device = placement_.output_on_gpu && placement_.n_gpus > 0 ? host_ - 1 : host_;
  cur = norm_at(cur, shape_.n_embd, device, kAnyDevice,
                shape_.norm == hwdb::ModelShape::Norm::layernorm);
  g_.at(cur).output = true;
  if (traits_.outputs_after_norm) {
    cur = g_.op(GraphOp::lookup, {shape_.n_embd, Extent::outputs}, {cur, output_ids_});
    g_.at(cur).output = true;
  }
  cur = multiply(cur, shape_.n_embd, shape_.n_vocab, Extent::outputs, device);
  g_.at(cur).output = true;
  g_.expand(cur);
  return std::move(g_);
}

}  // namespace

TensorGraph decoder_graph(const hwdb::ModelShape& shape, const ComputeRequest& request,
                          const ComputePlacement& placement, std::uint32_t n_tokens) {
  return DecoderGraph(shape, request, placement, n_tokens).build();
}

}  // namespace planner
