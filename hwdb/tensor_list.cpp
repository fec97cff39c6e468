// SPDX-License-Identifier: MIT
#include <algorithm>
#include <string>
#include <utility>

#include "hwdb/limits.h"
#include "hwdb/tensor_list_builder.h"

namespace hwdb {
namespace {

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

/// Kept in 32 bits by the converter although they are matrices, llama.cpp conversion/base.py.
bool stays_f32(std::string_view name) {
  if (name.ends_with("_norm.weight")) return true;
  // Most tensors: no need to look for the rarer names in them.
  if (contains(name, ".attn_")) return false;
  if (contains(name, ".ffn_")) return contains(name, "ffn_gate_inp");
  for (std::string_view part :
       {"ffn_gate_inp.", "ffn_gate_inp_shexp.", "position_embd.", "ssm_conv1d", "shortconv.conv.",
        "time_mix_w1.", "time_mix_w2.", "time_mix_lerp_fused.", "channel_mix_lerp_k.",
        "altup_correct_coef", "altup_predict_coef", "indexer.proj."}) {
    if (contains(name, part)) return true;
  }
  return false;
}

const TensorType kF16 = tensor_type("F16"), kF32 = tensor_type("F32"),
                 kMxfp4 = tensor_type("MXFP4");

Status check_range(const ModelShape& shape) {
  const auto error = [&](std::string what) {
    return Error{"model.range", std::move(what), shape.architecture, {}};
  };
  if (auto ok = check_sizes(shape); !ok) return ok;
  if (shape.n_embd == 0) return error("the embedding length is 0");
  if (shape.n_vocab == 0 || shape.n_vocab > limits::kVocabulary) {
    return error("the vocabulary must be 1 to " + std::to_string(limits::kVocabulary) + ", not " +
                 std::to_string(shape.n_vocab));
  }
  if (shape.mtp_layers > limits::kLayers) return error("too many draft layers");
  return Ok{};
}

}  // namespace

void ListBuilder::add(std::string name, Dims dims, TensorRole role, std::int32_t layer) {
  PlannedTensor tensor;
  tensor.info.ne = dims;
  tensor.role = role;
  tensor.layer = layer;
  const bool matrix = dims[1] > 1 || dims[2] > 1 || dims[3] > 1;
  const bool convertible = matrix && name.ends_with(".weight") && !stays_f32(name);
  tensor.info.type = convertible ? kF16 : kF32;
  if (convertible && role == TensorRole::routed_experts && traits_.mxfp4_experts &&
      dims[0] % format_of(kMxfp4).block_weights == 0) {
    tensor.info.type = kMxfp4;
  }
  std::uint64_t elements = 1;
  for (std::uint64_t n : dims) {
    if (n == 0 && missing_.empty()) missing_ = name;
    if (!checked_mul(elements, n, &elements)) overflow_ = true;
  }
  const TensorFormat& format = format_of(tensor.info.type);
  if (!checked_mul(elements / format.block_weights, format.block_bytes, &tensor.info.bytes)) {
    overflow_ = true;
  }
  tensor.info.name = std::move(name);
  tensor.part = quant_part(tensor.info);
  tensors_.push_back(std::move(tensor));
}

void ListBuilder::norm(std::string_view name, std::uint64_t width, TensorRole role) {
  block(std::string(name) + ".weight", {width, 1, 1, 1}, role);
  if (shape_.norm == ModelShape::Norm::layernorm) {
    block(std::string(name) + ".bias", {width, 1, 1, 1}, role);
  }
}

void ListBuilder::head_and_tail_before_blocks() {
  const std::uint64_t d = shape_.n_embd;
  global("token_embd.weight", {d, shape_.n_vocab, 1, 1}, TensorRole::token_embedding);
  if (shape_.learned_positions > 0) {
    global("position_embd.weight", {d, shape_.learned_positions, 1, 1},
           TensorRole::position_embedding);
  }
  if (traits_.embedding_norm) {
    global("token_embd_norm.weight", {d, 1, 1, 1}, TensorRole::other);
    global("token_embd_norm.bias", {d, 1, 1, 1}, TensorRole::other);
  }
  if (shape_.per_layer_dim > 0) {
    const std::uint64_t width = std::uint64_t{shape_.per_layer_dim} * shape_.n_layers;
    const std::uint64_t rows = shape_.per_layer_vocab > 0 ? shape_.per_layer_vocab : shape_.n_vocab;
    global("per_layer_token_embd.weight", {width, rows, 1, 1}, TensorRole::per_layer_embedding);
    global("per_layer_model_proj.weight", {d, width, 1, 1}, TensorRole::other);
    global("per_layer_proj_norm.weight", {shape_.per_layer_dim, 1, 1, 1}, TensorRole::other);
  }
  if (shape_.altup_inputs > 1) {
    const std::uint64_t n = shape_.altup_inputs - 1;
    global("altup_proj.weight", {d, d, n, 1}, TensorRole::other);
    global("altup_unembd_proj.weight", {d, d, n, 1}, TensorRole::other);
  }
}

void ListBuilder::after_blocks() {
  const std::uint64_t d = shape_.n_embd;
  if (shape_.norms_per_layer > 0) {
    const std::string name(traits_.output_norm);
    global(name + ".weight", {d, 1, 1, 1}, TensorRole::output);
    if (shape_.norm == ModelShape::Norm::layernorm) {
      global(name + ".bias", {d, 1, 1, 1}, TensorRole::output);
    }
  }
  if (!shape_.tie_embeddings) {
    global("output.weight", {d, shape_.n_vocab, 1, 1}, TensorRole::output);
  }
  if (traits_.output_bias) {
    global("output.bias", {shape_.n_vocab, 1, 1, 1}, TensorRole::output);
  }
  // Frequency tables that the converter computes; they are no parameters of the model.
  const double partial = shape_.rope.partial_factor > 0 ? shape_.rope.partial_factor : 1.0;
  const std::uint64_t head = shape_.mla ? shape_.mla->qk_rope_dim : shape_.head_dim_k;
  const auto rotated = static_cast<std::uint64_t>(static_cast<double>(head) * partial) / 2;
  if (shape_.rope.scaling == "llama3" && rotated > 0) {
    global("rope_freqs.weight", {rotated, 1, 1, 1}, TensorRole::other);
  } else if (shape_.rope.scaling == "longrope" && rotated > 0) {
    global("rope_factors_long.weight", {rotated, 1, 1, 1}, TensorRole::other);
    global("rope_factors_short.weight", {rotated, 1, 1, 1}, TensorRole::other);
  } else if (shape_.rope.scaling == "proportional") {
    const std::uint32_t full_head = shape_.global_variant && shape_.global_variant->head_dim_k > 0
                                        ? shape_.global_variant->head_dim_k
                                        : shape_.head_dim_k;
    if (full_head > 1) global("rope_freqs.weight", {full_head / 2, 1, 1, 1}, TensorRole::other);
  }
}

void ListBuilder::add_norms(const LayerShape& layer) {
  const bool mixes = layer.kind != LayerKind::none;
  const bool has_ffn = layer.n_ff > 0 || layer.n_experts > 0;
  const std::uint32_t n = std::min<std::uint32_t>(shape_.norms_per_layer, 4);
  for (std::uint32_t i = 0; i < n; ++i) {
    const std::string_view name = traits_.norms[i];
    if (name.empty()) continue;
    // A block that was searched away (Deci) lacks the norm before it as well.
    if (n > 1 && !mixes && name == "attn_norm") continue;
    if (n > 1 && !has_ffn && name == "ffn_norm") continue;
    const bool before_mixing = name.starts_with("attn");
    norm(name, shape_.n_embd, before_mixing ? TensorRole::attention : TensorRole::dense_ffn);
  }
}

void ListBuilder::add_ffn(const LayerShape& layer) {
  if (layer.n_ff == 0) return;
  const std::uint64_t d = shape_.n_embd, ff = layer.n_ff;
  const TensorRole role = TensorRole::dense_ffn;
  block("ffn_down.weight", {ff, d, 1, 1}, role);
  if (shape_.fused_gate_up) {
    block("ffn_up.weight", {d, 2 * ff, 1, 1}, role);
  } else {
    if (shape_.ffn_gated) block("ffn_gate.weight", {d, ff, 1, 1}, role);
    block("ffn_up.weight", {d, ff, 1, 1}, role);
  }
  if (!shape_.mlp_bias) return;
  if (shape_.ffn_gated && !shape_.fused_gate_up) block("ffn_gate.bias", {ff, 1, 1, 1}, role);
  block("ffn_up.bias", {shape_.fused_gate_up ? 2 * ff : ff, 1, 1, 1}, role);
  block("ffn_down.bias", {d, 1, 1, 1}, role);
}

void ListBuilder::add_experts(const LayerShape& layer) {
  if (layer.n_experts == 0) return;
  const std::uint64_t d = shape_.n_embd, n = layer.n_experts, ff = shape_.n_ff_expert;
  const std::uint64_t de = shape_.expert_latent_dim > 0 ? shape_.expert_latent_dim : d;
  const TensorRole dense = TensorRole::dense_ffn, routed = TensorRole::routed_experts;
  block("ffn_down_exps.weight", {ff, de, n, 1}, routed);
  if (traits_.fused_expert_gate_up) {
    block("ffn_gate_up_exps.weight", {de, 2 * ff, n, 1}, routed);
  } else {
    if (shape_.ffn_gated) block("ffn_gate_exps.weight", {de, ff, n, 1}, routed);
    block("ffn_up_exps.weight", {de, ff, n, 1}, routed);
  }
  if (shape_.expert_bias) {
    block("ffn_down_exps.bias", {d, n, 1, 1}, routed);
    if (shape_.ffn_gated) block("ffn_gate_exps.bias", {ff, n, 1, 1}, routed);
    block("ffn_up_exps.bias", {ff, n, 1, 1}, routed);
  }
  block("ffn_gate_inp.weight", {d, n, 1, 1}, dense);
  if (shape_.router_bias) {
    block(traits_.router_bias_in_router ? "ffn_gate_inp.bias" : "exp_probs_b.bias", {n, 1, 1, 1},
          dense);
  }
  if (de != d) {
    block("ffn_latent_down.weight", {d, de, 1, 1}, dense);
    block("ffn_latent_up.weight", {de, d, 1, 1}, dense);
  }
  if (traits_.sandwiched_experts) {
    block("ffn_gate_inp.scale", {d, 1, 1, 1}, dense);
    block("ffn_down_exps.scale", {n, 1, 1, 1}, routed);
    for (std::string_view name : {"pre_ffw_norm_2", "post_ffw_norm_1", "post_ffw_norm_2"}) {
      block(std::string(name) + ".weight", {d, 1, 1, 1}, dense);
    }
  }
  const std::uint64_t shared = std::uint64_t{shape_.n_shared_experts} * shape_.n_ff_shared;
  if (shared == 0) return;
  block("ffn_down_shexp.weight", {shared, d, 1, 1}, dense);
  if (shape_.ffn_gated) block("ffn_gate_shexp.weight", {d, shared, 1, 1}, dense);
  block("ffn_up_shexp.weight", {d, shared, 1, 1}, dense);
  if (shape_.shared_expert_gate) block("ffn_gate_inp_shexp.weight", {d, 1, 1, 1}, dense);
}

void ListBuilder::add_per_layer_inputs() {
  if (shape_.per_layer_dim == 0) return;
  const std::uint64_t d = shape_.n_embd, width = shape_.per_layer_dim;
  block("inp_gate.weight", {d, width, 1, 1}, TensorRole::dense_ffn);
  block("proj.weight", {width, d, 1, 1}, TensorRole::dense_ffn);
  block("post_norm.weight", {d, 1, 1, 1}, TensorRole::dense_ffn);
}

void ListBuilder::add_altup() {
  if (shape_.altup_inputs == 0) return;
  const std::uint64_t d = shape_.n_embd, n = shape_.altup_inputs;
  const TensorRole role = TensorRole::dense_ffn;
  block("altup_correct_coef.weight", {n, n, 1, 1}, role);
  block("altup_correct_scale.weight", {d, 1, 1, 1}, role);
  block("altup_predict_coef.weight", {n, n * n, 1, 1}, role);
  block("altup_router.weight", {d, n, 1, 1}, role);
  block("altup_router_norm.weight", {d, 1, 1, 1}, role);
  if (shape_.laurel_rank == 0) return;
  block("laurel_l.weight", {d, shape_.laurel_rank, 1, 1}, role);
  block("laurel_r.weight", {shape_.laurel_rank, d, 1, 1}, role);
  block("laurel_post_norm.weight", {d, 1, 1, 1}, role);
}

void ListBuilder::add_block(const LayerShape& layer) {
  const bool is_rwkv = shape_.ssm && shape_.ssm->kind == SsmShape::Kind::rwkv7;
  add_norms(layer);
  if (layer.kind == LayerKind::mla) {
    add_latent_attention(layer);
  } else if (layer.kind != LayerKind::none && layer.kind != LayerKind::recurrent) {
    add_attention(layer);
  }
  const bool attends = layer.kind != LayerKind::none && layer.kind != LayerKind::recurrent;
  if (shape_.indexer && attends && layer_ >= shape_.indexer->first_layer) {
    add_indexer();
  }
  if (layer.has_state) add_recurrent(*shape_.ssm);
  if (!is_rwkv) {
    add_ffn(layer);
    add_experts(layer);
  }
  add_per_layer_inputs();
  add_altup();
  if (traits_.output_scale) block("layer_output_scale.weight", {1, 1, 1, 1}, TensorRole::dense_ffn);
}

/// A draft layer is one more block like the last one that attends, and what joins it to the trunk.
void ListBuilder::add_mtp_block(std::uint32_t index) {
  const auto attends = [](const LayerShape& layer) {
    return layer.kind != LayerKind::none && layer.kind != LayerKind::recurrent;
  };
  const auto last = std::find_if(layers_.rbegin(), layers_.rend(), attends);
  LayerShape layer = last != layers_.rend() ? *last : LayerShape{};
  layer.n_ff = layers_.back().n_ff;
  layer.n_experts = layers_.back().n_experts;
  layer_ = index;
  prefix_ = "blk." + std::to_string(index) + ".";
  is_mtp_ = true;
  add_block(layer);
  const std::uint64_t d = shape_.n_embd;
  block("nextn.eh_proj.weight", {2 * d, d, 1, 1}, TensorRole::mtp);
  for (std::string_view name : {"enorm", "hnorm", "shared_head_norm"}) {
    block("nextn." + std::string(name) + ".weight", {d, 1, 1, 1}, TensorRole::mtp);
  }
  is_mtp_ = false;
}

Result<std::vector<PlannedTensor>> ListBuilder::build() {
  head_and_tail_before_blocks();
  for (layer_ = 0; layer_ < layers_.size(); ++layer_) {
    prefix_ = "blk." + std::to_string(layer_) + ".";
    add_block(layers_[layer_]);
  }
  if (traits_.stores_mtp) {
    for (std::uint32_t i = 0; i < shape_.mtp_layers; ++i) add_mtp_block(shape_.n_layers + i);
  }
  after_blocks();
  if (!missing_.empty()) {
    return Error{"model.range", "the shape gives no size for " + missing_, shape_.architecture,
                 "the record lacks a dimension of this architecture"};
  }
  std::uint64_t total = 0;
  for (const PlannedTensor& tensor : tensors_) {
    if (!checked_add(total, tensor.info.bytes, &total)) overflow_ = true;
  }
  if (overflow_ || total > (1ull << 63)) {
    return Error{"model.overflow", "the weights exceed 2^63 bytes", shape_.architecture, {}};
  }
  return std::move(tensors_);
}

Result<std::vector<PlannedTensor>> tensor_list(const ModelShape& shape) {
  if (auto ok = check_range(shape); !ok) return ok.error();
  const TensorTraits* traits = find_tensor_traits(shape.architecture);
  if (traits == nullptr) {
    return Error{"model.unknown_architecture",
                 "no tensor layout is known for architecture '" + shape.architecture + "'",
                 {},
                 "a file of this model shows its sizes: use it instead of the shape"};
  }
  if (traits->needs_layer_pattern && shape.layer_pattern.empty()) {
    return Error{"model.range", "the shape does not say which layers attend", shape.architecture,
                 "the record lacks the layer pattern of this architecture"};
  }
  return ListBuilder(shape, *traits).build();
}

Result<std::vector<PlannedTensor>> plain_tensor_list(const ModelShape& shape) {
  if (auto ok = check_range(shape); !ok) return ok.error();
  const TensorTraits* traits = find_tensor_traits(shape.architecture);
  return ListBuilder(shape, traits != nullptr ? *traits : plain_tensor_traits()).build();
}

}  // namespace hwdb
