// SPDX-License-Identifier: MIT
#include "engine/model/weight_finder.h"

#include <fmt/format.h>

#include <array>
#include <cstdlib>
#include <tuple>
#include <unordered_set>
#include <utility>

#include "hwdb/text_escape.h"

namespace engine {
namespace {

using hwdb::Error;
using hwdb::LayerShape;
using hwdb::TensorInfo;

class Finder {
 public:
  Finder(const hwdb::ModelFile& file, const ModelParams& params, ModelWeights* weights)
      : shape_(file.shape), params_(params), weights_(weights) {
    for (const TensorInfo& tensor : file.tensors) by_name_.emplace(tensor.name, &tensor);
  }

  hwdb::Result<WeightList> find() {
    const std::uint64_t d = shape_.n_embd;
    list_.token_embedding = need("token_embd.weight", {d, shape_.n_vocab});
    if (shape_.learned_positions > 0) {
      list_.position_embedding = need("position_embd.weight", {d, shape_.learned_positions});
    }
    weights_->layers.resize(shape_.n_layers);
    for (std::uint32_t i = 0; i < shape_.n_layers; ++i) {
      prefix_ = fmt::format("blk.{}.", i);
      find_layer(params_.layers[i], &weights_->layers[i]);
    }
    prefix_.clear();
    norm("output_norm", d, &weights_->output_norm);
    const bool own = has("output.weight");
    matrix(own ? "output.weight" : "token_embd.weight", d, shape_.n_vocab, &weights_->output);
    bias("output", shape_.n_vocab, &weights_->output);
    refuse_unused();
    if (error_) return *error_;
    return std::move(list_);
  }

 private:
  bool has(std::string_view name) const { return by_name_.contains(prefix_ + std::string(name)); }

  /// The tensor of that name; remembers an error when it is missing or has other dimensions.
  const TensorInfo* need(std::string_view name, std::array<std::uint64_t, 3> ne) {
    for (std::uint64_t& n : ne) n = n == 0 ? 1 : n;
    const std::string full = prefix_ + std::string(name);
    const auto it = by_name_.find(full);
    if (it == by_name_.end()) {
      fail(full, "is missing");
      return nullptr;
    }
    const TensorInfo* tensor = it->second;
    used_.insert(tensor);
    if (tensor->ne[0] != ne[0] || tensor->ne[1] != ne[1] || tensor->ne[2] != ne[2] ||
        tensor->ne[3] != 1) {
      fail(full, fmt::format("is {} x {} x {}, the keys say {} x {} x {}", tensor->ne[0],
                             tensor->ne[1], tensor->ne[2], ne[0], ne[1], ne[2]));
      return nullptr;
    }
    return tensor;
  }

  /// A tensor of a layer that nothing reads means a variant of the architecture that we do not
  /// know: better no answer than a wrong one. Tables of frequencies are made anew; draft layers are
  /// not run.
  void refuse_unused() {
    for (const auto& [name, tensor] : by_name_) {
      const bool in_layer = name.starts_with("blk.");
      if (!in_layer || used_.contains(tensor) || name.find("rope_") != std::string::npos ||
          name.find("attn_rot_embd") != std::string::npos) {
        continue;
      }
      if (std::strtoull(name.c_str() + 4, nullptr, 10) >= shape_.n_layers) continue;
      fail(name,
           "is not read by the engine: this is a variant of the architecture that it does not "
           "know");
    }
  }

  void fail(const std::string& name, std::string what) {
    if (error_) return;
    error_ = Error{"run.tensor", fmt::format("tensor {} {}", hwdb::escape_text(name), what),
                   shape_.architecture, "`tokwatt inspect` shows the file's tensors"};
  }

  void matrix(std::string_view name, std::uint64_t n_cols, std::uint64_t n_rows, Matrix* target,
              std::uint64_t n_matrices = 1) {
    if (const TensorInfo* tensor = need(name, {n_cols, n_rows, n_matrices})) {
      part(tensor, 0, n_rows, target);
    }
  }

  void part(const TensorInfo* tensor, std::uint64_t first_row, std::uint64_t n_rows,
            Matrix* target) {
    list_.matrices.push_back({tensor, static_cast<std::uint32_t>(first_row),
                              static_cast<std::uint32_t>(n_rows),
                              static_cast<std::uint32_t>(tensor->ne[0]),
                              static_cast<std::uint32_t>(tensor->ne[2]), target});
  }

  void floats(std::string_view name, std::uint64_t n, const float** target,
              std::uint64_t n_rows = 1) {
    if (const TensorInfo* tensor = need(name, {n, n_rows, 1})) {
      list_.vectors.push_back({tensor, 0, n * n_rows, target});
    }
  }
  void floats_if_there(std::string_view name, std::uint64_t n, const float** target,
                       std::uint64_t n_rows = 1) {
    if (has(name)) floats(name, n, target, n_rows);
  }

