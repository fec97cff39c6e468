// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "hwdb/quant_presets.h"
#include "hwdb/tensor_traits.h"
#include "hwdb/weight_plan.h"

// Which tensor gets which type under each file-type preset of llama.cpp: a transcription of the
// rules of its quantizer, src/llama-quant.cpp, of March 2026 ("older", what nearly all published
// files were made with) and of commit 007dbbf3 ("newer").
namespace hwdb {
namespace {

const TensorType kF16 = tensor_type("F16"), kBf16 = tensor_type("BF16"), kF32 = tensor_type("F32"),
                 kQ4_0 = tensor_type("Q4_0"), kQ4_1 = tensor_type("Q4_1"),
                 kQ5_0 = tensor_type("Q5_0"), kQ5_1 = tensor_type("Q5_1"),
                 kQ8_0 = tensor_type("Q8_0"), kQ2K = tensor_type("Q2_K"),
                 kQ3K = tensor_type("Q3_K"), kQ4K = tensor_type("Q4_K"), kQ5K = tensor_type("Q5_K"),
                 kQ6K = tensor_type("Q6_K"), kIq2Xxs = tensor_type("IQ2_XXS"),
                 kIq2Xs = tensor_type("IQ2_XS"), kIq2S = tensor_type("IQ2_S"),
                 kIq3Xxs = tensor_type("IQ3_XXS"), kIq3S = tensor_type("IQ3_S"),
                 kIq1S = tensor_type("IQ1_S"), kIq1M = tensor_type("IQ1_M"),
                 kIq4Nl = tensor_type("IQ4_NL"), kIq4Xs = tensor_type("IQ4_XS"),
                 kTq1 = tensor_type("TQ1_0"), kTq2 = tensor_type("TQ2_0"),
                 kMxfp4 = tensor_type("MXFP4");

template <class T, class... Ts>
constexpr bool one_of(T value, Ts... options) {
  return ((value == options) || ...);
}

using Part = QuantPart;

Part part_of(std::string_view name, std::string_view rest, bool in_block) {
  if (name == "output.weight") return Part::output;
  if (name == "token_embd.weight" || name == "per_layer_token_embd.weight") {
    return Part::token_embedding;
  }
  if (!in_block) return Part::other;
  if (rest.starts_with("ffn_down")) return Part::ffn_down;
  if (rest.starts_with("ffn_gate")) return Part::ffn_gate;
  if (rest.starts_with("ffn_up")) return Part::ffn_up;
  if (rest.ends_with("attn_v.weight")) return Part::attn_v;
  if (rest.ends_with("attn_k.weight")) return Part::attn_k;
  if (rest.ends_with("attn_q.weight")) return Part::attn_q;
  if (rest.ends_with("attn_output.weight")) return Part::attn_output;
  if (rest.ends_with("attn_qkv.weight")) return Part::attn_qkv;
  if (rest.ends_with("attn_kv_b.weight")) return Part::attn_kv_b;
  return Part::other;
}

// Matrices that the quantizer copies as they are, by how their names begin after the block number.
constexpr std::string_view kCopied[] = {"ffn_gate_inp.weight",
                                        "altup",
                                        "laurel",
                                        "per_layer_model_proj",
                                        "ssm_conv1d",
                                        "shortconv.conv.weight",
                                        "position_embd",
                                        "token_types",
                                        "time_mix_first.",
                                        "time_mix_w0.",
                                        "time_mix_w1.",
                                        "time_mix_w2.",
                                        "time_mix_v0.",
                                        "time_mix_v1.",
                                        "time_mix_v2.",
                                        "time_mix_a0.",
                                        "time_mix_a1.",
                                        "time_mix_a2.",
                                        "time_mix_g1.",
                                        "time_mix_g2.",
                                        "time_mix_decay_w",
                                        "time_mix_lerp_fused.",
                                        "channel_mix_lerp_k.",
                                        "indexer.k_proj.",
                                        "indexer.q_proj.",
                                        "indexer.proj."};

}  // namespace

QuantPart quant_part(const TensorInfo& info) {
  const std::string_view name = info.name;
  if (info.rows() <= 1 || !name.ends_with("weight") || name.ends_with("_norm.weight")) {
    return QuantPart::copied;
  }
  const bool in_block = name.starts_with("blk.");
  const std::string_view rest =
      in_block ? name.substr(std::min(name.find('.', 4), name.size() - 1) + 1) : name;
  if (std::ranges::any_of(kCopied, [&](std::string_view part) { return rest.starts_with(part); })) {
    return QuantPart::copied;
  }
  return part_of(name, rest, in_block);
}

namespace {

/// The quantizer at work on one file: the model's traits and its running counters.
class Mix {
 public:
  Mix(const ModelShape& shape, const TensorTraits& traits, const PresetRule& preset,
      const QuantOptions& options, const std::vector<PlannedTensor>& tensors);

