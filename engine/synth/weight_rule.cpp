// SPDX-License-Identifier: MIT
#include "engine/synth/weight_rule.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <string_view>

#include "hwdb/tensor_traits.h"

namespace engine {
namespace {

constexpr double kLogitSpread = 3, kScoreSpread = 1.4;
// What attention or a feed-forward adds to a stream that begins with one, as a root mean square:
// the same in every layer, so that the first layers of a model are those of the whole.
constexpr double kSublayer = 0.25;
// Root mean square of silu(a) * b and of gelu(a), for a and b of one.
constexpr double kActivation = 0.6;
// What is left of values of one after attention over some dozen tokens, and after the router's
// choice has been summed up.
constexpr double kAttentionMean = 0.5, kRouterMean = 0.65;

/// The longest pairs reach this stretch in the tables of Phi's LongRoPE (their published lists run
/// from 1 to 64 with a steep rise; the exact ones are not known here).
constexpr double kLongestStretch = 64, kShortestStretch = 2;

struct Rule {
  std::string_view part;  // how the name ends after the block's number
  double mean, spread;
};

/// Vectors and small tables, whatever the model.
constexpr std::array kPlain = {
    Rule{"attn_q_norm.weight", 1.2, 0.1},
    Rule{"attn_k_norm.weight", 1.2, 0.1},
    Rule{"attn_sinks.weight", 0, 1},
    Rule{"exp_probs_b.bias", 0, 0.05},
    Rule{"ffn_gate_inp.bias", 0, 0.2},
    Rule{"attn_q.bias", 0, 0.2},
    Rule{"attn_k.bias", 0, 0.2},
    Rule{"attn_v.bias", 0, 0.05},
    Rule{"attn_qkv.bias", 0, 0.1},
    Rule{"layer_output_scale.weight", 1, 0},
    Rule{"ssm_a", -1, 0.2},
    Rule{"ssm_d", 1, 0.1},
    Rule{"ssm_dt.bias", -2, 0.3},
    Rule{".scale", 1, 0.1},
    Rule{".bias", 0, 0.02},
};

class RuleMaker {
 public:
  RuleMaker(const hwdb::ModelShape& shape, const SynthTraits& traits)
      : shape_(shape), traits_(traits), width_(shape.n_embd) {
    if (traits.residual_scale > 0) part_of_stream_ /= traits.residual_scale;
    embedding_gain_ = traits.embedding_times_width ? std::sqrt(width_)
                      : traits.embedding_scale > 0 ? traits.embedding_scale
                                                   : 1;
    logit_gain_ = 1;
    if (traits.logit_scale > 0) {
      logit_gain_ = traits.logit_scale_divides ? 1 / traits.logit_scale : traits.logit_scale;
    }
  }

  WeightRule make(const hwdb::TensorInfo& tensor) const {
    std::string_view name = tensor.name;
    if (name.starts_with("blk.")) name.remove_prefix(name.find('.', 4) + 1);
    WeightRule rule;
    if (name.starts_with("rope_f")) {
      rule.values = rope_table(name, static_cast<std::uint32_t>(tensor.ne[0]));
      return rule;
    }
    const Numbers of = numbers(name, tensor);
    rule.mean = static_cast<float>(of.mean);
    rule.spread = static_cast<float>(of.spread);
    rule.signs = of.signs;
    return rule;
  }

 private:
  struct Numbers {
    double mean, spread;
    bool signs = false;
  };

  Numbers numbers(std::string_view name, const hwdb::TensorInfo& tensor) const {
    const double fan_in = std::sqrt(static_cast<double>(tensor.ne[0]));
    if (name == "token_embd.weight") return {0, 1 / embedding_gain_};
    if (name == "position_embd.weight") return {0, 0.7};
    if (name == "output.weight") return {0, kLogitSpread / logit_gain_ / fan_in};
    if (is_output_norm(name)) {
      if (!shape_.tie_embeddings) return {1, 0.1};
      // The table's rows do two things here. Signs keep a token from predicting itself.
      const double size = kLogitSpread / logit_gain_ * embedding_gain_ / std::sqrt(width_);
      return {size, size * 0.1, true};
    }
    if (is_norm_after(name)) return {part_of_stream_, part_of_stream_ * 0.1};
    for (const Rule& rule : kPlain) {
      if (name.ends_with(rule.part)) return {rule.mean, rule.spread};
    }
    if (tensor.rows() == 1) return {1, 0.1};  // a norm
    return {0, matrix(name, tensor) / fan_in};
  }

