// SPDX-License-Identifier: MIT
#include "hwdb/hf_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <initializer_list>
#include <optional>
#include <utility>
#include <vector>

#include "hwdb/architecture.h"
#include "hwdb/limits.h"
#include "hwdb/shape_check.h"
#include "hwdb/text_escape.h"

namespace hwdb {
namespace {

using Keys = std::initializer_list<std::string_view>;
using Mixing = ArchitectureTraits::Mixing;
using Window = ArchitectureTraits::Window;
constexpr std::uint64_t kNumberMax = ~std::uint32_t{0};

/// Values that configurations of a model_type leave out because its class has them as defaults.
struct ClassDefault {
  std::string_view model_type, key;
  double value;
};
constexpr ClassDefault kClassDefaults[] = {
    {"gemma3_text", "num_attention_heads", 8},
    {"gemma3_text", "num_key_value_heads", 4},
    {"gemma3_text", "head_dim", 256},
    {"gemma3_text", "vocab_size", 262'208},
    {"gemma3_text", "rope_theta", 1'000'000},
    {"gemma3_text", "rope_local_base_freq", 10'000},
    {"gemma3_text", "max_position_embeddings", 131'072},
};

class ConfigReader {
 public:
  ConfigReader(const Json& root, const std::string& where)
      : root_(root), config_(&root), where_(where) {}

  Result<HfConfig> read() {
    if (!root_.is_object())
      return error("json.type",
                   fmt::format("the document is {}, expected an object", root_.type_name()));
    if (Status s = choose_text(); !s) return s.error();
    const std::string type = text("model_type");
    if (type.empty() && !error_) return error("model.missing_key", "model_type is missing");
    model_type_ = type;
    shape_.architecture = gguf_architecture_of(type);
    // A mixture under the plain name of its family.
    if (shape_.architecture == "nemotron_h" && number({"n_routed_experts"}).value_or(0) > 0)
      shape_.architecture = "nemotron_h_moe";
    traits_ = find_architecture(shape_.architecture);
    shape_.known_architecture = traits_ != nullptr;
    if (traits_ == nullptr) {
      static const ArchitectureTraits plain{.name = "", .display = "unknown"};
      traits_ = &plain;
      out_.reading.unknown_terms = {"KV cache", "compute buffer", "speed"};
      out_.reading.warnings.push_back(fmt::format(
          "the model_type {} is not known here: the shape is a guess", escape_text(type, 80)));
    }
    read_sizes();
    read_heads();
    read_ffn();
    read_experts();
    read_latent();
    read_recurrent();
    read_windows();
    read_rope();
    read_flags();
    read_quantization();
    if (root_.find("auto_map") != nullptr || config_->find("auto_map") != nullptr) {
      out_.reading.warnings.push_back("the configuration names code of its own, which is not run");
    }
    if (error_) return *error_;
    if (Status s = check_shape(shape_, where_); !s) return s.error();
    out_.reading.shape = std::move(shape_);
    return std::move(out_);
  }

 private:
  Error error(std::string_view code, std::string what) const {
    return Error{std::string(code), std::move(what), where_, {}};
  }
  void fail(std::string_view code, std::string what) {
    if (!error_) error_ = error(code, std::move(what));
  }

  /// Models that also see or hear keep the decoder in text_config.
  Status choose_text() {
    for (const std::string_view name : {"text_config", "llm_config", "language_config"}) {
      const Json* nested = root_.find(name);
      if (nested == nullptr) continue;
      if (!nested->is_object())
        return error("model.missing_key",
                     fmt::format("{} is {}, expected an object", name, nested->type_name()));
      config_ = nested;
    }
    const Json* vision = root_.find("vision_config");
    if (vision != nullptr && !vision->is_null() && !vision->is_object()) {
      return error("model.missing_key",
                   fmt::format("vision_config is {}, expected an object", vision->type_name()));
    }
    shape_.vision = vision != nullptr && vision->is_object();
    if (shape_.vision && config_ == &root_ &&
        find({"hidden_size", "n_embd", "d_model"}) == nullptr) {
      return error("model.missing_key", "text_config is missing");
    }
    return Ok{};
  }

  /// The first of these keys that is there and not null.
  const Json* find(Keys keys) const {
    for (const std::string_view key : keys) {
      const Json* value = config_->find(key);
      if (value != nullptr && !value->is_null()) return value;
    }
    return nullptr;
  }
  std::string text(std::string_view key) {
    const Json* value = find({key});
    if (value == nullptr && config_ != &root_) value = root_.find(key);
    if (value == nullptr || value->is_null()) return {};
    if (const std::string* s = value->as_string()) return *s;
    fail("json.type", fmt::format("{} is {}, expected text", key, value->type_name()));
    return {};
  }
  std::optional<std::uint32_t> whole(std::string_view key, const Json& value) {
    if (const auto n = value.as_uint64(); n && value.is_integer()) {
      if (*n <= kNumberMax) return static_cast<std::uint32_t>(*n);
      fail("model.range", fmt::format("{} is {}, which no model has", key, *n));
    } else if (value.is_integer()) {
      fail("model.range", fmt::format("{} is negative", key));
    } else if (const auto d = value.as_double(); d && std::abs(*d) >= 9.2e18) {
      fail("model.range", fmt::format("{} is {}, which no model has", key, *d));
    } else {
      fail("json.type", fmt::format("{} is {}, expected a whole number", key,
                                    d ? "a fraction" : value.type_name()));
    }
    return std::nullopt;
  }
  std::optional<std::uint32_t> number(Keys keys) {
    if (const Json* value = find(keys)) return whole(*keys.begin(), *value);
    for (const ClassDefault& row : kClassDefaults) {
      if (row.model_type == model_type_ && row.key == *keys.begin())
        return static_cast<std::uint32_t>(row.value);
    }
    return std::nullopt;
  }
  std::uint32_t number_or(Keys keys, std::uint32_t otherwise) {
    return number(keys).value_or(otherwise);
  }
  std::uint32_t required(Keys keys) {
    for (const std::string_view key : keys) {
      const Json* value = config_->find(key);
      if (value != nullptr && value->is_null())
        fail("json.type", fmt::format("{} is null, expected a whole number", key));
    }
    const auto value = number(keys);
    if (!value && !error_) fail("model.missing_key", fmt::format("{} is missing", *keys.begin()));
    if (value && *value == 0) fail("model.range", fmt::format("{} is 0", *keys.begin()));
    return std::max(value.value_or(1), 1u);
  }
  std::optional<double> real(std::string_view key, const Json* in = nullptr) {
    const Json* value = in != nullptr ? in->find(key) : find({key});
    if (value == nullptr || value->is_null()) {
      for (const ClassDefault& row : kClassDefaults) {
        if (in == nullptr && row.model_type == model_type_ && row.key == key) return row.value;
      }
      return std::nullopt;
    }
    const auto d = value->as_double();
    if (!d) fail("json.type", fmt::format("{} is {}, expected a number", key, value->type_name()));
    return d;
  }
  bool flag(Keys keys, bool otherwise) {
    const Json* value = find(keys);
    if (value == nullptr) return otherwise;
    if (const auto b = value->as_bool()) return *b;
    fail("json.type",
         fmt::format("{} is {}, expected true or false", *keys.begin(), value->type_name()));
    return otherwise;
  }
  /// One number for all layers or a list with one each.
  PerLayer per_layer(Keys keys) {
    const Json* value = find(keys);
    if (value == nullptr || !value->is_array()) {
      const auto one = number(keys);
      return one ? PerLayer(*one) : PerLayer();
    }
    const Json::Array& items = *value->as_array();
    if (items.size() != shape_.n_layers) {
      fail("model.array_length", fmt::format("{} has {} entries for {} layers", *keys.begin(),
                                             items.size(), shape_.n_layers));
      return {};
    }
    std::vector<std::uint32_t> list;
    for (const Json& item : items) list.push_back(whole(*keys.begin(), item).value_or(0));
    return collapse(std::move(list));
  }
  /// The words of a per-layer list, as layer_types has.
  std::vector<std::string> words(std::string_view key) {
    const Json* value = find({key});
    std::vector<std::string> list;
    if (value == nullptr) return list;
    const Json::Array* items = value->as_array();
    if (items == nullptr) {
      fail("json.type", fmt::format("{} is {}, expected a list", key, value->type_name()));
      return list;
    }
    if (items->size() < shape_.n_layers) {
      fail("model.array_length",
           fmt::format("{} has {} entries for {} layers", key, items->size(), shape_.n_layers));
      return list;
    }
    for (std::uint32_t i = 0; i < shape_.n_layers; ++i) {
      const std::string* word = (*items)[i].as_string();
      if (word == nullptr) {
        fail("json.type", fmt::format("{} holds {}, expected text", key, (*items)[i].type_name()));
        return {};
      }
      list.push_back(*word);
    }
    return list;
  }

  void read_sizes() {
    shape_.n_layers = required(
        {"num_hidden_layers", "n_layer", "num_layers", "n_layers", "num_transformer_layers"});
    if (shape_.n_layers > limits::kLayers) {
      fail("model.range", fmt::format("num_hidden_layers is {}, at most {} are read",
                                      shape_.n_layers, limits::kLayers));
      shape_.n_layers = 1;
    }
    shape_.n_embd = required({"hidden_size", "n_embd", "d_model", "model_dim"});
    shape_.n_vocab = required({"vocab_size", "padded_vocab_size"});
    if (const auto context =
            number({"max_position_embeddings", "n_positions", "max_sequence_length", "seq_length",
                    "max_seq_len", "n_ctx", "max_context_length"}))
      shape_.n_ctx_train = *context;
    shape_.mtp_layers = number_or({"num_nextn_predict_layers", "mtp_num_hidden_layers"}, 0);
  }

  void read_heads() {
    if (traits_->mixing == Mixing::recurrent) return;
    shape_.n_heads =
        per_layer({"num_attention_heads", "n_head", "n_heads", "num_heads", "num_query_heads"});
    if (shape_.n_heads.empty()) {
      // Reports what is wrong with it, if it is there at all.
      shape_.n_heads = PerLayer(
          required({"num_attention_heads", "n_head", "n_heads", "num_heads", "num_query_heads"}));
    }
    for (const std::uint32_t n : shape_.n_heads.values) {
      if (n == 0) fail("model.range", "num_attention_heads is 0");
    }
    shape_.n_kv_heads =
        per_layer({"num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num"});
    if (const Json* attention = find({"attn_config"});
        attention != nullptr && attention->find("kv_n_heads") != nullptr) {
      shape_.n_kv_heads = PerLayer(whole("kv_n_heads", *attention->find("kv_n_heads")).value_or(0));
    }
    const bool grouped = flag({"new_decoder_architecture"}, false);
    if (flag({"multi_query"}, false) && !grouped) shape_.n_kv_heads = PerLayer(1);
    if (shape_.n_kv_heads.empty()) shape_.n_kv_heads = shape_.n_heads;
    for (const std::uint32_t n : shape_.n_kv_heads.values) {
      if (n == 0) fail("model.range", "num_key_value_heads is 0");
    }
    const std::uint32_t heads = std::max(shape_.n_heads.at(0), 1u);
    const auto head = number({"head_dim", "kv_channels", "attention_head_dim"});
    if (head && *head == 0) fail("model.range", "head_dim is 0");
    if (!head && shape_.n_embd % heads != 0 && find({"kv_lora_rank"}) == nullptr) {
      fail("model.range",
           fmt::format("hidden_size is {}, which {} heads do not divide, and there is no head_dim",
                       shape_.n_embd, heads));
    }
    shape_.head_dim_k = head.value_or(shape_.n_embd / heads);
    shape_.head_dim_v = number_or({"v_head_dim"}, shape_.head_dim_k);
    if (const auto global = number({"global_head_dim"}); global && *global != shape_.head_dim_k) {
      shape_.global_variant =
          AttentionVariant{.n_kv_heads = number_or({"num_global_key_value_heads"}, 0),
                           .head_dim_k = *global,
                           .head_dim_v = *global,
                           .v_is_k = flag({"attention_k_eq_v"}, false)};
    }
  }

  void read_ffn() {
    shape_.n_ff = per_layer({"intermediate_size", "n_inner", "ffn_hidden_size", "ffn_dim"});
    if (const Json* factors = find({"ffn_multipliers"});
        factors != nullptr && factors->is_array()) {
      return read_factors(*factors->as_array());
    }
    // GPT-2 and its like leave it out for four times the width.
    if (shape_.n_ff.empty() && !traits_->ffn_gated && traits_->mixing == Mixing::attention) {
      const std::uint64_t width = 4 * std::uint64_t{shape_.n_embd};
      shape_.n_ff = PerLayer(static_cast<std::uint32_t>(std::min(width, kNumberMax)));
    }
  }

  /// OpenELM gives each layer's width as a factor, rounded to a multiple of a divisor.
  void read_factors(const Json::Array& factors) {
    if (factors.size() != shape_.n_layers) {
      return fail("model.array_length", fmt::format("ffn_multipliers has {} entries for {} layers",
                                                    factors.size(), shape_.n_layers));
    }
    const double divisor = number_or({"ffn_dim_divisor"}, 256);
    if (divisor <= 0) return fail("model.range", "ffn_dim_divisor is 0");
    std::vector<std::uint32_t> widths;
    for (const Json& factor : factors) {
      const auto f = factor.as_double();
      if (!f) return fail("json.type", "ffn_multipliers holds other than numbers");
      const double exact = *f * shape_.n_embd;
      if (!(exact > 0) || exact > 1e9)
        return fail("model.range", "ffn_multipliers holds what no model has");
      double rounded = std::max(divisor, std::floor((exact + divisor / 2) / divisor) * divisor);
      if (rounded < 0.9 * exact) rounded += divisor;
      widths.push_back(static_cast<std::uint32_t>(rounded));
    }
    shape_.n_ff = collapse(std::move(widths));
  }

  void read_experts() {
    shape_.n_experts =
        number_or({"num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts"}, 0);
    const Json* nested = find({"ffn_config"});
    if (nested != nullptr && nested->find("moe_num_experts") != nullptr) {
      shape_.n_experts = whole("moe_num_experts", *nested->find("moe_num_experts")).value_or(0);
      if (const Json* k = nested->find("moe_top_k"))
        shape_.n_experts_used = whole("moe_top_k", *k).value_or(0);
      if (const Json* w = nested->find("ffn_hidden_size"))
        shape_.n_ff_expert = whole("ffn_hidden_size", *w).value_or(0);
    } else {
      const Json* used = find(
          {"num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k", "top_k_experts"});
      // Some write one number for each layer.
      if (used != nullptr && used->is_array() && !used->as_array()->empty())
        used = &used->as_array()->front();
      if (used != nullptr) shape_.n_experts_used = whole("num_experts_per_tok", *used).value_or(0);
    }
    // One expert is a dense model, as some hybrid configurations write it.
    if (shape_.n_experts <= 1 && shape_.n_experts_used <= shape_.n_experts) {
      shape_.n_experts = shape_.n_experts_used = shape_.n_ff_expert = 0;
      return;
    }
    const std::uint32_t plain = shape_.n_ff.at(0);
    const auto own =
        number({"moe_intermediate_size", "moe_ffn_hidden_size", "expert_ffn_hidden_size"});
    const auto dense = number({"intermediate_size_mlp"});
    if (shape_.n_ff_expert == 0) shape_.n_ff_expert = own.value_or(plain);
    const std::uint32_t step = number_or({"decoder_sparse_step", "interleave_moe_layer_step",
                                          "expert_layer_period", "moe_layer_freq"},
                                         1);
    shape_.moe_layer_step = std::max(step, 1u);
    shape_.moe_layer_offset =
        number_or({"expert_layer_offset"}, shape_.moe_layer_step - 1) % shape_.moe_layer_step;
    shape_.first_dense_layers =
        number_or({"first_k_dense_replace", "num_dense_layers", "moe_layer_start_index"}, 0);
    const bool some_dense = shape_.first_dense_layers > 0 || shape_.moe_layer_step > 1;
    if (dense) {
      shape_.n_ff = PerLayer(*dense);
    } else if (!some_dense) {
      shape_.n_ff = PerLayer(0);
    }
    shape_.n_shared_experts = number_or(
        {"n_shared_experts", "num_shared_experts", "num_shared_expert", "moe_num_shared_experts"},
        0);
    const auto shared_width = number({"shared_expert_intermediate_size", "shared_intermediate_size",
                                      "moe_shared_expert_intermediate_size"});
    if (shared_width && *shared_width > 0) {
      shape_.n_shared_experts = 1;
      shape_.n_ff_shared = *shared_width;
    } else if (traits_->window == Window::chunked) {
      shape_.n_shared_experts = 1;  // Llama 4 has always one beside the routed ones
      shape_.n_ff_shared = shape_.n_ff_expert;
    } else if (shape_.n_shared_experts > 0) {
      shape_.n_ff_shared = shape_.n_ff_expert;
    }
  }

  void read_latent() {
    const std::uint32_t rank = number_or({"kv_lora_rank"}, 0);
    if (rank == 0) return;
    MlaShape mla;
    mla.kv_lora_rank = rank;
    mla.q_lora_rank = number_or({"q_lora_rank"}, 0);
    mla.qk_nope_dim = required({"qk_nope_head_dim"});
    mla.qk_rope_dim = required({"qk_rope_head_dim"});
    mla.v_head_dim = required({"v_head_dim"});
    const std::uint64_t head = std::uint64_t{mla.qk_nope_dim} + mla.qk_rope_dim;
    if (head > limits::kVocabulary)
      return fail("model.range", "qk_nope_head_dim is larger than any model's");
    shape_.head_dim_k = static_cast<std::uint32_t>(head);
    shape_.head_dim_v = mla.v_head_dim;
    shape_.n_kv_heads = shape_.n_heads;
    shape_.mla = mla;
    if (const auto index = number({"index_n_heads"}); index && *index > 0) {
      shape_.indexer = IndexerShape{.n_heads = *index,
                                    .head_dim = number_or({"index_head_dim"}, 0),
                                    .top_k = number_or({"index_topk"}, 0)};
    }
  }

  void read_recurrent() {
    if (!traits_->ssm) return;
    using Kind = SsmShape::Kind;
    SsmShape ssm;
    ssm.kind = *traits_->ssm;
    switch (ssm.kind) {
      case Kind::short_conv:
        ssm.d_conv = required({"conv_L_cache"});
        break;
      case Kind::gated_deltanet:
        ssm.n_k_heads = required({"linear_num_key_heads"});
        ssm.n_v_heads = required({"linear_num_value_heads"});
        ssm.head_k = required({"linear_key_head_dim"});
        ssm.head_v = required({"linear_value_head_dim"});
        ssm.d_conv = required({"linear_conv_kernel_dim"});
        break;
      case Kind::mamba1:
        ssm.d_state = required({"mamba_d_state", "state_size"});
        ssm.d_conv = required({"mamba_d_conv", "conv_kernel"});
        ssm.d_inner = traits_->mixing == Mixing::recurrent
                          ? number_or({"intermediate_size", "d_inner"}, 0)
                          : 0;
        if (ssm.d_inner == 0)
          ssm.d_inner = static_cast<std::uint32_t>(std::min<std::uint64_t>(
              std::uint64_t{number_or({"mamba_expand", "expand"}, 2)} * shape_.n_embd, kNumberMax));
        ssm.dt_rank = rank_of_step();
        ssm.bcdt_norm = traits_->mixing != Mixing::recurrent;
        break;
      case Kind::mamba2:
        ssm.d_state = required({"mamba_d_state", "ssm_state_size", "state_size"});
        ssm.d_conv = required({"mamba_d_conv", "conv_kernel"});
        ssm.n_heads = required({"mamba_n_heads", "mamba_num_heads", "num_heads"});
        ssm.head_dim = required({"mamba_d_head", "mamba_head_dim", "head_dim"});
        ssm.n_groups = number_or({"mamba_n_groups", "n_groups"}, 1);
        ssm.d_inner = static_cast<std::uint32_t>(
            std::min(std::uint64_t{ssm.n_heads} * ssm.head_dim, kNumberMax));
        ssm.dt_rank = ssm.n_heads;
        ssm.gated_norm = flag({"mamba_rms_norm"}, true);
        break;
      case Kind::kda:
      case Kind::lightning_attention:
      case Kind::rwkv5:
      case Kind::rwkv7:
        ssm.head_dim = number_or({"head_dim", "head_size"}, 64);
        ssm.n_heads = ssm.head_dim > 0 ? shape_.n_embd / ssm.head_dim : 0;
        break;
    }
    if (traits_->mixing == Mixing::recurrent && ssm.kind != Kind::rwkv5 && ssm.kind != Kind::rwkv7)
      shape_.n_ff = PerLayer(0);
    shape_.ssm = ssm;
    shape_.hybrid = true;
    choose_attention_layers();
  }

  std::uint32_t rank_of_step() {
    const Json* value = find({"mamba_dt_rank", "time_step_rank"});
    // "auto" is a sixteenth of the width, rounded up.
    if (value == nullptr || value->is_string()) return (shape_.n_embd + 15) / 16;
    return whole("time_step_rank", *value).value_or(1);
  }

  void choose_attention_layers() {
    if (traits_->mixing == Mixing::recurrent) return;
    const std::vector<std::string> types = words("layer_types");
    shape_.layer_pattern = text("hybrid_override_pattern");
    if (!shape_.layer_pattern.empty() && shape_.layer_pattern.size() != shape_.n_layers) {
      return fail("model.array_length",
                  fmt::format("hybrid_override_pattern has {} letters for {} layers",
                              shape_.layer_pattern.size(), shape_.n_layers));
    }
    const std::uint32_t interval =
        number_or({"full_attention_interval"}, traits_->full_attention_interval);
    const auto period = number({"attn_layer_period"});
    if ((period && *period == 0) || (traits_->mixing == Mixing::by_interval && interval == 0))
      return fail("model.range", "the attention interval is 0");
    const std::uint32_t offset = number_or({"attn_layer_offset"}, 0);
    for (std::uint32_t i = 0; i < shape_.n_layers; ++i) {
      const bool attends = traits_->mixing == Mixing::both ? true
                           : !types.empty()
                               ? types[i] == "full_attention" || types[i] == "attention"
                           : !shape_.layer_pattern.empty()          ? shape_.layer_pattern[i] == '*'
                           : period                                 ? i % *period == offset
                           : traits_->mixing == Mixing::by_interval ? (i + 1) % interval == 0
                                                                    : is_listed(i);
      if (attends) shape_.attention_layers.push_back(i);
    }
  }
  /// Whether a list of layer numbers names this one.
  bool is_listed(std::uint32_t layer) {
    const Json* list = find({"full_attn_idxs", "attn_layer_indices"});
    if (list == nullptr || !list->is_array()) return false;
    return std::ranges::any_of(*list->as_array(),
                               [&](const Json& item) { return item.as_uint64() == layer; });
  }

  void read_windows() {
    const auto window = number({"sliding_window", "sliding_window_size"});
    const auto chunk = number({"attention_chunk_size"});
    const std::vector<std::string> types =
        traits_->ssm ? std::vector<std::string>() : words("layer_types");
    const bool switched_off = !flag({"use_sliding_window"}, true);
    if (window && *window == 0 && !switched_off) return fail("model.range", "sliding_window is 0");
    if (chunk && *chunk == 0) return fail("model.range", "attention_chunk_size is 0");
    const std::uint32_t size = traits_->window == Window::chunked ? chunk.value_or(0)
                               : switched_off                     ? 0
                                                                  : window.value_or(0);
    if (size == 0) return;
    std::vector<bool> limited(shape_.n_layers, false);
    if (!types.empty()) {
      for (std::uint32_t i = 0; i < shape_.n_layers; ++i)
        limited[i] = types[i] == "sliding_attention" || types[i] == "chunked_attention";
    } else if (!mark_by_period(&limited)) {
      // Without any rule the window is on every layer, or on those from max_window_layers on.
      const std::uint32_t first =
          find({"use_sliding_window"}) != nullptr ? number_or({"max_window_layers"}, 0) : 0;
      for (std::uint32_t i = std::min(first, shape_.n_layers); i < shape_.n_layers; ++i)
        limited[i] = true;
    }
    if (std::ranges::count(limited, true) == 0) return;
    for (std::uint32_t i = 0; i < shape_.n_layers; ++i) {
      if (!limited[i]) shape_.global_layers.push_back(i);
    }
    shape_.all_layers_sliding = shape_.global_layers.empty();
    (traits_->window == Window::chunked ? shape_.chunked_attention : shape_.sliding_window) = size;
  }

  bool mark_by_period(std::vector<bool>* limited) {
    const Json* pattern = find({"sliding_window_pattern"});
    std::uint32_t period = traits_->swa_period;
    if (pattern != nullptr && pattern->is_string() && !pattern->as_string()->empty()) {
      // "LLLG": local and global layers, repeated.
      const std::string& letters = *pattern->as_string();
      for (std::size_t i = 0; i < limited->size(); ++i)
        (*limited)[i] = letters[i % letters.size()] == 'L';
      return true;
    }
    if (pattern != nullptr) period = whole("sliding_window_pattern", *pattern).value_or(0);
    if (period == 0) return false;
    for (std::uint32_t i = 0; i < limited->size(); ++i) {
      (*limited)[i] = traits_->swa_period_dense_first ? i % period != 0 : i % period < period - 1;
    }
    return true;
  }

  void read_rope() {
    RopeShape& rope = shape_.rope;
    const Json* scaling = find({"rope_scaling", "rope_parameters"});
    if (scaling != nullptr && !scaling->is_object()) scaling = nullptr;
    auto base = real("rope_theta");
    if (!base && scaling != nullptr) base = real("rope_theta", scaling);
    if (base && (!std::isfinite(*base) || *base <= 0))
      fail("model.range", fmt::format("rope_theta is {}", *base));
    rope.freq_base = base.value_or(0);
    rope.freq_base_swa = real("rope_local_base_freq").value_or(0);
    rope.partial_factor = real("partial_rotary_factor").value_or(0);
    if (scaling == nullptr) return;
    for (const std::string_view key : {"rope_type", "type"}) {
      const Json* type = scaling->find(key);
      if (type != nullptr && type->is_string()) {
        rope.scaling = *type->as_string() == "default" || *type->as_string() == "mrope"
                           ? ""
                           : *type->as_string();
        break;
      }
    }
    if (rope.scaling == "su") rope.scaling = "longrope";
    rope.factor = real("factor", scaling).value_or(0);
    const Json* original = scaling->find("original_max_position_embeddings");
    if (original != nullptr && !original->is_null())
      rope.original_context = whole("original_max_position_embeddings", *original).value_or(0);
  }

  void read_flags() {
    const ArchitectureTraits& t = *traits_;
    const Json* tied = find({"tie_word_embeddings"});
    if (tied == nullptr && config_ != &root_) tied = root_.find("tie_word_embeddings");
    shape_.tie_embeddings = tied != nullptr && tied->as_bool() ? *tied->as_bool() : t.tied;
    const bool attention_bias =
        flag({"attention_bias", "use_bias", "bias"}, t.qkv_bias && t.out_bias);
    shape_.attn_qkv_bias =
        t.qkv_bias || attention_bias || flag({"add_qkv_bias", "use_qkv_bias", "qkv_bias"}, false);
    shape_.attn_out_bias = t.qkv_bias ? t.out_bias : attention_bias;
    shape_.mlp_bias = flag({"mlp_bias"}, t.mlp_bias);
    shape_.expert_bias = t.expert_bias;
    shape_.router_bias = t.router_bias || text("topk_method") == "noaux_tc";
    shape_.shared_expert_gate = t.shared_expert_gate;
    shape_.attn_output_gate = t.attn_output_gate;
    shape_.attn_sinks = t.attn_sinks;
    shape_.qk_norm = t.qk_norm;
    const Json* qk_norm = find({"use_qk_norm"});
    // Llama 4's norm has no weights, so the flag matters only where the family has some.
    if (qk_norm != nullptr && qk_norm->as_bool() && t.window != Window::chunked) {
      if (!*qk_norm->as_bool())
        shape_.qk_norm = ModelShape::QkNorm::none;
      else if (shape_.qk_norm == ModelShape::QkNorm::none)
        shape_.qk_norm = t.norms_per_layer == 1 ? ModelShape::QkNorm::per_head
                                                : ModelShape::QkNorm::per_head_dim;
    }
    shape_.ffn_gated = t.ffn_gated;
    shape_.norm = t.layernorm ? ModelShape::Norm::layernorm : ModelShape::Norm::rmsnorm;
    shape_.norms_per_layer = t.norms_per_layer;
    if (flag({"new_decoder_architecture"}, false)) shape_.norms_per_layer = 2;
    if (t.learned_positions)
      shape_.learned_positions = static_cast<std::uint32_t>(
          std::min<std::uint64_t>(shape_.n_ctx_train.value_or(0), kNumberMax));
    shape_.fused_qkv = t.fused_qkv;
    shape_.fused_gate_up = t.fused_gate_up;
    shape_.kv_shared_layers = number_or({"num_kv_shared_layers"}, 0);
    shape_.per_layer_dim = number_or({"hidden_size_per_layer_input"}, 0);
    if (shape_.per_layer_dim > 0)
      shape_.per_layer_vocab = number_or({"vocab_size_per_layer_input"}, 0);
    shape_.altup_inputs = number_or({"altup_num_inputs"}, 0);
    shape_.laurel_rank = number_or({"laurel_rank"}, 0);
  }

  void read_quantization() {
    const Json* q = root_.find("quantization_config");
    if (q == nullptr) q = config_->find("quantization_config");
    if (q == nullptr || q->is_null()) q = root_.find("quantization");  // MLX
    if (q == nullptr || !q->is_object()) {
      const std::string dtype =
          find({"torch_dtype"}) != nullptr || root_.find("torch_dtype") != nullptr
              ? text("torch_dtype")
              : text("dtype");
      out_.quantization = dtype == "bfloat16"  ? "BF16"
                          : dtype == "float16" ? "F16"
                          : dtype == "float32" ? "F32"
                                               : "";
      return;
    }
    const Json* method = q->find("quant_method");
    std::string name = method != nullptr && method->is_string() ? *method->as_string() : "";
    if (name.empty() && q->find("group_size") != nullptr) name = "mlx";
    std::ranges::transform(name, name.begin(),
                           [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    std::optional<std::uint32_t> bits;
    for (const std::string_view key : {"bits", "w_bit", "weight_bits"}) {
      const Json* value = q->find(key);
      if (value == nullptr || value->is_null() || value->as_object() != nullptr) continue;
      bits = whole(key, *value);
      if (bits && (*bits == 0 || *bits > 32))
        fail("model.range", fmt::format("{} is {}, expected 1 to 32", key, *bits));
      break;
    }
    const Json* group = q->find("group_size");
    if (group != nullptr && group->is_integer()) {
      // -1 is one group for a whole row.
      const auto size = group->as_int64();
      if (!size || *size == 0 || *size < -1) fail("model.range", "group_size is 0 or negative");
    } else if (group != nullptr && !group->is_null()) {
      fail("json.type",
           fmt::format("group_size is {}, expected a whole number", group->type_name()));
    }
    const auto set = [&](std::string_view key) {
      const Json* value = q->find(key);
      return value != nullptr && value->as_bool().value_or(false);
    };
    if (set("load_in_4bit")) bits = 4;
    if (set("load_in_8bit")) bits = 8;
    name = escape_text(name, 40);
    out_.quantization =
        bits && name != "FP8" && name != "MXFP4" ? fmt::format("{} {}-bit", name, *bits) : name;
  }

  const Json& root_;
  const Json* config_;  // the decoder's part of it
  const std::string& where_;
  std::string model_type_;
  const ArchitectureTraits* traits_ = nullptr;
  ModelShape shape_;
  HfConfig out_;
  std::optional<Error> error_;
};

}  // namespace

Result<HfConfig> read_hf_config(const Json& config, const std::string& where) {
  return ConfigReader(config, where).read();
}

}  // namespace hwdb
