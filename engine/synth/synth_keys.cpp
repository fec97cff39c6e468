// SPDX-License-Identifier: MIT
#include "engine/synth/synth_keys.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "hwdb/architecture.h"
#include "hwdb/catalog.h"
#include "hwdb/tensor_traits.h"

namespace engine {
namespace {

using hwdb::GgufKeys;
using hwdb::ModelShape;
using hwdb::PerLayer;
using Kind = hwdb::SsmShape::Kind;

class KeyWriter {
 public:
  KeyWriter(const ModelShape& shape, const SynthTraits& traits, GgufKeys* keys)
      : shape_(shape), traits_(traits), keys_(*keys), layers_(hwdb::layers_of(shape)) {}

  void write() {
    sizes();
    attention();
    windows();
    experts();
    rope();
    recurrent();
    habits();
  }

 private:
  template <class T>
  void add(std::string_view suffix, T value) {
    const std::string key = shape_.architecture + "." + std::string(suffix);
    if (!keys_.has(key)) keys_.add(key, value);
  }
  void number(std::string_view suffix, std::uint64_t value) {
    add(suffix, static_cast<std::uint32_t>(value));
  }
  void real(std::string_view suffix, double value) { add(suffix, static_cast<float>(value)); }
  void nonzero(std::string_view suffix, double value) {
    if (value != 0) real(suffix, value);
  }
  void list(std::string_view suffix, const std::vector<std::uint32_t>& values) {
    const std::string key = shape_.architecture + "." + std::string(suffix);
    const std::vector<std::int32_t> numbers(values.begin(), values.end());
    if (!keys_.has(key)) keys_.add_array<std::int32_t>(key, numbers);
  }
  /// One number where all layers have the same.
  void per_layer(std::string_view suffix, const std::vector<std::uint32_t>& values) {
    if (std::ranges::count(values, values.front()) == std::ssize(values)) {
      number(suffix, values.front());
    } else {
      list(suffix, values);
    }
  }
  template <class Of>
  std::vector<std::uint32_t> of_layers(Of&& of) const {
    std::vector<std::uint32_t> values;
    for (std::uint32_t i = 0; i < layers_.size(); ++i) values.push_back(of(i));
    return values;
  }

  void sizes() {
    number("block_count", shape_.n_layers);
    number("context_length", std::min<std::uint64_t>(shape_.n_ctx_train.value_or(4096), ~0u));
    number("embedding_length", shape_.n_embd);
    number("vocab_size", shape_.n_vocab);
    auto widths = of_layers([&](std::uint32_t i) { return shape_.n_ff.at(i); });
    // Without a key of their own, experts have this width.
    if (std::ranges::count(widths, 0u) == std::ssize(widths) && shape_.n_ff_expert > 0) {
      std::ranges::fill(widths, shape_.n_ff_expert);
    }
    per_layer("feed_forward_length", widths);
    if (shape_.per_layer_dim > 0) number("embedding_length_per_layer_input", shape_.per_layer_dim);
    if (shape_.altup_inputs > 0) {
      number("altup.num_inputs", shape_.altup_inputs);
      number("altup.active_idx", 0);
    }
  }

