// SPDX-License-Identifier: MIT
#include "hwdb/gguf_shape.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "hwdb/architecture.h"
#include "hwdb/limits.h"
#include "hwdb/shape_check.h"
#include "hwdb/tensor_names.h"
#include "hwdb/text_escape.h"

namespace hwdb {
namespace {

using Names = TensorNames;
using Window = ArchitectureTraits::Window;
using Mixing = ArchitectureTraits::Mixing;

constexpr std::uint64_t kNumberMax = ~std::uint32_t{0};

class ShapeReader {
 public:
  ShapeReader(const GgufFile& gguf, std::span<const TensorInfo> tensors, std::uint64_t n_tokens)
      : gguf_(gguf), n_tokens_(n_tokens), names_(summarize_names(tensors)) {}

  Result<ShapeReading> read() {
    auto architecture = gguf_.text("general.architecture", 256);
    if (!architecture) return architecture.error();
    if (!architecture->has_value()) return missing("general.architecture");
    shape_.architecture = **architecture;
    traits_ = find_architecture(shape_.architecture);
    shape_.known_architecture = traits_ != nullptr;

    read_sizes();
    read_heads();
    read_experts();
    read_windows();
    read_latent();
    read_recurrent();
    read_rope();
    read_extras();
    if (error_) return *error_;
    read_tensors();
    if (traits_ == nullptr) {
      out_.unknown_terms = {"KV cache", "compute buffer", "speed"};
      out_.warnings.push_back(fmt::format(
          "the architecture {} is not known here: sizes come from the tensor table alone",
          escape_text(shape_.architecture, 80)));
    }
    if (error_) return *error_;
    if (traits_ != nullptr || shape_.n_layers > 0) {
      if (Status s = check_shape(shape_, gguf_.file().shown_path()); !s) return s.error();
    }
    if (traits_ != nullptr) {
      if (Status s = check_tensors(); !s) return s.error();
    }
    out_.shape = std::move(shape_);
    return std::move(out_);
  }

 private:
  // Values by the key's end; the first error is kept and everything later is a default.
  std::string key(std::string_view suffix) const {
    return shape_.architecture + "." + std::string(suffix);
  }

  template <class T>
  std::optional<T> keep(Result<std::optional<T>> result) {
    if (result) return std::move(*result);
    if (!error_) error_ = result.error();
    return std::nullopt;
  }
  void fail(std::string_view code, std::string_view suffix, std::string what) {
    if (!error_) error_ = gguf_.key_error(code, key(suffix), std::move(what));
  }
  Error missing(std::string_view name) const {
    return gguf_.file().error("model.missing_key",
                              fmt::format("the key {} is missing", escape_text(name, 200)),
                              "the file is no complete model");
  }
  std::optional<std::uint32_t> number(std::string_view suffix) {
    const auto value = keep(gguf_.integer(key(suffix)));
    if (value && *value > kNumberMax) {
      fail("model.range", suffix, fmt::format("is {}, which no model has", *value));
      return std::nullopt;
    }
    if (!value) return std::nullopt;
    return static_cast<std::uint32_t>(*value);
  }
  std::uint32_t number_or(std::string_view suffix, std::uint32_t otherwise) {
    return number(suffix).value_or(otherwise);
  }
  /// A key that a known architecture must have.
  std::uint32_t required(std::string_view suffix) {
    const auto value = number(suffix);
    if (!value && traits_ != nullptr && !error_) error_ = missing(key(suffix));
    return value.value_or(0);
  }
  std::optional<double> real(std::string_view suffix) { return keep(gguf_.number(key(suffix))); }

  /// One value for all layers, or one each. Layers of built-in drafts at the end are left out.
  PerLayer per_layer(std::string_view suffix) {
    const auto values = keep(gguf_.integers(key(suffix), limits::kLayers));
    if (!values) return {};
    const GgufValue* stored = gguf_.find(key(suffix));
    std::vector<std::uint32_t> list;
    for (const std::uint64_t value : *values) {
      if (value > kNumberMax)
        fail("model.range", suffix, fmt::format("holds {}, which no model has", value));
      list.push_back(static_cast<std::uint32_t>(value));
    }
    if (stored->type == GgufType::array) {
      if (list.size() != n_blocks_) {
        fail("model.array_length", suffix,
             fmt::format("has {} entries for {} layers", list.size(), n_blocks_));
        return {};
      }
      list.resize(shape_.n_layers);
    }
    return collapse(std::move(list));
  }

