// SPDX-License-Identifier: MIT
#include "planner/graph/decoder_graph.h"

#include <algorithm>
#include <utility>

#include "planner/graph/decoder_builder.h"

namespace planner {
namespace {

constexpr std::uint32_t kPinningBatch = 32;  // below it llama.cpp pins each norm to its block's GPU

}  // namespace

// The last GPU that has a block.
int DecoderGraph::output_device() const {
  if (!placement_.output_on_gpu || placement_.n_gpus == 0) return host_;
  for (std::uint32_t gpu = placement_.n_gpus; gpu > 0; --gpu)
    if (placement_.layers_on_gpu[gpu - 1] > 0) return static_cast<int>(gpu) - 1;
  return host_ - 1;
}

/// llama.cpp tries flash attention in a graph of one token, and turns it off everywhere when the
/// scheduler puts one layer's elsewhere than the layer. Besides missing kernels, that happens to
/// the host's last attention when the next block that mixes tokens reads its state on a GPU: the
/// read is queued before the attention's output matrix, and pulls the attention along.
bool DecoderGraph::keeps_flash() const {
  if (placement_.n_gpus == 0) return true;
  if (!gpus_have_flash_for(shape_)) return false;
  if (placement_.cache_on_host || traits_.norm_before_state) return true;
  const std::vector<hwdb::LayerShape>& layers = kinds_.layers();
  const auto device_of = [&](std::uint32_t i) { return device_of_block(placement_, i); };
  const hwdb::LayerShape* before = nullptr;
  for (std::uint32_t i = 0; i < layers.size(); ++i) {
    // Nor is there an output matrix to hold back the attention of a block that is dropped.
    if (i > 0 && device_of(i) != host_ && device_of(i - 1) == host_ &&
        traits_.drops_blocks_without_ffn && layers[i - 1].n_ff == 0)
      return false;
    if (layers[i].kind == hwdb::LayerKind::none) continue;
    if (device_of(i) != host_)
      return before == nullptr || before->kind == hwdb::LayerKind::recurrent ||
             layers[i].kind != hwdb::LayerKind::recurrent;
    before = &layers[i];
  }
  return true;
}

int DecoderGraph::multiply(int in, std::uint64_t n_in, std::uint64_t n_out, Dim tokens, int device,
                           bool bias) {
  // The matrix comes first: when it is borrowed, its copy is given back before the activations.
  int out = g_.op(GraphOp::matmul, {n_out, tokens}, {kNoTensor, in}, matrix(device, n_in, n_out));
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

int DecoderGraph::experts(int in, int router_in, const Block& block, Dim tokens) {
  const std::uint64_t n = shape_.expert_latent_dim > 0 ? shape_.expert_latent_dim : shape_.n_embd;
  const std::uint64_t all = shape_.n_experts, used = shape_.n_experts_used,
                      width = shape_.n_ff_expert;
  const int device = block.device, far = block.expert_device;
  const int logits =
      multiply(router_in, shape_.n_embd, all, tokens, device, traits_.router_bias_weighs);
  int probabilities = traits_.router_picks_first ? logits : g_.same(GraphOp::overwrites, {logits});
  int choice = traits_.weighs_before_experts ? logits : probabilities;
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
  keep_routing(logits, probabilities, weights, cur);
  if (traits_.weighs_before_experts) {
    cur = g_.op(GraphOp::fresh, {n, used, tokens}, {cur});
    cur = g_.same(GraphOp::overwrites, {cur, weights});
  }
  const auto expert_multiply = [&](int x, std::uint64_t n_in, std::uint64_t n_out) {
    int out = g_.op(GraphOp::expert_matmul, {n_out, used, tokens}, {kNoTensor, x, chosen},
                    matrix(far, n_in, n_out * all, Extent::expert_matrix));
    if (shape_.expert_bias)
      out = g_.same(GraphOp::overwrites, {out, chosen}, vector(far, n_out * all));
    return out;
  };
  int hidden;
  const Dims inner{width, used, tokens};
  if (!shape_.ffn_gated) {
    hidden = g_.same(GraphOp::overwrites, {expert_multiply(cur, n, width)});
  } else if (traits_.joined_expert_gate_up) {
    const int both = expert_multiply(cur, n, 2 * width);
    hidden =
        g_.op(GraphOp::fresh, inner, {g_.view(both, inner, false), g_.view(both, inner, false)});
  } else {
    const int up = expert_multiply(cur, n, width);
    const int gate = expert_multiply(cur, n, width);
    hidden = g_.op(GraphOp::fresh, inner, {gate, up});
  }
  const int raw = expert_multiply(hidden, width, n);
  int out = raw, factor = kNoTensor;
  if (traits_.expert_output_scale) {
    // Read through a view, the factors do not count as a weight.
    const int factors = g_.view(g_.external({all}, 4, 1, far), {1, all});
    const int of_all = g_.op(GraphOp::fresh, {1, all, tokens}, {factors});
    factor = g_.op(GraphOp::lookup, {1, used, tokens}, {of_all, chosen});
    out = g_.same(GraphOp::overwrites, {out, factor});
  }
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
  // CUDA weighs and adds up to 15 experts in one kernel.
  if (!traits_.weighs_before_experts && used >= 2 && used <= 15) {
    g_.keep(raw, sum);
    if (factor != kNoTensor) g_.keep(factor, sum);
    g_.keep(weights, sum);
  }
  return sum;
}

// CUDA chooses experts in one kernel, which reads the scores until the operation behind it.
void DecoderGraph::keep_routing(int logits, int probabilities, int weights, int until) {
  const std::uint32_t n = shape_.n_experts;
  const bool power_of_two = (n & (n - 1)) == 0 && n <= 512;
  if (traits_.router_picks_first || traits_.router_groups) return;
  if (!power_of_two && n != 288 && n != 576) return;
  g_.keep(logits, until);
  for (int tensor = probabilities; tensor <= weights; ++tensor) g_.keep(tensor, until);
}

int DecoderGraph::mix_channels(int in, const Block& block, Dim tokens) {
  if (block.layer.n_experts == 0) return feed_forward(in, block.layer.n_ff, tokens, block.device);
  const std::uint64_t latent = shape_.expert_latent_dim;
  const int expert_in = latent > 0 ? multiply(in, shape_.n_embd, latent, tokens, block.device) : in;
  int out = experts(expert_in, in, block, tokens);
  if (latent > 0) out = multiply(out, latent, shape_.n_embd, tokens, block.device);
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

/// A dense network and experts side by side, each between norms of its own.
int DecoderGraph::mix_channels_twice(int in, const Block& block, Dim tokens) {
  const int dense =
      norm(feed_forward(norm(in, block), block.layer.n_ff, tokens, block.device), block);
  const int expert_in = norm(in, block);
  // The router sees the sum itself under a norm without weights, times a vector.
  int router_in = g_.same(GraphOp::overwrites, {in});
  router_in = g_.same(GraphOp::overwrites, {router_in});
  router_in = g_.same(GraphOp::overwrites, {router_in}, vector(block.device, shape_.n_embd));
  return add(dense, norm(experts(expert_in, router_in, block, tokens), block));
}

/// What the block's own embedding of each token adds (Gemma 3n and 4).
int DecoderGraph::add_layer_embedding(int in, const Block& block) {
  const std::uint64_t width = shape_.per_layer_dim;
  int x = multiply(in, shape_.n_embd, width, Extent::tokens, block.device);
  x = g_.same(GraphOp::overwrites, {x});
  x = g_.same(GraphOp::overwrites, {x, g_.view(layer_embeddings_, {width, Extent::tokens})});
  x = multiply(x, width, shape_.n_embd, Extent::tokens, block.device);
  return add(in, norm(x, block));
}

int DecoderGraph::all_layer_embeddings(int embeddings) {
  const std::uint64_t width = shape_.per_layer_dim, layers = shape_.n_layers;
  const Dim tokens = Extent::tokens;
  const Dims by_layer{width, layers, tokens};
  const int ids = g_.input({tokens}, 4);
  int own = g_.op(GraphOp::lookup, {width * layers, tokens}, {ids}, {host_, 0});
  own = g_.same(GraphOp::overwrites, {g_.view(own, by_layer)});
  g_.expand(own);
  const int device =
      device_of_block(placement_, 0);  // llama.cpp counts the projection as the first block's
  int projected = multiply(embeddings, shape_.n_embd, width * layers, tokens, device);
  projected = g_.view(g_.same(GraphOp::overwrites, {projected}), by_layer);
  projected = norm_at(projected, width, device, kAnyDevice, false);
  const int sum = g_.same(GraphOp::overwrites, {add(projected, own)});
  return g_.op(GraphOp::fresh, {width, tokens, layers},
               {g_.view(sum, {width, tokens, layers}, false)});
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
    cur = traits_.expands_latent ? attend_expanded(block, normed) : attend_latent(block, normed);
  else if (block.layer.kind == hwdb::LayerKind::recurrent)
    cur = mix_recurrently(block, normed);
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
  if (!mixes_channels) return traits_.drops_blocks_without_ffn ? in : middle;
  if (traits_.sandwiched_experts && block.layer.n_experts > 0)
    cur = mix_channels_twice(middle, block, tokens);
  else
    cur = mix_channels(norm_before ? norm(middle, block) : middle, block, tokens);
  if (norm_after) cur = norm(cur, block, false);
  cur = traits_.residual_first ? add(middle, cur) : add(cur, middle);
  if (layer_embeddings_ != kNoTensor) cur = add_layer_embedding(cur, block);
  if (traits_.scales_block_output)
    cur = g_.same(GraphOp::overwrites, {cur}, vector(block.device, 1));
  return cur;
}

TensorGraph DecoderGraph::build() {
  const std::vector<Block> blocks = kinds_.representatives(placement_);
  const Dim tokens = Extent::tokens;
  const int ids = g_.input({tokens}, 4);
  const int ready_embeddings = g_.input({shape_.n_embd, tokens}, 4);
  int cur = g_.op(GraphOp::lookup, {shape_.n_embd, tokens}, {ids},
                  {host_, 0});  // the embedding matrix never leaves the host
  g_.expand(cur);
  g_.expand(ready_embeddings);
  if (traits_.scales_embeddings) cur = g_.same(GraphOp::overwrites, {cur});
  if (traits_.scales_embeddings_at_once) g_.expand(cur);
  positions_ = g_.input({traits_.positions_per_token, tokens}, 4);
  const int all_state_ids = g_.input({Extent::sequences}, 4);
  state_ids_ = g_.view(all_state_ids, {Extent::sequences});
  idle_ids_ = g_.view(all_state_ids, {Dim(0)});
  windowed_ = request_.window_cells > 0;
  const std::vector<hwdb::LayerShape>& layers = kinds_.layers();
  std::uint64_t widest_v = 0;
  for (const hwdb::LayerShape& layer : layers)
    widest_v = std::max(widest_v, traits_.expands_latent
                                      ? std::uint64_t{shape_.mla->v_head_dim} * layer.n_heads
                                      : std::uint64_t{layer.head_dim_v} * layer.n_kv_heads);
  const auto cache_inputs = [&](Extent cells) {
    CacheInputs in;
    in.k_places = g_.input({tokens}, 8);
    in.v_places = g_.input({v_transposed_ ? widest_v : 1, tokens}, 8);
    in.mask = g_.input({cells, Extent::stream_tokens, 1, Extent::streams}, flash_ ? 2 : 4);
    const auto layer = std::ranges::find_if(layers, [&](const hwdb::LayerShape& l) {
      return l.n_kv_heads > 0 && (!windowed_ || (l.window > 0) == (cells == Extent::window_cells));
    });
    if (layer == layers.end() || (shape_.mla && !traits_.expands_latent)) return in;
    const auto rotates = [](hwdb::TensorType type, std::uint64_t head_dim) {
      return hwdb::format_of(type).block_weights > 1 && head_dim % kRotation == 0 && head_dim > 0;
    };
    if (rotates(request_.type_k, layer->head_dim_k)) {
      std::uint64_t n = kRotation;
      while (layer->head_dim_k % (2 * n) == 0) n *= 2;
      in.k_rotation = g_.input({n, n}, 4);
    }
    if (rotates(request_.type_v,
                traits_.expands_latent ? shape_.mla->v_head_dim : layer->head_dim_v))
      in.v_rotation = g_.input({kRotation, kRotation}, 4);
    return in;
  };
  full_ = cache_inputs(Extent::cells);
  if (windowed_) window_ = cache_inputs(Extent::window_cells);
  output_ids_ = g_.input({Extent::outputs}, 4);
  if (traits_.scales_unturned_queries) query_scale_ = g_.input({1, 1, tokens}, 4);
  if (shape_.learned_positions > 0) {
    const int places = g_.op(GraphOp::lookup, {shape_.n_embd, tokens}, {positions_}, {host_, 0});
    cur = g_.same(GraphOp::overwrites, {cur, places});
  }
  if (traits_.adds_layer_embeddings) layer_embeddings_ = all_layer_embeddings(cur);
  for (const Block& block : blocks) cur = block_output(cur, block);
  if (traits_.outputs_after_blocks) g_.at(cur).output = true;  // kept for a draft head
  if (traits_.outputs_after_blocks || blocks.empty())
    cur = g_.op(GraphOp::lookup, {shape_.n_embd, Extent::outputs}, {cur, output_ids_});
  const int device = output_device();
  cur = norm_at(cur, shape_.n_embd, device, kAnyDevice,
                shape_.norm == hwdb::ModelShape::Norm::layernorm);
  g_.at(cur).output = true;
  if (traits_.outputs_after_norm) {
    cur = g_.op(GraphOp::lookup, {shape_.n_embd, Extent::outputs}, {cur, output_ids_});
    g_.at(cur).output = true;
  }
  cur = g_.op(GraphOp::matmul, {shape_.n_vocab, Extent::outputs}, {kNoTensor, cur},
              matrix(device, shape_.n_embd, shape_.n_vocab, Extent::output_matrix));
  g_.at(cur).output = true;
  g_.expand(cur);
  return std::move(g_);
}

TensorGraph decoder_graph(const hwdb::ModelShape& shape, const BlockKinds& kinds,
                          const ComputeRequest& request, const ComputePlacement& placement,
                          std::uint32_t n_tokens) {
  return DecoderGraph(shape, kinds, request, placement, n_tokens).build();
}

}  // namespace planner