  void attention() {
    if (shape_.n_heads.empty()) return;
    const hwdb::TensorTraits* tensors = hwdb::find_tensor_traits(shape_.architecture);
    const bool zero_if_recurrent = tensors != nullptr && tensors->zero_kv_heads_if_recurrent;
    const auto attends = [&](std::uint32_t i) {
      return layers_[i].kind != hwdb::LayerKind::recurrent &&
             layers_[i].kind != hwdb::LayerKind::none;
    };
    per_layer("attention.head_count", of_layers([&](std::uint32_t i) {
                return attends(i) ? layers_[i].n_heads : shape_.n_heads.at(i);
              }));
    if (shape_.mla) {
      // A latent is one key head for all.
      const hwdb::MlaShape& mla = *shape_.mla;
      number("attention.head_count_kv", 1);
      number("attention.key_length", std::uint64_t{mla.kv_lora_rank} + mla.qk_rope_dim);
      number("attention.value_length", mla.kv_lora_rank);
      number("attention.key_length_mla", std::uint64_t{mla.qk_nope_dim} + mla.qk_rope_dim);
      number("attention.value_length_mla", mla.v_head_dim);
      number("attention.kv_lora_rank", mla.kv_lora_rank);
      // llama.cpp wants this key of any model that it does not know as a small one.
      number("attention.q_lora_rank", mla.q_lora_rank);
    } else {
      per_layer("attention.head_count_kv", of_layers([&](std::uint32_t i) -> std::uint32_t {
                  if (attends(i)) return layers_[i].n_kv_heads;
                  return zero_if_recurrent || shape_.n_kv_heads.empty() ? 0
                                                                        : shape_.n_kv_heads.at(i);
                }));
      const bool two_sizes = shape_.global_variant && shape_.global_variant->head_dim_k > 0;
      if (two_sizes) {
        number("attention.key_length", shape_.global_variant->head_dim_k);
        number("attention.value_length", shape_.global_variant->head_dim_v > 0
                                             ? shape_.global_variant->head_dim_v
                                             : shape_.global_variant->head_dim_k);
        number("attention.key_length_swa", shape_.head_dim_k);
        number("attention.value_length_swa", shape_.head_dim_v);
      } else {
        number("attention.key_length", shape_.head_dim_k);
        number("attention.value_length", shape_.head_dim_v);
      }
    }
    if (shape_.kv_shared_layers > 0) number("attention.shared_kv_layers", shape_.kv_shared_layers);
  }

  void windows() {
    const std::uint32_t window =
        shape_.sliding_window > 0 ? shape_.sliding_window : shape_.chunked_attention;
    if (window == 0) return;
    number("attention.sliding_window", window);
    if (shape_.llama_cpp_ignores_window) return;
    std::vector<bool> sliding(shape_.n_layers, true), by_habit(shape_.n_layers, false);
    for (const std::uint32_t layer : shape_.global_layers) sliding[layer] = false;
    const hwdb::ArchitectureTraits* traits = hwdb::find_architecture(shape_.architecture);
    const std::uint32_t period = traits != nullptr ? traits->swa_period : 0;
    for (std::uint32_t i = 0; i < shape_.n_layers && period > 0; ++i) {
      by_habit[i] = traits->swa_period_dense_first ? i % period != 0 : i % period < period - 1;
    }
    const std::string key = shape_.architecture + ".attention.sliding_window_pattern";
    if (sliding != by_habit && !keys_.has(key)) keys_.add_array(key, sliding);
  }

  void experts() {
    if (shape_.n_experts == 0) return;
    number("expert_count", shape_.n_experts);
    number("expert_used_count", shape_.n_experts_used);
    if (traits_.expert_width_key) number("expert_feed_forward_length", shape_.n_ff_expert);
    const std::uint64_t shared = std::uint64_t{shape_.n_shared_experts} * shape_.n_ff_shared;
    if (shape_.mla || shape_.first_dense_layers > 0) {
      number("leading_dense_block_count", shape_.first_dense_layers);
      number("expert_shared_count", shape_.n_shared_experts);
    } else if (shared > 0) {
      number("expert_shared_feed_forward_length", shared);
    }
    if (shape_.moe_layer_step > 1 || shape_.architecture == "llama4") {
      number("interleave_moe_layer_step", shape_.moe_layer_step);
    }
    if (traits_.gating > 0) number("expert_gating_func", traits_.gating);
    nonzero("expert_weights_scale", traits_.expert_scale);
    if (traits_.expert_weights_norm) add("expert_weights_norm", true);
  }