  void read_sizes() {
    n_blocks_ = required("block_count");
    if (n_blocks_ > limits::kLayers ||
        (n_blocks_ == 0 && gguf_.find(key("block_count")) != nullptr)) {
      fail("model.range", "block_count",
           fmt::format("is {}, expected 1 to {}", n_blocks_, limits::kLayers));
      n_blocks_ = 0;
    }
    shape_.mtp_layers = number_or("nextn_predict_layers", 0);
    if (shape_.mtp_layers > 0 && shape_.mtp_layers >= n_blocks_) {
      fail("model.range", "nextn_predict_layers",
           fmt::format("is {} of {} layers", shape_.mtp_layers, n_blocks_));
      shape_.mtp_layers = 0;
    }
    shape_.n_layers = n_blocks_ - shape_.mtp_layers;
    shape_.n_embd = required("embedding_length");
    const auto context = keep(gguf_.integer(key("context_length")));
    if (context) shape_.n_ctx_train = *context;
    const auto vocabulary = keep(gguf_.integer(key("vocab_size")));
    shape_.n_vocab = n_tokens_ > 0 ? n_tokens_ : vocabulary.value_or(names_.token_embd[1]);
    shape_.n_ff = per_layer("feed_forward_length");
  }

  static std::uint32_t first_positive(const PerLayer& list) {
    for (const std::uint32_t value : list.values) {
      if (value > 0) return value;
    }
    return 0;
  }

  void read_heads() {
    const bool recurrent = traits_ != nullptr && traits_->mixing == Mixing::recurrent;
    shape_.n_heads = per_layer("attention.head_count");
    shape_.n_kv_heads = per_layer("attention.head_count_kv");
    if (shape_.n_kv_heads.empty()) shape_.n_kv_heads = shape_.n_heads;
    const std::uint32_t heads = first_positive(shape_.n_heads);
    if (recurrent) {
      shape_.n_heads = shape_.n_kv_heads = {};
      return;
    }
    if (traits_ != nullptr && !error_) {
      if (shape_.n_heads.empty()) {
        error_ = missing(key("attention.head_count"));
      } else if (heads == 0) {
        fail("model.range", "attention.head_count", "is 0");
      } else if (first_positive(shape_.n_kv_heads) == 0) {
        fail("model.range", "attention.head_count_kv", "is 0");
      }
    }
    const auto k = number("attention.key_length"), v = number("attention.value_length");
    if (heads > 0 && (!k || !v) && shape_.n_embd % heads != 0 && traits_ != nullptr) {
      fail("model.range", "embedding_length",
           fmt::format("is {}, which {} heads do not divide, and there is no key_length",
                       shape_.n_embd, heads));
    }
    const std::uint32_t derived = heads > 0 ? shape_.n_embd / heads : 0;
    shape_.head_dim_k = k.value_or(derived);
    shape_.head_dim_v = v.value_or(derived);
    if (traits_ != nullptr && heads > 0) {
      if (shape_.head_dim_k == 0) fail("model.range", "attention.key_length", "is 0");
      if (shape_.head_dim_v == 0) fail("model.range", "attention.value_length", "is 0");
    }
    // Sliding layers may have smaller heads than full ones; the main sizes are those of the sliding
    // ones.
    const auto k_swa = number("attention.key_length_swa"),
               v_swa = number("attention.value_length_swa");
    if (k_swa && *k_swa != shape_.head_dim_k) {
      shape_.global_variant =
          AttentionVariant{.head_dim_k = shape_.head_dim_k, .head_dim_v = shape_.head_dim_v};
      shape_.head_dim_k = *k_swa;
      shape_.head_dim_v = v_swa.value_or(*k_swa);
    }
  }