  void bias(std::string_view name, std::uint64_t n, Matrix* target, std::uint64_t n_rows = 1) {
    floats_if_there(fmt::format("{}.bias", name), n, &target->bias, n_rows);
  }

  void norm(std::string_view name, std::uint64_t n, Norm* target, std::uint64_t n_rows = 1) {
    if (params_.traits->norms_without_weights) {
      target->without_weight = true;
      return;
    }
    floats(fmt::format("{}.weight", name), n, &target->weight, n_rows);
    floats_if_there(fmt::format("{}.bias", name), n, &target->bias, n_rows);
  }
  void norm_if_there(std::string_view name, std::uint64_t n, Norm* target) {
    if (name.empty()) return;
    const bool there = has(fmt::format("{}.weight", name));
    if (there || params_.traits->norms_without_weights) norm(name, n, target);
  }

  void find_layer(const LayerShape& layer, LayerWeights* w) {
    const RunTraits& traits = *params_.traits;
    const std::uint64_t d = shape_.n_embd;
    // A parallel FFN may share its norm with attention.
    const bool shared =
        params_.parallel_ffn && !has(fmt::format("{}.weight", traits.norm_before_attention));
    norm_if_there(shared ? traits.norm_before_ffn : traits.norm_before_attention, d,
                  &w->before_attention);
    norm_if_there(traits.norm_after_attention, d, &w->after_attention);
    if (!shared) norm_if_there(traits.norm_before_ffn, d, &w->before_ffn);
    norm_if_there(traits.norm_after_ffn, d, &w->after_ffn);
    if (layer.kind == hwdb::LayerKind::mla) {
      find_latent_attention(layer, w);
    } else if (layer.kind != hwdb::LayerKind::none) {
      find_attention(layer, w);
    } else if (has("attn_output.weight")) {
      fail(prefix_ + "attn_output.weight", "mixes nothing, which the engine does not run");
    }
    if (layer.n_experts > 0) {
      find_experts(layer, w);
    } else if (layer.n_ff > 0) {
      find_ffn(layer, w);
    }
  }

  void find_attention(const LayerShape& layer, LayerWeights* w) {
    const std::uint64_t d = shape_.n_embd;
    const std::uint64_t q = std::uint64_t{layer.n_heads} * layer.head_dim_k,
                        k = std::uint64_t{layer.n_kv_heads} * layer.head_dim_k,
                        v = std::uint64_t{layer.n_kv_heads} * layer.head_dim_v;
    if (has("attn_qkv.weight")) {
      find_fused_qkv(q, k, v, w);
    } else {
      matrix("attn_q.weight", d, q, &w->q);
      matrix("attn_k.weight", d, k, &w->k);
      matrix("attn_v.weight", d, v, &w->v);
    }
    bias("attn_q", q, &w->q);
    bias("attn_k", k, &w->k);
    bias("attn_v", v, &w->v);
    const std::uint64_t out = std::uint64_t{layer.n_heads} * layer.head_dim_v;
    matrix("attn_output.weight", out, d, &w->attn_output);
    bias("attn_output", d, &w->attn_output);
    if (has("attn_q_norm.weight")) find_qk_norms(layer, w);
    floats_if_there("attn_sinks.weight", layer.n_heads, &w->sinks);
  }

  void find_qk_norms(const LayerShape& layer, LayerWeights* w) {
    using QkNorm = hwdb::ModelShape::QkNorm;
    w->qk_norm = shape_.qk_norm;
    for (const auto& [name, n_heads, target] :
         {std::tuple{"attn_q_norm", layer.n_heads, &w->q_norm},
          std::tuple{"attn_k_norm", layer.n_kv_heads, &w->k_norm}}) {
      const std::uint64_t head = layer.head_dim_k;
      norm(name, w->qk_norm == QkNorm::full_width ? n_heads * head : head, target,
           w->qk_norm == QkNorm::per_head ? n_heads : 1);
    }
  }

  void find_fused_qkv(std::uint64_t q, std::uint64_t k, std::uint64_t v, LayerWeights* w) {
    const TensorInfo* tensor = need("attn_qkv.weight", {shape_.n_embd, q + k + v});
    if (tensor == nullptr) return;
    part(tensor, 0, q, &w->q);
    part(tensor, q, k, &w->k);
    part(tensor, q + k, v, &w->v);
    if (!has("attn_qkv.bias")) return;
    const TensorInfo* biases = need("attn_qkv.bias", {q + k + v});
    if (biases == nullptr) return;
    list_.vectors.push_back({biases, 0, q, &w->q.bias});
    list_.vectors.push_back({biases, q, k, &w->k.bias});
    list_.vectors.push_back({biases, q + k, v, &w->v.bias});
  }

