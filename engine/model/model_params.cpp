// SPDX-License-Identifier: MIT
#include "engine/model/model_params.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>
#include <string>
#include <utility>

namespace engine {
namespace {

using hwdb::Error;
using hwdb::Result;

/// The values of llama.cpp's keys for the gating function.
enum class GatingKey : std::uint64_t { none = 0, softmax = 1, sigmoid = 2, softmax_of_chosen = 3 };

/// Reads keys below the architecture's name and remembers the first error.
class KeyReader {
 public:
  KeyReader(const hwdb::GgufFile& gguf, std::string prefix)
      : gguf_(gguf), prefix_(std::move(prefix) + ".") {}

  std::optional<double> number(std::string_view suffix) {
    return keep(gguf_.number(prefix_ + std::string(suffix)), suffix);
  }
  std::optional<std::uint64_t> integer(std::string_view suffix) {
    auto value = gguf_.integer(prefix_ + std::string(suffix));
    if (!value) {
      if (!error_) error_ = value.error();
      return std::nullopt;
    }
    return *value;
  }
  std::optional<bool> boolean(std::string_view suffix) {
    auto value = gguf_.boolean(prefix_ + std::string(suffix));
    if (!value) {
      if (!error_) error_ = value.error();
      return std::nullopt;
    }
    return *value;
  }
  double number_or(std::string_view suffix, double other) { return number(suffix).value_or(other); }
  /// Like number, but zero means absent.
  std::optional<double> nonzero(std::string_view suffix) {
    const auto value = number(suffix);
    return value && *value != 0 ? value : std::nullopt;
  }
  void fail(std::string_view code, std::string_view suffix, std::string what) {
    if (!error_) error_ = gguf_.key_error(code, prefix_ + std::string(suffix), std::move(what));
  }
  const std::optional<Error>& error() const { return error_; }

 private:
  std::optional<double> keep(Result<std::optional<double>> value, std::string_view suffix) {
    if (!value) {
      if (!error_) error_ = value.error();
      return std::nullopt;
    }
    if (*value && !std::isfinite(**value)) {
      fail("model.range", suffix, "is not a finite number");
      return std::nullopt;
    }
    return *value;
  }