  void read_experts() {
    shape_.n_experts = number_or("expert_count", 0);
    shape_.n_experts_used = number_or("expert_used_count", 0);
    if (shape_.n_experts == 0) return;
    // Older conversions give the width of an expert as the feed-forward length.
    const auto width = number("expert_feed_forward_length");
    shape_.n_ff_expert = width.value_or(first_positive(shape_.n_ff));
    shape_.n_shared_experts = number_or("expert_shared_count", 0);
    const auto shared_width = number("expert_shared_feed_forward_length");
    if (shared_width && *shared_width > 0) {
      shape_.n_shared_experts = std::max(shape_.n_shared_experts, 1u);
      shape_.n_ff_shared = *shared_width / shape_.n_shared_experts;
    } else if (shape_.n_shared_experts > 0) {
      shape_.n_ff_shared = shape_.n_ff_expert;
    }
    shape_.first_dense_layers = number_or("leading_dense_block_count", 0);
    const std::uint32_t step =
        number_or("interleave_moe_layer_step", number_or("moe_every_n_layers", 1));
    shape_.moe_layer_step = std::max(step, 1u);
    shape_.moe_layer_offset = shape_.moe_layer_step - 1;
    if (!width && shape_.first_dense_layers == 0 && shape_.moe_layer_step == 1)
      shape_.n_ff = PerLayer(0);
  }

  void read_windows() {
    const auto window = number("attention.sliding_window");
    if (window && *window == 0 && (traits_ == nullptr || !traits_->zero_window_is_none)) {
      fail("model.range", "attention.sliding_window", "is 0");
    }
    const bool none = window && *window == 0;
    if (traits_ == nullptr || traits_->window == Window::ignored) {
      if (window && *window > 0 && traits_ != nullptr) {
        out_.warnings.push_back(
            fmt::format("the sliding window of {} tokens is not used by llama.cpp for this "
                        "architecture: the cache is counted in full",
                        *window));
      }
      return;
    }
    const std::uint32_t size = window.value_or(traits_->default_window);
    if (none || size == 0) return;
    std::uint32_t period = traits_->swa_period;
    std::vector<bool> sliding(shape_.n_layers, false);
    const GgufValue* pattern = gguf_.find(key("attention.sliding_window_pattern"));
    if (pattern != nullptr && pattern->type == GgufType::array) {
      const auto marks =
          keep(gguf_.integers(key("attention.sliding_window_pattern"), limits::kLayers));
      if (!marks) return;
      if (marks->size() != n_blocks_) {
        return fail("model.array_length", "attention.sliding_window_pattern",
                    fmt::format("has {} entries for {} layers", marks->size(), n_blocks_));
      }
      for (std::uint32_t i = 0; i < shape_.n_layers; ++i) sliding[i] = (*marks)[i] != 0;
    } else {
      period = number_or("attention.sliding_window_pattern", period);
      for (std::uint32_t i = 0; i < shape_.n_layers && period > 0; ++i) {
        sliding[i] = traits_->swa_period_dense_first ? i % period != 0 : i % period < period - 1;
      }
      if (period == 0) {
        out_.warnings.push_back(
            "which layers use the sliding window is not said: the cache is counted in full");
        return;
      }
    }
    if (std::ranges::count(sliding, true) == 0) return;
    for (std::uint32_t i = 0; i < shape_.n_layers; ++i) {
      if (!sliding[i]) shape_.global_layers.push_back(i);
    }
    shape_.all_layers_sliding = shape_.global_layers.empty();
    (traits_->window == Window::chunked ? shape_.chunked_attention : shape_.sliding_window) = size;
  }

