// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hwdb/quant_format.h"
#include "hwdb/units.h"

namespace hwdb {

/// One value for all layers, or one each.
struct PerLayer {
  std::vector<std::uint32_t>
      values;  // empty: absent; one element: every layer; else n_layers elements
  PerLayer() = default;
  PerLayer(std::uint32_t v) : values{v} {}
  std::uint32_t at(std::uint32_t layer) const {
    return values.empty() ? 0 : values.size() == 1 ? values[0] : values[layer];
  }
  bool empty() const { return values.empty(); }
  bool varies() const { return values.size() > 1; }
};

/// Multi-head latent attention: the cache holds one latent and one rotary part per token.
struct MlaShape {
  std::uint32_t kv_lora_rank = 0;
  std::uint32_t q_lora_rank = 0;  // 0: one full-rank query matrix
  std::uint32_t qk_nope_dim = 0;  // per head, without position
  std::uint32_t qk_rope_dim = 0;  // per head, rotary
  std::uint32_t v_head_dim = 0;
  /// False: a file of before April 2025 with attn_kv_b in one piece; llama.cpp then caches full
  /// keys and values.
  bool split_kv_b = true;
};

/// What a recurrent, linear-attention or short-convolution layer keeps for a sequence.
struct SsmShape {
  enum class Kind {
    mamba1,
    mamba2,
    gated_deltanet,
    kda,
    lightning_attention,
    short_conv,
    rwkv5,
    rwkv7
  };
  Kind kind = Kind::mamba2;
  std::uint32_t d_inner = 0, d_state = 0, d_conv = 0, dt_rank = 0, n_groups = 0;
  std::uint32_t n_heads = 0, head_dim = 0;  // mamba2, kda, lightning, rwkv
  std::uint32_t n_k_heads = 0, n_v_heads = 0, head_k = 0, head_v = 0;  // gated_deltanet
  bool gated_norm = true;  // mamba2: an own norm before the output
  bool bcdt_norm = false;  // mamba1 as in Jamba: norms on B, C and dt
  // rwkv7: ranks of the low-rank pairs for decay, in-context rate, value mix and gate.
  std::uint32_t decay_rank = 0, rate_rank = 0, value_rank = 0, gate_rank = 0;
};

/// The sparse-attention index of DeepSeek-V3.2-like models: one more, smaller key cache.
struct IndexerShape {
  std::uint32_t n_heads = 0, head_dim = 0, top_k = 0;
  std::uint32_t block = 0;        // MiniMax-M3: top_k counts blocks of this many tokens; 0: tokens
  std::uint32_t first_layer = 0;  // layers below it have no index
};

/// Low-rank query and output projections around a single latent head (DeepSeek-V4).
struct LowRankAttention {
  std::uint32_t q_lora_rank = 0, o_lora_rank = 0, o_groups = 0;
};

/// A second set of attention sizes that some layers use (full layers of Gemma 4, sliding layers of
/// MiMo and Step).
struct AttentionVariant {
  std::uint32_t n_heads = 0, n_kv_heads = 0, head_dim_k = 0,
                head_dim_v = 0;  // 0: as the main attention
  bool v_is_k = false;           // values reuse the key projection: no V matrix
};

struct RopeShape {
  double freq_base = 0;      // 0: not known
  double freq_base_swa = 0;  // 0: as freq_base
  std::string scaling;  // "", "linear", "yarn", "llama3", "longrope", "dynamic", "proportional"
  double factor = 0;
  std::uint64_t original_context = 0;
  double partial_factor = 0;  // share of the head that is rotated; 0: all
  double low_freq_factor = 0, high_freq_factor = 0, alpha = 0;  // of the scaling; 0: not given
  std::uint32_t none_every = 0;  // every n-th layer has no rotary embedding; 0: all have it
};

/// Everything about a decoder's shape that decides its size, its cache and its arithmetic. From the
/// catalogue, a GGUF header or a config.json; never from a model's name. Unknown architectures have
/// `known_architecture` false and only what the file says.
struct ModelShape {
  std::string architecture;  // general.architecture of GGUF, "" when there is none
  bool known_architecture = false;

  std::uint32_t n_layers = 0, n_embd = 0;
  std::uint64_t n_vocab = 0;
  std::optional<std::uint64_t> n_ctx_train;
  PerLayer n_heads, n_kv_heads,
      n_ff;  // n_kv_heads 0 at a layer: no attention there; n_ff 0: no dense FFN there
  std::uint32_t head_dim_k = 0, head_dim_v = 0;

  std::uint32_t n_experts = 0, n_experts_used = 0, n_ff_expert = 0;
  std::uint32_t n_shared_experts = 0, n_ff_shared = 0;  // n_ff_shared: width of one shared expert
  std::uint32_t first_dense_layers = 0, moe_layer_step = 1, moe_layer_offset = 0;
  bool dense_ffn_beside_experts = false;  // Gemma 4: a MoE layer also has a dense FFN
  std::uint32_t expert_latent_dim = 0;    // experts work in a space of this width; 0: n_embd
  std::uint32_t hash_routed_layers = 0;   // the first n layers route by token id (DeepSeek-V4)

  std::uint32_t sliding_window = 0;          // 0: none
  std::vector<std::uint32_t> global_layers;  // layers with full attention when sliding_window > 0
  bool all_layers_sliding = false;  // sliding_window on every layer (then global_layers is empty)
  bool llama_cpp_ignores_window = false;  // the publisher's window; llama.cpp attends to all
  std::uint32_t chunked_attention =
      0;  // Llama 4: like a window, in chunks of this many tokens; 0: none
  std::optional<AttentionVariant> global_variant, sliding_variant;
  std::uint32_t kv_shared_layers = 0;  // the last n layers reuse an earlier layer's cache
  std::uint32_t n_ff_kv_shared = 0;    // FFN width of those layers where it differs; 0: as n_ff
  std::uint32_t kv_share_factor = 1;   // every n neighbouring layers have one cache (Hunyuan-Large)