  /// The type of a tensor before rows that do not fit are looked at.
  TensorType choose(const PlannedTensor& tensor);
  /// What replaces `type` for rows of `ne0`; the type itself where it fits or nothing replaces it.
  TensorType fit_row(TensorType type, std::uint64_t ne0) const;

 private:
  bool more_bits(std::uint32_t i, std::uint32_t n) const {
    return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
  }
  bool is(Preset p) const { return preset_.preset == p; }
  template <class... Ps>
  bool is(Preset first, Ps... rest) const {
    return one_of(preset_.preset, first, rest...);
  }
  bool is_tiny() const {
    return is(Preset::iq1_s, Preset::iq1_m, Preset::iq2_xxs, Preset::iq2_xs, Preset::iq2_s,
              Preset::iq2_m);
  }
  TensorType output_type(std::uint64_t ne0) const;
  TensorType embedding_type() const;
  TensorType tiny_type(Part part);
  TensorType attn_v_type();
  TensorType attn_k_or_q_type(Part part) const;
  TensorType attn_output_type() const;
  TensorType attn_qkv_type() const;
  TensorType ffn_down_type(std::uint32_t i) const;

  const TensorTraits& traits_;
  const PresetRule& preset_;
  const QuantOptions& options_;
  TensorType default_;
  bool tied_ = true, is_70b_ = false, eight_experts_ = false;
  std::uint32_t gqa_ = 0, n_experts_ = 0;
  std::uint32_t n_layers_ = 0, n_v_ = 0, v_ = 0, down_ = 0, gate_ = 0, up_ = 0;
};

std::uint32_t gqa_of(const ModelShape& shape, const TensorTraits& traits) {
  const auto layers = layers_of(shape);
  if (layers.empty()) return 0;
  if (layers[0].kind == LayerKind::mla) {
    return shape.mla->split_kv_b && !traits.kv_b_in_one_piece ? layers[0].n_heads : 1;
  }
  const bool first_attends =
      layers[0].kind != LayerKind::recurrent && layers[0].kind != LayerKind::none;
  if (!first_attends && traits.zero_kv_heads_if_recurrent) return 0;
  const std::uint32_t heads = first_attends           ? layers[0].n_heads
                              : shape.n_heads.empty() ? 0
                                                      : shape.n_heads.at(0);
  const std::uint32_t kv = first_attends              ? layers[0].n_kv_heads
                           : shape.n_kv_heads.empty() ? 0
                                                      : shape.n_kv_heads.at(0);
  return kv == 0 ? 0 : heads / kv;
}

Mix::Mix(const ModelShape& shape, const TensorTraits& traits, const PresetRule& preset,
         const QuantOptions& options, const std::vector<PlannedTensor>& tensors)
    : traits_(traits),
      preset_(preset),
      options_(options),
      default_(tensor_type(preset.type)),
      eight_experts_(shape.n_experts == 8),
      gqa_(gqa_of(shape, traits)),
      n_experts_(shape.n_experts),
      n_layers_(shape.n_layers + (traits.stores_mtp ? shape.mtp_layers : 0)) {
  is_70b_ = traits.layers_of_70b > 0 && shape.n_layers == traits.layers_of_70b &&
            (!traits.only_gqa_70b || gqa_ != 1);
  for (const PlannedTensor& tensor : tensors) {
    const Part part = tensor.part;
    if (part == Part::output) tied_ = false;
    if (one_of(part, Part::attn_v, Part::attn_qkv, Part::attn_kv_b)) ++n_v_;
  }
}

TensorType Mix::output_type(std::uint64_t ne0) const {
  if (is(Preset::mxfp4_moe)) return kQ8_0;
  if (traits_.falcon_mix || ne0 % format_of(default_).block_weights != 0) return kQ8_0;
  if (is_tiny() || is(Preset::iq3_xxs)) return kQ5K;
  return default_ == kQ8_0 ? kQ8_0 : kQ6K;
}

TensorType Mix::embedding_type() const {
  if (is(Preset::iq1_s, Preset::iq1_m, Preset::iq2_xxs, Preset::iq2_xs)) return kQ2K;
  if (is(Preset::iq2_s, Preset::iq2_m, Preset::iq3_xxs)) return kIq3S;
  if (is(Preset::tq1_0, Preset::tq2_0)) return kQ4K;
  if (is(Preset::q2_0) && options_.newer_rules) return kQ4K;
  return default_;
}

TensorType Mix::tiny_type(Part part) {
  const bool larger = is(Preset::iq2_s, Preset::iq2_m);
  const TensorType lifted = larger ? kIq3S : kQ2K;
  switch (part) {
    case Part::attn_v:
      return gqa_ >= 4 || n_experts_ >= 4 ? kQ4K : lifted;
    case Part::attn_k:
      return eight_experts_ ? kQ4K : default_;
    case Part::ffn_down:
      // Here the quantizer counts tensors even when there are several in a layer.
      return down_++ < n_layers_ / 8 ? lifted : default_;
    case Part::attn_output:
      if (eight_experts_) return kQ5K;
      if (is(Preset::iq1_s, Preset::iq1_m)) return kIq2Xxs;
      return larger ? kIq3S : default_;
    default:
      return default_;
  }
}

TensorType Mix::attn_v_type() {
  TensorType type = default_;
  const bool grouped = gqa_ >= 4;
  if (is(Preset::q2_k)) {
    type = grouped ? kQ4K : kQ3K;
  } else if (is(Preset::iq3_xxs)) {
    type = grouped ? kQ4K : options_.imatrix ? kIq3Xxs : kIq3S;
  } else if (is(Preset::q2_k_s, Preset::iq3_xs, Preset::iq3_s)) {
    if (grouped) type = kQ4K;
  } else if (is(Preset::iq3_m)) {
    type = kQ4K;
  } else if (is(Preset::q3_k_m)) {
    type = v_ < 2 ? kQ5K : kQ4K;
  } else if (is(Preset::q3_k_l)) {
    type = kQ5K;
  } else if (is(Preset::iq4_nl, Preset::iq4_xs)) {
    if (grouped) type = kQ5K;
  } else if (is(Preset::q4_k_m, Preset::q5_k_m)) {
    if (more_bits(v_, n_v_)) type = kQ6K;
  } else if (is(Preset::q4_k_s)) {
    if (v_ < 4) type = kQ5K;
  }
  if (is_70b_ && one_of(type, kQ3K, kQ4K)) type = kQ5K;
  if (eight_experts_) type = kQ8_0;
  ++v_;
  return type;
}

TensorType Mix::attn_k_or_q_type(Part part) const {
  if (part == Part::attn_k && eight_experts_) return kQ8_0;
  if (is(Preset::iq3_xs)) return kIq3Xxs;
  if (is(Preset::iq3_xxs)) return kIq2S;
  return default_;
}

TensorType Mix::attn_output_type() const {
  if (traits_.falcon_mix) return is(Preset::q3_k_l) ? kQ4K : default_;
  if (eight_experts_) {
    return is(Preset::q2_k, Preset::q3_k_s, Preset::q3_k_m, Preset::q4_k_s, Preset::q4_k_m,
              Preset::iq3_xxs, Preset::iq3_xs, Preset::iq3_s, Preset::iq3_m, Preset::iq4_xs,
              Preset::iq4_nl)
               ? kQ5K
               : default_;
  }
  if (is(Preset::q2_k)) return kQ3K;
  if (is(Preset::iq3_xxs)) return kIq3S;
  if (is(Preset::q3_k_m, Preset::iq3_m)) return kQ4K;
  if (is(Preset::q3_k_l)) return kQ5K;
  return default_;
}

TensorType Mix::attn_qkv_type() const {
  if (is(Preset::q3_k_m, Preset::q3_k_l, Preset::iq3_m)) return kQ4K;
  if (is(Preset::q4_k_m)) return kQ5K;
  if (is(Preset::q5_k_m)) return kQ6K;
  return default_;
}

TensorType Mix::ffn_down_type(std::uint32_t i) const {
  const std::uint32_t n = n_layers_;
  const bool falcon = traits_.falcon_mix, early = i < n / 8;
  switch (preset_.preset) {
    case Preset::q2_k:
      return kQ3K;
    case Preset::q2_k_s:
      return early ? kQ4K : default_;
    case Preset::iq3_xxs:
      return options_.imatrix ? default_ : early ? kQ4K : kQ3K;
    case Preset::q3_k_m:
      if (i < n / 16) return kQ5K;
      return !falcon || more_bits(i, n) ? kQ4K : kQ3K;
    case Preset::iq3_m:
      return early || (eight_experts_ && more_bits(i, n)) ? kQ4K : default_;
    case Preset::q3_k_l:
      return falcon ? kQ4K : kQ5K;
    case Preset::q4_k_m:
      if (falcon) return i < n / 16 ? kQ6K : more_bits(i, n) ? kQ5K : kQ4K;
      return more_bits(i, n) ? kQ6K : default_;
    case Preset::iq4_nl:
    case Preset::iq4_xs:
      return !options_.imatrix && early ? kQ5K : default_;
    case Preset::q5_k_m:
      return more_bits(i, n) ? kQ6K : default_;
    case Preset::q4_k_s:
      return early && !falcon ? kQ5K : default_;
    case Preset::q4_0:
      return options_.imatrix && early ? kQ4_1 : default_;
    case Preset::q5_0:
      return options_.imatrix && early ? kQ5_1 : default_;
    default:
      return default_;
  }
}

TensorType Mix::choose(const PlannedTensor& tensor) {
  Part part = tensor.part;
  if (options_.pure) return default_;
  const bool tied_table = tied_ && part == Part::token_embedding &&
                          (options_.newer_rules || tensor.info.name == "token_embd.weight");
  if (tied_table && !options_.output_tensor_type.empty()) {
    return tensor_type(options_.output_tensor_type);
  }
  if (part == Part::output || tied_table) {
    return preset_.q8_embeddings ? kQ8_0 : output_type(tensor.info.ne[0]);
  }
  if (is(Preset::mxfp4_moe)) return tensor.info.ne[2] > 1 ? kMxfp4 : kQ8_0;
  if (part == Part::token_embedding) {
    const bool main_table = tensor.info.name == "token_embd.weight";
    return preset_.q8_embeddings && main_table ? kQ8_0 : embedding_type();
  }
  if (options_.newer_rules && one_of(part, Part::attn_qkv, Part::attn_kv_b)) part = Part::attn_v;
  if (is_tiny()) return tiny_type(part);

  const auto layer = static_cast<std::uint32_t>(std::max(tensor.layer, 0));
  const auto index = [&](std::uint32_t* running) {
    const std::uint32_t i = (*running)++;
    return n_experts_ > 1 ? layer : i;
  };
  switch (part) {
    case Part::attn_v:
      return attn_v_type();
    case Part::attn_k:
    case Part::attn_q:
      return attn_k_or_q_type(part);
    case Part::attn_output:
      return attn_output_type();
    case Part::attn_qkv:
      return attn_qkv_type();
    case Part::ffn_down:
      return ffn_down_type(index(&down_));
    case Part::ffn_gate:
    case Part::ffn_up: {
      const std::uint32_t i = index(part == Part::ffn_gate ? &gate_ : &up_);
      const bool middle = i >= n_layers_ / 8 && i < 7 * n_layers_ / 8;
      return is(Preset::iq3_xs) && middle ? kIq3Xxs : default_;
    }
    default:
      return default_;
  }
}

TensorType Mix::fit_row(TensorType type, std::uint64_t ne0) const {
  if (ne0 % format_of(type).block_weights == 0) return type;
  TensorType other = type;
  if (one_of(type, kQ2K, kQ3K)) {
    other = options_.newer_rules ? kQ4_0 : kIq4Nl;
  } else if (one_of(type, kIq1S, kIq1M, kIq2Xxs, kIq2Xs, kIq2S, kIq3Xxs, kIq3S, kIq4Xs)) {
    other = kIq4Nl;
  } else if (one_of(type, kTq1, kTq2)) {
    other = kQ4_0;
  } else if (type == kQ4K) {
    other = kQ5_0;
  } else if (type == kQ5K) {
    other = kQ5_1;
  } else if (type == kQ6K) {
    other = kQ8_0;
  } else if (!options_.newer_rules) {
    return type;  // types of 32 were refused; since v0.5.0 such rows become F16
  }
  return ne0 % format_of(other).block_weights == 0 ? other : kF16;
}

const std::string kByPreset;  // no type by name

Status set_type(TensorType type, PlannedTensor* tensor) {
  auto bytes = tensor_bytes(format_of(type), tensor->info.ne[0], tensor->info.rows());
  if (!bytes) {
    const bool overflow = bytes.error().code == "gguf.size";
    return Error{overflow ? "model.overflow" : "quant.not_divisible", bytes.error().what,
                 tensor->info.name,
                 overflow ? "" : "presets of K-quants replace the type for such rows"};
  }
  tensor->info.type = type;
  tensor->info.bytes = *bytes;
  return Ok{};
}

}  // namespace

Status apply_preset(const ModelShape& shape, const QuantOptions& options,
                    std::vector<PlannedTensor>* tensors) {
  const PresetRule* preset = find_preset_rule(options.preset);
  if (preset == nullptr || find_tensor_format(preset->type) == nullptr) {
    return unknown_preset(options.preset);
  }
  const TensorTraits* known = find_tensor_traits(shape.architecture);
  const TensorTraits& traits = known != nullptr ? *known : plain_tensor_traits();
  for (const std::string& name : {options.token_embedding_type, options.output_tensor_type}) {
    const TensorFormat* format = name.empty() ? nullptr : find_tensor_format(name);
    if (!name.empty() && (format == nullptr || format->removed)) {
      return Error{"quant.unknown",
                   "no tensor type is called '" + name.substr(0, 64) + "'",
                   {},
                   "such as Q8_0, Q6_K or F16"};
    }
  }
  const TensorType plain = tensor_type(preset->type);
  const bool copies = one_of(plain, kF32, kF16, kBf16);
  Mix mix(shape, traits, *preset, options, *tensors);
  for (PlannedTensor& tensor : *tensors) {
    const std::string& wanted = tensor.part == Part::token_embedding ? options.token_embedding_type
                                : tensor.part == Part::output        ? options.output_tensor_type
                                                                     : kByPreset;
    if (!wanted.empty()) {
      if (auto ok = set_type(tensor_type(wanted), &tensor); !ok) return ok;
      continue;
    }
    // Experts that were published in MXFP4 stay so; making other types of them would need F32.
    if (tensor.info.type == kMxfp4 && plain != kF32) continue;
    if (copies) {
      if (plain != kF32 && tensor.info.type == kF32) continue;
      if (auto ok = set_type(plain, &tensor); !ok) return ok;
      continue;
    }
    if (tensor.part == Part::copied) continue;
    const TensorType type = mix.fit_row(mix.choose(tensor), tensor.info.ne[0]);
    if (auto ok = set_type(type, &tensor); !ok) return ok;
  }
  return Ok{};
}

}  // namespace hwdb