  void read_latent() {
    const std::uint32_t kv_rank = number_or("attention.kv_lora_rank", 0);
    if (kv_rank == 0) return;
    const auto k_mla = number("attention.key_length_mla"),
               v_mla = number("attention.value_length_mla");
    const bool latent = (k_mla && v_mla) || names_.has(Names::kLatentKeys);
    if (!latent) {
      // llama.cpp expands the latent for these files, so the cache holds full keys and values.
      out_.warnings.push_back(
          "converted before the cache could hold the latent: full keys and values are cached");
      return;
    }
    MlaShape mla;
    mla.kv_lora_rank = kv_rank;
    mla.q_lora_rank = number_or("attention.q_lora_rank", 0);
    mla.qk_rope_dim = number_or("rope.dimension_count", 0);
    const std::uint32_t head = k_mla.value_or(shape_.head_dim_k);
    if (mla.qk_rope_dim > head) {
      return fail("model.range", "rope.dimension_count",
                  fmt::format("is {}, more than the {} of a head", mla.qk_rope_dim, head));
    }
    mla.qk_nope_dim = head - mla.qk_rope_dim;
    mla.v_head_dim = v_mla.value_or(shape_.head_dim_v);
    shape_.head_dim_k = head;
    shape_.head_dim_v = mla.v_head_dim;
    shape_.mla = mla;
    if (const auto heads = number("attention.indexer.head_count"); heads && *heads > 0) {
      shape_.indexer = IndexerShape{.n_heads = *heads,
                                    .head_dim = number_or("attention.indexer.key_length", 0),
                                    .top_k = number_or("attention.indexer.top_k", 0)};
    }
  }

  /// A size that a recurrent layer cannot do without.
  std::uint32_t state_size(std::string_view suffix) {
    const std::uint32_t value = required(suffix);
    if (value == 0 && !error_) fail("model.range", suffix, "is 0");
    return std::max(value, 1u);
  }

  void read_recurrent() {
    if (traits_ == nullptr || !traits_->ssm) return;
    using Kind = SsmShape::Kind;
    SsmShape ssm;
    ssm.kind = *traits_->ssm;
    if (ssm.kind == Kind::short_conv) {
      ssm.d_conv = state_size("shortconv.l_cache");
    } else if (ssm.kind == Kind::rwkv5 || ssm.kind == Kind::rwkv7) {
      ssm.head_dim = state_size("wkv.head_size");
      ssm.n_heads = shape_.n_embd / ssm.head_dim;
    } else if (ssm.kind == Kind::kda) {
      ssm.d_conv = state_size("ssm.conv_kernel");
      ssm.head_dim = state_size("kda.head_dim");
      ssm.n_heads = first_positive(shape_.n_heads);
    } else {
      ssm.d_conv = state_size("ssm.conv_kernel");
      ssm.d_inner = state_size("ssm.inner_size");
      ssm.d_state = state_size("ssm.state_size");
      ssm.dt_rank = state_size("ssm.time_step_rank");
      ssm.n_groups = number_or("ssm.group_count", 0);
      if (ssm.kind == Kind::mamba2) {
        ssm.n_heads = ssm.dt_rank;
        ssm.head_dim = ssm.d_inner / ssm.n_heads;
      } else if (ssm.kind == Kind::gated_deltanet) {
        ssm.n_k_heads = ssm.n_groups;
        ssm.n_v_heads = ssm.dt_rank;
        ssm.head_k = ssm.d_state;
        ssm.head_v = ssm.d_inner / ssm.n_v_heads;
      }
    }
    ssm.gated_norm = !names_.has_tensors || names_.has(Names::kSsmNorm);
    ssm.bcdt_norm = names_.has(Names::kBcDtNorm);
    shape_.ssm = ssm;
    shape_.hybrid = true;
    choose_attention_layers();
  }

  void choose_attention_layers() {
    const std::uint32_t interval =
        number_or("full_attention_interval", traits_->full_attention_interval);
    if (traits_->mixing == Mixing::by_interval && interval == 0)
      return fail("model.range", "full_attention_interval", "is 0");
    for (std::uint32_t i = 0; i < shape_.n_layers; ++i) {
      bool attends = false;
      switch (traits_->mixing) {
        case Mixing::attention:
        case Mixing::both:
          attends = true;
          break;
        case Mixing::recurrent:
          break;
        case Mixing::by_kv_heads:
          attends = value_at(shape_.n_kv_heads, i) > 0;
          break;
        case Mixing::by_interval:
          attends = (i + 1) % interval == 0;
          break;
      }
      // The tensors know better where they are there.
      if (traits_->mixing == Mixing::by_interval && i < names_.layers.size() &&
          names_.layers[i].tensors > 0) {
        attends = (names_.layers[i].marks & Names::kAttention) != 0;
      }
      if (attends) shape_.attention_layers.push_back(i);
    }
    // One number for the layers that attend, as the list of layers says the rest.
    std::vector<std::uint32_t> counts;
    for (const std::uint32_t i : shape_.attention_layers)
      counts.push_back(value_at(shape_.n_kv_heads, i));
    if (const PerLayer same = collapse(counts); same.values.size() == 1) shape_.n_kv_heads = same;
  }
  static std::uint32_t value_at(const PerLayer& list, std::uint32_t layer) {
    return list.varies() && layer >= list.values.size() ? 0 : list.at(layer);
  }