  std::optional<MlaShape> mla;
  std::optional<SsmShape> ssm;
  std::optional<IndexerShape> indexer;
  std::optional<LowRankAttention> low_rank_attention;
  std::vector<std::uint32_t>
      attention_layers;  // hybrids: layers with an attention cache; the others are recurrent
  bool hybrid = false;   // attention_layers is meant (it may be empty: no attention at all)
  bool ssm_beside_attention = false;  // Falcon-H1: every layer has both, side by side
  std::string
      layer_pattern;  // Nemotron-H: one letter a layer, M mamba, * attention, - FFN, E experts
  RopeShape rope;

  bool tie_embeddings = false;
  bool attn_qkv_bias = false, attn_out_bias = false, mlp_bias = false, expert_bias = false,
       router_bias = false;
  enum class QkNorm { none, per_head_dim, full_width, per_head } qk_norm = QkNorm::none;
  bool attn_output_gate = false, shared_expert_gate = false, attn_sinks = false;
  bool ffn_gated = true;
  enum class Norm { rmsnorm, layernorm } norm = Norm::rmsnorm;
  std::uint32_t norms_per_layer = 2;
  std::uint32_t learned_positions = 0;
  bool fused_qkv = false, fused_gate_up = false;
  std::uint32_t mtp_layers = 0;
  bool vision = false;
  // Gemma 3n and 4: a second embedding per layer, kept on the host.
  std::uint64_t per_layer_vocab = 0;
  std::uint32_t per_layer_dim = 0, altup_inputs = 0, laurel_rank = 0;
  std::uint32_t hyper_connections = 0;  // residual streams (DeepSeek-V4); 0: the usual one
  bool alibi = false;                   // position by linear biases, no rotary embedding
  bool swa_sinks = false;               // attention sinks on the sliding layers only
};

/// What mixes tokens in a layer, and so what its cache holds. `none` is a layer of a feed-forward
/// network alone.
enum class LayerKind { full_attention, sliding_attention, chunked_attention, mla, recurrent, none };

/// One layer, spelled out from the compact shape.
struct LayerShape {
  LayerKind kind = LayerKind::full_attention;
  std::uint32_t n_heads = 0, n_kv_heads = 0, head_dim_k = 0, head_dim_v = 0;
  bool v_is_k = false;          // values reuse the key projection (the cache holds both)
  bool owns_cache = true;       // false: reuses an earlier layer's cache
  bool has_state = false;       // recurrent, or a recurrent mixer beside attention (Falcon-H1)
  std::uint32_t window = 0;     // tokens visible; 0: all
  std::uint32_t n_ff = 0;       // dense FFN width; 0: none
  std::uint32_t n_experts = 0;  // routed experts in this layer; 0: dense
};

/// The layers in order; n_layers of them (MTP layers not included).
std::vector<LayerShape> layers_of(const ModelShape& shape);

/// Guards the arithmetic on a shape from anywhere: error model.overflow when a width is beyond
/// 2^24, model.range when there are no layers or more than limits::kLayers. Products of two widths
/// then fit 64 bits.
Status check_sizes(const ModelShape& shape);

/// One entry of a tensor directory. ne[0] is the row length; unused dimensions are 1.
struct TensorInfo {
  std::string name;
  std::array<std::uint64_t, 4> ne{1, 1, 1, 1};
  TensorType type{};
  std::uint64_t bytes = 0;   // without padding
  std::uint64_t offset = 0;  // from the start of the shard's data section
  std::uint32_t shard = 0;
  std::uint64_t elements() const { return ne[0] * ne[1] * ne[2] * ne[3]; }
  std::uint64_t rows() const { return ne[1] * ne[2] * ne[3]; }
};

/// A tokenizer as far as a header tells.
struct VocabularyInfo {
  std::string model;  // tokenizer.ggml.model, or the class in tokenizer_config
  std::string pre;
  std::uint64_t n_tokens = 0, n_merges = 0;
  bool has_chat_template = false;
  std::string chat_template_head;  // its first 200 bytes, as stored: escape before showing
};

/// A model that is there as files, read without its weights.
struct ModelFile {
  enum class Format { gguf, safetensors, config_only };
  Format format = Format::gguf;
  std::vector<std::string> paths;  // shards in order
  Bytes file_bytes;                // all shards
  Bytes metadata_bytes;            // GGUF header of all shards, up to the data
  std::uint32_t version = 0;       // GGUF version
  std::uint64_t alignment = 32;
  std::string name, size_label,
      quantization;          // general.name; file type or quantization method in words, "" unknown
  std::string general_type;  // "model", "adapter", "mmproj"; "" when not said
  std::optional<std::uint32_t> file_type;  // general.file_type of GGUF, the preset's number
  ModelShape shape;
  VocabularyInfo vocabulary;
  std::vector<TensorInfo>
      tensors;  // GGUF: as stored. safetensors: names as stored, `type` by dtype where GGUF has it
  struct Dtype {
    std::string name;
    std::uint64_t tensors = 0, elements = 0, bytes = 0;
  };
  std::vector<Dtype> dtypes;  // what the file is made of, largest first
  std::vector<std::string> warnings,
      unknown_terms;  // unknown_terms: what cannot be computed for this architecture
};

}  // namespace hwdb