  void find_latent_attention(const LayerShape& layer, LayerWeights* w) {
    const hwdb::MlaShape& mla = *shape_.mla;
    const std::uint64_t d = shape_.n_embd, latent = mla.kv_lora_rank;
    const std::uint64_t head = std::uint64_t{mla.qk_nope_dim} + mla.qk_rope_dim;
    const std::uint64_t q = layer.n_heads * head, v = mla.v_head_dim;
    if (has("attn_q_a.weight")) {
      matrix("attn_q_a.weight", d, mla.q_lora_rank, &w->q_a);
      norm("attn_q_a_norm", mla.q_lora_rank, &w->q_a_norm);
      matrix("attn_q_b.weight", mla.q_lora_rank, q, &w->q_b);
    } else {
      matrix("attn_q.weight", d, q, &w->q);
    }
    matrix("attn_kv_a_mqa.weight", d, latent + mla.qk_rope_dim, &w->kv_a);
    norm("attn_kv_a_norm", latent, &w->kv_a_norm);
    if (mla.split_kv_b) {
      matrix("attn_k_b.weight", mla.qk_nope_dim, latent, &w->k_b, layer.n_heads);
      matrix("attn_v_b.weight", latent, v, &w->v_b, layer.n_heads);
    } else {
      matrix("attn_kv_b.weight", latent, layer.n_heads * (mla.qk_nope_dim + v), &w->kv_b);
    }
    matrix("attn_output.weight", layer.n_heads * v, d, &w->attn_output);
  }

  void find_ffn(const LayerShape& layer, LayerWeights* w) {
    const std::uint64_t d = shape_.n_embd, ff = layer.n_ff;
    if (shape_.fused_gate_up) {
      if (const TensorInfo* both = need("ffn_up.weight", {d, 2 * ff})) {
        part(both, 0, ff, &w->gate);
        part(both, ff, ff, &w->up);
      }
    } else {
      if (shape_.ffn_gated) matrix("ffn_gate.weight", d, ff, &w->gate);
      matrix("ffn_up.weight", d, ff, &w->up);
      bias("ffn_gate", ff, &w->gate);
      bias("ffn_up", ff, &w->up);
    }
    matrix("ffn_down.weight", ff, d, &w->down);
    bias("ffn_down", d, &w->down);
  }

  void find_experts(const LayerShape& layer, LayerWeights* w) {
    const std::uint64_t d = shape_.n_embd, n = layer.n_experts, ff = shape_.n_ff_expert;
    matrix("ffn_gate_inp.weight", d, n, &w->router);
    bias("ffn_gate_inp", n, &w->router);
    floats_if_there("exp_probs_b.bias", n, &w->router_selection_bias);
    if (has("ffn_gate_up_exps.weight")) {
      if (const TensorInfo* both = need("ffn_gate_up_exps.weight", {d, 2 * ff, n})) {
        part(both, 0, ff, &w->expert_gate);
        part(both, ff, ff, &w->expert_up);
      }
    } else {
      if (shape_.ffn_gated) matrix("ffn_gate_exps.weight", d, ff, &w->expert_gate, n);
      matrix("ffn_up_exps.weight", d, ff, &w->expert_up, n);
      bias("ffn_gate_exps", ff, &w->expert_gate, n);
      bias("ffn_up_exps", ff, &w->expert_up, n);
    }
    matrix("ffn_down_exps.weight", ff, d, &w->expert_down, n);
    bias("ffn_down_exps", d, &w->expert_down, n);
    const std::uint64_t shared = std::uint64_t{shape_.n_shared_experts} * shape_.n_ff_shared;
    if (shared == 0) return;
    if (shape_.ffn_gated) matrix("ffn_gate_shexp.weight", d, shared, &w->shared_gate);
    matrix("ffn_up_shexp.weight", d, shared, &w->shared_up);
    matrix("ffn_down_shexp.weight", shared, d, &w->shared_down);
    if (has("ffn_gate_inp_shexp.weight")) {
      matrix("ffn_gate_inp_shexp.weight", d, 1, &w->shared_router);
    }
  }

  const hwdb::ModelShape& shape_;
  const ModelParams& params_;
  ModelWeights* weights_;
  std::unordered_map<std::string, const TensorInfo*> by_name_;
  std::unordered_set<const TensorInfo*> used_;
  std::string prefix_;
  WeightList list_;
  std::optional<Error> error_;
};

}  // namespace

hwdb::Result<WeightList> find_weights(const hwdb::ModelFile& file, const ModelParams& params,
                                      ModelWeights* weights) {
  return Finder(file, params, weights).find();
}

}  // namespace engine