  void read_rope() {
    RopeShape& rope = shape_.rope;
    for (const auto& [suffix, member] :
         {std::pair{"rope.freq_base", &RopeShape::freq_base},
          std::pair{"rope.freq_base_swa", &RopeShape::freq_base_swa}}) {
      const auto base = real(suffix);
      if (!base) continue;
      if (!std::isfinite(*base) || *base <= 0)
        fail("model.range", suffix, fmt::format("is {}, expected a positive number", *base));
      rope.*member = *base;
    }
    rope.scaling = keep(gguf_.text(key("rope.scaling.type"), 64)).value_or("");
    if (rope.scaling == "none") rope.scaling.clear();
    const auto factor = real("rope.scaling.factor");
    const auto linear = real("rope.scale_linear");
    rope.factor = factor.value_or(linear.value_or(0));
    if (rope.scaling.empty() && rope.factor > 1) rope.scaling = "linear";
    rope.original_context =
        keep(gguf_.integer(key("rope.scaling.original_context_length"))).value_or(0);
    const auto rotated = number("rope.dimension_count");
    if (rotated && !shape_.mla && shape_.head_dim_k > 0 && *rotated < shape_.head_dim_k) {
      rope.partial_factor = static_cast<double>(*rotated) / shape_.head_dim_k;
    }
  }

  void read_extras() {
    shape_.kv_shared_layers = number_or("attention.shared_kv_layers", 0);
    if (traits_ != nullptr && traits_->kv_from_start > 0 && shape_.kv_shared_layers == 0 &&
        shape_.n_layers > traits_->kv_from_start) {
      shape_.kv_shared_layers = shape_.n_layers - traits_->kv_from_start;
    }
    shape_.per_layer_dim = number_or("embedding_length_per_layer_input", 0);
    if (shape_.per_layer_dim > 0)
      shape_.per_layer_vocab =
          names_.per_layer_embd[1] > 0 ? names_.per_layer_embd[1] : shape_.n_vocab;
    shape_.altup_inputs = number_or("altup.num_inputs", 0);
    shape_.laurel_rank =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(names_.laurel[1], limits::kVocabulary));
  }

  /// Biases, norms and fused matrices: from the tensors, else from the traits.
  void read_tensors() {
    if (!names_.has_tensors) {
      if (traits_ != nullptr) read_traits();
      return;
    }
    shape_.tie_embeddings = !names_.output;
    shape_.attn_qkv_bias = names_.has(Names::kQkvBias);
    shape_.attn_out_bias = names_.has(Names::kOutBias);
    shape_.mlp_bias = names_.has(Names::kMlpBias);
    shape_.expert_bias = names_.has(Names::kExpertBias);
    shape_.router_bias = names_.has(Names::kRouterBias);
    shape_.shared_expert_gate = names_.has(Names::kSharedGate);
    shape_.attn_sinks = names_.has(Names::kSinks);
    shape_.fused_qkv = names_.has(Names::kFusedQkv) && !names_.has(Names::kAttention);
    shape_.norm = names_.norm_bias ? ModelShape::Norm::layernorm : ModelShape::Norm::rmsnorm;
    shape_.norms_per_layer = names_.layers.empty() ? 2 : names_.layers.front().norms;
    shape_.learned_positions =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(names_.position_embd[1], kNumberMax));
    const std::uint32_t n_ff = first_positive(shape_.n_ff);
    const bool gate = names_.has(Names::kFfnGate);
    shape_.fused_gate_up = !gate && n_ff > 0 && names_.ffn_up[1] >= 2 * std::uint64_t{n_ff};
    shape_.ffn_gated = gate || shape_.fused_gate_up;
    const std::uint64_t width = std::uint64_t{first_positive(shape_.n_heads)} * shape_.head_dim_k;
    shape_.attn_output_gate =
        traits_ != nullptr && traits_->attn_output_gate && width > 0 && names_.q[1] >= 2 * width;
    if (names_.has(Names::kQkNorm)) {
      const auto& q = names_.q_norm;
      shape_.qk_norm = q[1] > 1                    ? ModelShape::QkNorm::per_head
                       : q[0] == shape_.head_dim_k ? ModelShape::QkNorm::per_head_dim
                                                   : ModelShape::QkNorm::full_width;
    }
    if (shape_.global_variant && !shape_.global_layers.empty()) {
      const std::uint32_t layer = shape_.global_layers.front();
      const bool listed = layer < names_.layers.size();
      shape_.global_variant->v_is_k =
          listed && (names_.layers[layer].marks & (Names::kValues | Names::kFusedQkv)) == 0;
    }
    read_expert_layers();
    read_layer_pattern();
  }