  /// The size of a product with inputs of one.
  double matrix(std::string_view name, const hwdb::TensorInfo& tensor) const {
    const auto is = [&](auto... names) { return (name.starts_with(names) || ...); };
    if (is("attn_q.", "attn_k.", "attn_qkv.", "attn_q_b.")) return query_or_key();
    // Keys come out of the latent, which is the second dimension.
    if (is("attn_k_b.")) {
      return query_or_key() *
             std::sqrt(static_cast<double>(tensor.ne[0]) / static_cast<double>(tensor.ne[1]));
    }
    if (is("attn_output.")) return part_of_stream_ / kAttentionMean;
    if (is("ffn_down_exps.")) {
      const double scale = traits_.expert_scale > 0 ? traits_.expert_scale : 1;
      return part_of_stream_ / kActivation / kRouterMean / scale;
    }
    if (is("ffn_down")) return part_of_stream_ / kActivation;
    if (is("ssm_out.", "shortconv.out_proj.", "proj.")) return part_of_stream_;
    // A softmax over experts should favour few; a sigmoid must not saturate.
    if (is("ffn_gate_inp.")) return traits_.gating == 2 ? 1.5 : 3;
    return 1;
  }

  double query_or_key() const {
    const double head = shape_.head_dim_k;
    const double scale =
        traits_.attention_scale > 0 ? traits_.attention_scale : 1 / std::sqrt(head);
    return std::sqrt(kScoreSpread / (std::sqrt(head) * scale));
  }

  bool is_output_norm(std::string_view name) const {
    const hwdb::TensorTraits* tensors = hwdb::find_tensor_traits(shape_.architecture);
    const std::string_view norm = tensors != nullptr ? tensors->output_norm : "output_norm";
    return name.starts_with(norm) && name.substr(norm.size()) == ".weight";
  }

  /// A norm of what a sublayer gives, and not of what it takes.
  bool is_norm_after(std::string_view name) const {
    if (!name.ends_with("norm.weight")) return false;
    if (name.starts_with("post_ffw_norm.")) return true;
    if (!name.starts_with("post_attention_norm.")) return false;
    const hwdb::TensorTraits* tensors = hwdb::find_tensor_traits(shape_.architecture);
    return tensors != nullptr && std::ranges::count(tensors->norms, "post_ffw_norm") > 0;
  }

  std::vector<float> rope_table(std::string_view name, std::uint32_t n) const {
    if (name.starts_with("rope_freqs") && shape_.rope.scaling == "llama3") {
      return llama3_rope_factors(shape_.rope, n);
    }
    std::vector<float> values(n, 1.0f);
    if (name.starts_with("rope_freqs")) return values;
    const double most = name.starts_with("rope_factors_long") ? kLongestStretch : kShortestStretch;
    for (std::uint32_t i = 0; i < n; ++i) {
      const double along = static_cast<double>(i) / std::max(1u, n - 1);
      values[i] = static_cast<float>(1 + (most - 1) * along * along);
    }
    return values;
  }

  const hwdb::ModelShape& shape_;
  const SynthTraits& traits_;
  double width_, part_of_stream_ = kSublayer, embedding_gain_ = 1, logit_gain_ = 1;
};

}  // namespace

WeightRule weight_rule(const hwdb::TensorInfo& tensor, const hwdb::ModelShape& shape,
                       const SynthTraits& traits) {
  return RuleMaker(shape, traits).make(tensor);
}

std::vector<float> llama3_rope_factors(const hwdb::RopeShape& rope, std::uint32_t n_pairs) {
  const double base = rope.freq_base > 0 ? rope.freq_base : 500'000;
  const double factor = rope.factor > 0 ? rope.factor : 8;
  const double low = rope.low_freq_factor > 0 ? rope.low_freq_factor : 1;
  const double high = rope.high_freq_factor > 0 ? rope.high_freq_factor : 4;
  const double context =
      rope.original_context > 0 ? static_cast<double>(rope.original_context) : 8192;
  std::vector<float> factors;
  for (std::uint32_t i = 0; i < n_pairs; ++i) {
    const double wavelength =
        2 * std::numbers::pi * std::pow(base, static_cast<double>(i) / n_pairs);
    const double turns = context / wavelength;
    const double kept = std::clamp((turns - low) / (high - low), 0.0, 1.0);
    factors.push_back(static_cast<float>(1 / ((1 - kept) / factor + kept)));
  }
  return factors;
}

}  // namespace engine