  const hwdb::GgufFile& gguf_;
  std::string prefix_;
  std::optional<Error> error_;
};

/// 1 + 0.1 m ln(factor): how YaRN sharpens attention when positions are stretched.
double yarn_sharpening(double factor, double m) {
  return factor <= 1 ? 1.0 : 1.0 + 0.1 * m * std::log(factor);
}

/// The scaling of the full layers, and what it does to the scale of scores.
struct ScalingReading {
  RopeScaling scaling;
  double score_factor = 1;
};

ScalingReading read_scaling(KeyReader& keys, const hwdb::ModelShape& shape,
                            const RunTraits& traits) {
  ScalingReading reading;
  RopeScaling& s = reading.scaling;
  s.freq_base = shape.rope.freq_base > 0 ? shape.rope.freq_base : 10000;
  if (const double alpha = keys.number_or("rope.scaling.alpha", 0); alpha > 0) {
    const double width = shape.head_dim_k;
    s.freq_base *= std::pow(alpha, width / std::max(width - 2, 1.0));
  }
  s.factor = shape.rope.factor > 0 ? shape.rope.factor : 1;
  s.original_context =
      shape.rope.original_context > 0 ? shape.rope.original_context : shape.n_ctx_train.value_or(0);
  s.yarn = shape.rope.scaling == "yarn";
  s.beta_fast = keys.number_or("rope.scaling.yarn_beta_fast", s.beta_fast);
  s.beta_slow = keys.number_or("rope.scaling.yarn_beta_slow", s.beta_slow);
  const double extrapolation = keys.number_or("rope.scaling.yarn_ext_factor", -1);
  if (extrapolation >= 0) s.extrapolation = extrapolation;
  s.magnitude = keys.number_or("rope.scaling.attn_factor", 1);
  if (!s.yarn) return reading;
  // The rotation takes the ratio of sharpenings for 1 (or, with latent attention, for the
  // multiplier m itself) and for m; with latent attention the scores take m.
  const double m = keys.number_or("rope.scaling.yarn_log_multiplier", 0) *
                   (traits.yarn_multiplier_in_tenths ? 10 : 1);
  if (m != 0) {
    const double own = shape.mla && m != 1 ? m : 1;
    s.magnitude *= yarn_sharpening(s.factor, own) / yarn_sharpening(s.factor, m);
  } else {
    s.magnitude *= yarn_sharpening(s.factor, 1);
  }
  if (shape.mla) {
    const double sharpened = s.magnitude * yarn_sharpening(s.factor, m);
    reading.score_factor = sharpened * sharpened;
  }
  return reading;
}

std::uint32_t rotated_width(const hwdb::ModelShape& shape) {
  if (shape.mla) return shape.mla->qk_rope_dim;
  if (shape.rope.partial_factor <= 0) return shape.head_dim_k;
  return static_cast<std::uint32_t>(std::lround(shape.head_dim_k * shape.rope.partial_factor));
}

void read_ropes(KeyReader& keys, const hwdb::ModelShape& shape, const RopeFactors& factors,
                ModelParams* params) {
  const ScalingReading reading = read_scaling(keys, shape, *params->traits);
  params->attention_scale *= static_cast<float>(reading.score_factor);
  if (params->traits->no_rope) return;
  const std::uint32_t n = rotated_width(shape);
  if (n % 2 != 0) return keys.fail("model.range", "rope.dimension_count", "is odd");
  for (const auto* list : {&factors.freqs, &factors.long_factors, &factors.short_factors}) {
    if (!list->empty() && list->size() < n / 2) {
      return keys.fail("model.inconsistent", "rope.dimension_count",
                       fmt::format("needs {} rope factors, the file has {}", n / 2, list->size()));
    }
  }
  RopeScaling full = reading.scaling;
  full.factors = !factors.freqs.empty() ? factors.freqs : factors.short_factors;
  params->rope = make_rope_frequencies(full, n);
  if (factors.freqs.empty() && !factors.long_factors.empty()) {
    RopeScaling stretched = reading.scaling;
    stretched.factors = factors.long_factors;
    params->rope_long = make_rope_frequencies(stretched, n);
    params->rope_long_from = reading.scaling.original_context;
  }
  if (params->traits->sliding_rope_unscaled) {
    RopeScaling sliding = reading.scaling;
    sliding.factor = 1;
    sliding.magnitude = 1;
    sliding.yarn = false;
    const float other = params->traits->default_sliding_rope_base;
    if (shape.rope.freq_base_swa > 0) {
      sliding.freq_base = shape.rope.freq_base_swa;
    } else if (other > 0) {
      sliding.freq_base = static_cast<double>(other);
    }
    params->rope_sliding = make_rope_frequencies(sliding, n);
  } else if (shape.rope.freq_base_swa > 0 && shape.rope.freq_base_swa != shape.rope.freq_base) {
    RopeScaling sliding = full;
    sliding.freq_base = shape.rope.freq_base_swa;
    params->rope_sliding = make_rope_frequencies(sliding, n);
  } else {
    params->rope_sliding = params->rope;
  }
}

void read_router(KeyReader& keys, ModelParams* params) {
  params->router = params->traits->router;
  if (const auto gating = keys.integer("expert_gating_func")) {
    switch (static_cast<GatingKey>(*gating)) {
      case GatingKey::none:
        break;
      case GatingKey::softmax:
        params->router = RunTraits::Router::softmax;
        break;
      case GatingKey::sigmoid:
        params->router = RunTraits::Router::sigmoid;
        break;
      case GatingKey::softmax_of_chosen:
        params->router = RunTraits::Router::softmax_of_chosen;
        break;
      default:
        keys.fail("run.architecture", "expert_gating_func",
                  fmt::format("is {}, a gating function that the engine does not have", *gating));
    }
  }
  params->normalize_chosen =
      keys.boolean("expert_weights_norm").value_or(params->traits->normalize_chosen);
  params->expert_weights_scale =
      static_cast<float>(keys.nonzero("expert_weights_scale").value_or(1));
  const auto groups = keys.integer("expert_group_count").value_or(0);
  const auto used = keys.integer("expert_group_used_count").value_or(0);
  if (groups > 1) {
    params->n_expert_groups = static_cast<std::uint32_t>(groups);
    params->n_expert_groups_used = static_cast<std::uint32_t>(used);
  }
}

void check_groups(KeyReader& keys, const hwdb::ModelShape& shape, const ModelParams& params) {
  if (params.n_expert_groups == 0) return;
  if (shape.n_experts % params.n_expert_groups != 0 || params.n_expert_groups_used == 0 ||
      params.n_expert_groups_used > params.n_expert_groups) {
    return keys.fail("model.range", "expert_group_count",
                     fmt::format("is {} ({} used) for {} experts", params.n_expert_groups,
                                 params.n_expert_groups_used, shape.n_experts));
  }
  const std::uint64_t reachable =
      std::uint64_t{shape.n_experts} / params.n_expert_groups * params.n_expert_groups_used;
  if (reachable < shape.n_experts_used) {
    keys.fail("model.range", "expert_group_used_count",
              fmt::format("leaves {} experts, {} are used", reachable, shape.n_experts_used));
  }
}

void read_temperature(KeyReader& keys, const hwdb::ModelShape& shape, ModelParams* params) {
  const auto scale = keys.nonzero("attention.temperature_scale");
  if (!scale) return;
  const std::uint64_t step = keys.integer("attention.temperature_length").value_or(0);
  const std::uint64_t original =
      shape.rope.original_context > 0 ? shape.rope.original_context : shape.n_ctx_train.value_or(0);
  params->temperature_scale = static_cast<float>(*scale);
  params->temperature_step = static_cast<std::uint32_t>(
      std::clamp<std::uint64_t>(step > 0 ? step : original, 1, ~std::uint32_t{0}));
}

bool is_layer_norm(const hwdb::ModelShape& shape, const RunTraits& traits) {
  switch (traits.norm) {
    case RunTraits::NormKind::layer:
      return true;
    case RunTraits::NormKind::root_mean_square:
      return false;
    case RunTraits::NormKind::as_file:
      break;
  }
  return shape.norm == hwdb::ModelShape::Norm::layernorm;
}

float attention_scale_of(KeyReader& keys, const hwdb::ModelShape& shape, const RunTraits& traits) {
  if (const auto given = keys.nonzero("attention.scale")) return static_cast<float>(*given);
  double width = shape.mla ? shape.mla->qk_nope_dim + shape.mla->qk_rope_dim : shape.head_dim_k;
  if (traits.layers_with_wide_scale > 0 && shape.n_layers == traits.layers_with_wide_scale) {
    width = shape.n_embd / std::max(1u, shape.n_heads.at(0));
  }
  return static_cast<float>(1.0 / std::sqrt(width));
}

}  // namespace

RopeFrequencies make_rope_frequencies(const RopeScaling& scaling, std::uint32_t n_rotated) {
  RopeFrequencies table;
  table.n_rotated = n_rotated;
  table.magnitude = static_cast<float>(scaling.magnitude);
  const double n = n_rotated;
  // The pair at which a whole context makes `turns` turns.
  const auto pair_of_turns = [&](double turns) {
    return n *
           std::log(static_cast<double>(scaling.original_context) /
                    (turns * 2 * std::numbers::pi)) /
           (2 * std::log(scaling.freq_base));
  };
  double low = 0, high = 0;
  if (scaling.yarn) {
    low = std::max(0.0, std::floor(pair_of_turns(scaling.beta_fast)));
    high = std::min(n - 1, std::ceil(pair_of_turns(scaling.beta_slow)));
  }
  for (std::uint32_t i = 0; i < n_rotated / 2; ++i) {
    double frequency = std::pow(scaling.freq_base, -2.0 * i / n);
    if (!scaling.factors.empty()) frequency /= static_cast<double>(scaling.factors[i]);
    const double stretched = frequency / scaling.factor;
    if (scaling.yarn) {
      const double along = std::clamp((i - low) / std::max(0.001, high - low), 0.0, 1.0);
      const double kept = (1 - along) * scaling.extrapolation;
      frequency = stretched * (1 - kept) + frequency * kept;
    } else {
      frequency = stretched;
    }
    table.frequencies.push_back(static_cast<float>(frequency));
  }
  return table;
}

Result<ModelParams> read_model_params(const hwdb::GgufFile& gguf, const hwdb::ModelShape& shape,
                                      const RopeFactors& factors) {
  ModelParams params;
  params.traits = find_run_traits(shape.architecture);
  if (params.traits == nullptr) {
    return Error{"run.architecture",
                 fmt::format("the engine does not run architecture '{}'", shape.architecture),
                 gguf.file().shown_path(), "plans and inspect work for it all the same"};
  }
  const RunTraits& traits = *params.traits;
  KeyReader keys(gguf, shape.architecture);
  params.layers = hwdb::layers_of(shape);
  params.layer_norm = is_layer_norm(shape, traits);
  const std::string_view eps_key =
      params.layer_norm ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon";
  const auto eps = keys.number(eps_key);
  if (!eps) keys.fail("model.missing_key", eps_key, "is missing, and the norms need it");
  if (eps && !(*eps > 0)) keys.fail("model.range", eps_key, "is not positive");
  params.norm_eps = static_cast<float>(eps.value_or(1e-5));
  params.parallel_ffn = keys.boolean("use_parallel_residual").value_or(traits.parallel_ffn);
  params.attention_scale = attention_scale_of(keys, shape, traits);
  params.qkv_clamp = static_cast<float>(keys.number_or("attention.clamp_kqv", 0));
  params.value_scale = static_cast<float>(keys.nonzero("attention.value_scale").value_or(1));
  read_temperature(keys, shape, &params);
  params.attention_softcap = static_cast<float>(
      keys.number_or("attn_logit_softcapping", traits.default_attention_softcap));
  params.final_softcap =
      static_cast<float>(keys.number_or("final_logit_softcapping", traits.default_final_softcap));
  params.embedding_scale = static_cast<float>(traits.scale_embedding_by_width
                                                  ? std::sqrt(static_cast<double>(shape.n_embd))
                                                  : keys.nonzero("embedding_scale").value_or(1));
  for (const std::string_view key : {"embedding_scale", "residual_scale", "logit_scale"}) {
    if (traits.needs_scales && !keys.nonzero(key)) {
      keys.fail("model.missing_key", key, "is missing, and this architecture needs it");
    }
  }
  params.residual_scale = static_cast<float>(keys.nonzero("residual_scale").value_or(1));
  const double logit_scale = keys.nonzero("logit_scale").value_or(1);
  params.logit_scale =
      static_cast<float>(traits.logit_scale_divides ? 1 / logit_scale : logit_scale);
  read_ropes(keys, shape, factors, &params);
  read_router(keys, &params);
  check_groups(keys, shape, params);
  if (keys.error()) return *keys.error();
  return params;
}

}  // namespace engine