  void read_traits() {
    const ArchitectureTraits& t = *traits_;
    shape_.tie_embeddings = t.tied;
    shape_.attn_qkv_bias = t.qkv_bias;
    shape_.attn_out_bias = t.out_bias;
    shape_.mlp_bias = t.mlp_bias;
    shape_.expert_bias = t.expert_bias;
    shape_.router_bias = t.router_bias;
    shape_.shared_expert_gate = t.shared_expert_gate;
    shape_.attn_output_gate = t.attn_output_gate;
    shape_.attn_sinks = t.attn_sinks;
    shape_.fused_qkv = t.fused_qkv;
    shape_.fused_gate_up = t.fused_gate_up;
    shape_.ffn_gated = t.ffn_gated;
    shape_.norm = t.layernorm ? ModelShape::Norm::layernorm : ModelShape::Norm::rmsnorm;
    shape_.norms_per_layer = t.norms_per_layer;
    shape_.qk_norm = t.qk_norm;
    if (t.learned_positions)
      shape_.learned_positions = static_cast<std::uint32_t>(
          std::min<std::uint64_t>(shape_.n_ctx_train.value_or(0), kNumberMax));
  }

  void read_expert_layers() {
    if (shape_.n_experts == 0) return;
    std::vector<std::uint32_t> experts = names_.layers_with(Names::kExperts),
                               dense = names_.layers_with(Names::kDenseFfn);
    std::erase_if(experts, [&](std::uint32_t i) { return i >= shape_.n_layers; });
    std::erase_if(dense, [&](std::uint32_t i) { return i >= shape_.n_layers; });
    if (experts.empty()) return;
    std::vector<std::uint32_t> both;
    std::ranges::set_intersection(experts, dense, std::back_inserter(both));
    shape_.dense_ffn_beside_experts = !both.empty();
    if (dense.empty()) shape_.n_ff = PerLayer(0);
    if (!describe_moe_layers(experts, &shape_) && !traits_by_letter()) {
      out_.warnings.push_back(
          "the layers with experts follow no simple rule: their cost per layer is approximate");
    }
    if (shape_.n_shared_experts == 0 && names_.has(Names::kSharedExpert) &&
        names_.ffn_up_shared[1] <= limits::kVocabulary) {
      shape_.n_shared_experts = 1;
      shape_.n_ff_shared = static_cast<std::uint32_t>(names_.ffn_up_shared[1]);
    }
  }

  /// One thing a layer (mamba, attention, feed-forward or experts) instead of mixing and
  /// feed-forward.
  bool traits_by_letter() const {
    return traits_ != nullptr && traits_->mixing == Mixing::by_kv_heads &&
           traits_->norms_per_layer == 1;
  }
  void read_layer_pattern() {
    if (!traits_by_letter() || names_.layers.size() < shape_.n_layers) return;
    for (std::uint32_t i = 0; i < shape_.n_layers; ++i) {
      const std::uint32_t marks = names_.layers[i].marks;
      shape_.layer_pattern += (marks & Names::kRecurrent) != 0   ? 'M'
                              : (marks & Names::kAttention) != 0 ? '*'
                              : (marks & Names::kExperts) != 0   ? 'E'
                                                                 : '-';
    }
  }

