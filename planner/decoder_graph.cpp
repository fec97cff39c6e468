// SPDX-License-Identifier: MIT
#include "planner/decoder_graph.h"

#include <algorithm>
#include <utility>

#include "planner/decoder_builder.h"

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
  keep_routing(logits, probabilities, weights, cur);
  if (traits_.weighs_before_experts) {
    cur = g_.op(GraphOp::fresh, {n, used, tokens}, {cur});
    cur = g_.same(GraphOp::overwrites, {cur, weights});
  }
  const auto expert_multiply = [&](int x, std::uint64_t n_in, std::uint64_t n_out) {
    int out = g_.op(GraphOp::expert_matmul, {n_out, used, tokens}, {x, chosen},
                    matrix(far, n_in * all, n_out, Extent::expert_matrix));
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
  const int raw = expert_multiply(hidden, width, n);
  int out = raw;
  if (!traits_.weighs_before_experts) out = g_.same(GraphOp::overwrites, {raw, weights});
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
  if (!mixes_channels) return middle;
  cur = mix_channels(norm_before ? norm(middle, block) : middle, block, tokens);
  if (norm_after) cur = norm(cur, block, false);
  return traits_.residual_first ? add(middle, cur) : add(cur, middle);
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
  positions_ = g_.input({traits_.positions_per_token, tokens}, 4);
  state_ids_ = g_.input({Extent::sequences}, 4);
  windowed_ = request_.window_cells > 0;
  std::uint64_t widest_v = 0, head_dim_k = 0, head_dim_v = 0;
  for (const hwdb::LayerShape& layer : kinds_.layers()) {
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
  const int device = output_device();
  cur = norm_at(cur, shape_.n_embd, device, kAnyDevice,
                shape_.norm == hwdb::ModelShape::Norm::layernorm);
  g_.at(cur).output = true;
  if (traits_.outputs_after_norm) {
    cur = g_.op(GraphOp::lookup, {shape_.n_embd, Extent::outputs}, {cur, output_ids_});
    g_.at(cur).output = true;
  }
  cur = g_.op(GraphOp::matmul, {shape_.n_vocab, Extent::outputs}, {cur},
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