  void rope() {
    const hwdb::RopeShape& rope = shape_.rope;
    if (shape_.n_heads.empty() || shape_.learned_positions > 0 || shape_.alibi) return;
    double rotated = shape_.head_dim_k;
    if (shape_.mla) {
      rotated = shape_.mla->qk_rope_dim;
    } else if (rope.partial_factor > 0) {
      rotated = std::round(rotated * rope.partial_factor);
    }
    number("rope.dimension_count", static_cast<std::uint64_t>(rotated));
    if (rope.freq_base > 0) real("rope.freq_base", rope.freq_base);
    if (rope.freq_base_swa > 0) real("rope.freq_base_swa", rope.freq_base_swa);
    // llama3 and proportional scaling are written as a table of factors and have no key.
    const bool has_key =
        rope.scaling == "linear" || rope.scaling == "yarn" || rope.scaling == "longrope";
    if (has_key) add("rope.scaling.type", std::string_view(rope.scaling));
    if (has_key && rope.factor > 0 && rope.scaling != "longrope") {
      real("rope.scaling.factor", rope.factor);
    }
    if (has_key && rope.original_context > 0) {
      number("rope.scaling.original_context_length", rope.original_context);
    }
    if (rope.scaling == "longrope" && rope.original_context > 1) {
      const double stretch = static_cast<double>(shape_.n_ctx_train.value_or(0)) /
                             static_cast<double>(rope.original_context);
      const double base = std::log(static_cast<double>(rope.original_context));
      real("rope.scaling.attn_factor", stretch > 1 ? std::sqrt(1 + std::log(stretch) / base) : 1.0);
    }
    if (rope.scaling == "yarn") {
      nonzero("rope.scaling.yarn_log_multiplier", traits_.yarn_log_multiplier);
    }
    if (rope.scaling == "yarn") nonzero("attention.temperature_scale", traits_.temperature_scale);
  }

  void recurrent() {
    if (!shape_.ssm) return;
    const hwdb::SsmShape& ssm = *shape_.ssm;
    switch (ssm.kind) {
      case Kind::short_conv:
        return number("shortconv.l_cache", ssm.d_conv);
      case Kind::rwkv5:
      case Kind::rwkv7:
        return number("wkv.head_size", ssm.head_dim);
      case Kind::kda:
        number("ssm.conv_kernel", ssm.d_conv);
        return number("kda.head_dim", ssm.head_dim);
      case Kind::gated_deltanet:
        number("ssm.conv_kernel", ssm.d_conv);
        number("ssm.state_size", ssm.head_k);
        number("ssm.group_count", ssm.n_k_heads);
        number("ssm.time_step_rank", ssm.n_v_heads);
        return number("ssm.inner_size", std::uint64_t{ssm.n_v_heads} * ssm.head_v);
      case Kind::mamba1:
      case Kind::mamba2:
      case Kind::lightning_attention:
        number("ssm.conv_kernel", ssm.d_conv);
        number("ssm.inner_size", ssm.d_inner);
        number("ssm.state_size", ssm.d_state);
        number("ssm.time_step_rank", ssm.kind == Kind::mamba1 ? ssm.dt_rank : ssm.n_heads);
        if (ssm.n_groups > 0) number("ssm.group_count", ssm.n_groups);
        return;
    }
  }

  void habits() {
    const bool layernorm = shape_.norm == ModelShape::Norm::layernorm || traits_.layernorm_eps;
    real(layernorm ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon",
         traits_.norm_eps);
    nonzero("attn_logit_softcapping", traits_.attention_softcap);
    nonzero("final_logit_softcapping", traits_.final_softcap);
    nonzero("logit_scale", traits_.logit_scale);
    nonzero("residual_scale", traits_.residual_scale);
    nonzero("embedding_scale", traits_.embedding_scale);
    nonzero("attention.scale", traits_.attention_scale);
  }

  const ModelShape& shape_;
  const SynthTraits& traits_;
  GgufKeys& keys_;
  std::vector<hwdb::LayerShape> layers_;
};

}  // namespace

void add_shape_keys(const ModelShape& shape, const SynthTraits& traits, GgufKeys* keys) {
  KeyWriter(shape, traits, keys).write();
}

std::optional<std::uint32_t> file_type_of(std::string_view preset) {
  const auto row = hwdb::Catalog::builtin().find_preset(preset);
  return row ? (*row)->ftype_id : std::nullopt;
}

}  // namespace engine