  Status check_tensors() const {
    if (!names_.has_tensors) return Ok{};
    const auto contradicts = [&](std::string what) {
      return gguf_.file().error("model.inconsistent", std::move(what),
                                "a part of another model, or a damaged file");
    };
    if (names_.layers.size() > n_blocks_) {
      return contradicts(fmt::format("there is a block {}, but block_count is {}",
                                     names_.layers.size() - 1, n_blocks_));
    }
    for (std::uint32_t i = 0; i < shape_.n_layers; ++i) {
      const bool empty = i >= names_.layers.size() || names_.layers[i].tensors == 0;
      // A layer without heads and feed-forward is left out of the file.
      const bool meant = value_at(shape_.n_heads, i) == 0 && value_at(shape_.n_ff, i) == 0 &&
                         !shape_.hybrid && shape_.n_experts == 0;
      if (empty && !meant)
        return contradicts(
            fmt::format("there are no tensors of block {}, but block_count is {}", i, n_blocks_));
    }
    const auto& embd = names_.token_embd;
    if (embd[0] != 0 || embd[1] != 0) {
      if (embd[1] != shape_.n_vocab)
        return contradicts(fmt::format("token_embd.weight has {} rows for a vocabulary of {}",
                                       embd[1], shape_.n_vocab));
      if (embd[0] != shape_.n_embd)
        return contradicts(
            fmt::format("token_embd.weight has rows of {}, but embedding_length is {}", embd[0],
                        shape_.n_embd));
    }
    return Ok{};
  }

  const GgufFile& gguf_;
  std::uint64_t n_tokens_;
  TensorNames names_;
  const ArchitectureTraits* traits_ = nullptr;
  ModelShape shape_;
  ShapeReading out_;
  std::uint32_t n_blocks_ = 0;  // built-in draft layers included
  std::optional<Error> error_;
};

}  // namespace

Result<ShapeReading> read_gguf_shape(const GgufFile& gguf, std::span<const TensorInfo> tensors,
                                     std::uint64_t n_tokens) {
  return ShapeReader(gguf, tensors, n_tokens).read();
}

Status check_gguf_projector(const GgufFile& gguf) {
  for (const std::string_view name : {"clip.vision.image_mean", "clip.vision.image_std"}) {
    const GgufValue* value = gguf.find(name);
    if (value == nullptr) continue;
    if (value->type != GgufType::array ||
        (value->element != GgufType::f32 && value->element != GgufType::f64)) {
      return gguf.key_error("gguf.key_type", name, "is not an array of f32");
    }
    if (value->count < 3)
      return gguf.key_error("model.array_length", name,
                            fmt::format("has {} values, expected one a colour", value->count));
  }
  auto pinpoints = gguf.integers("clip.vision.image_grid_pinpoints", 65'536);
  if (!pinpoints) return pinpoints.error();
  if (pinpoints->has_value() && (**pinpoints).size() % 2 != 0) {
    return gguf.key_error("model.array_length", "clip.vision.image_grid_pinpoints",
                          fmt::format("has {} values, expected pairs", (**pinpoints).size()));
  }
  struct Bound {
    std::string_view key;
    std::uint64_t high;
  };
  constexpr std::uint64_t kLargest = 65'536;
  for (const Bound& bound :
       {Bound{"clip.vision.patch_size", kLargest}, Bound{"clip.vision.image_size", kLargest},
        Bound{"clip.vision.block_count", limits::kLayers},
        Bound{"clip.audio.block_count", limits::kLayers},
        Bound{"clip.vision.attention.head_count", kLargest},
        Bound{"clip.vision.embedding_length", 1u << 24}, Bound{"clip.audio.chunk_size", kLargest},
        Bound{"clip.vision.spatial_merge_size", kLargest}}) {
    auto value = gguf.integer(bound.key);
    if (!value) return value.error();
    if (value->has_value() && (**value == 0 || **value > bound.high)) {
      return gguf.key_error("model.range", bound.key,
                            fmt::format("is {}, expected 1 to {}", **value, bound.high));
    }
  }
  return Ok{};
}

}  // namespace hwdb
