// SPDX-License-Identifier: MIT
#pragma once

#include <cstdlib>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "hwdb/json.h"
#include "hwdb/model.h"

/// For tests: the collected facts outside the repository, where they are present.
namespace hwdb::facts {

/// The text of a file of the facts folder beside the source tree; absent when it is not there.
inline std::optional<std::string> read_fact(const std::string& name) {
  for (const char* base : {"/../shared/facts/", "/../../shared/facts/"}) {
    std::ifstream in(TOKWATT_SOURCE_DIR + std::string(base) + name, std::ios::binary);
    if (!in) continue;
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
  }
  return std::nullopt;
}

/// Rows of a comma-separated file by column name; quoted fields may hold commas.
inline std::vector<std::map<std::string, std::string>> parse_csv(const std::string& text) {
  std::vector<std::vector<std::string>> lines(1);
  std::string field;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '"' && i + 1 < text.size() && text[i + 1] == '"') {
        field += '"';
        ++i;
      } else if (c == '"') {
        quoted = false;
      } else {
        field += c;
      }
    } else if (c == '"') {
      quoted = true;
    } else if (c == ',' || c == '\n') {
      lines.back().push_back(field);
      field.clear();
      if (c == '\n') lines.emplace_back();
    } else if (c != '\r') {
      field += c;
    }
  }
  std::vector<std::map<std::string, std::string>> rows;
  for (std::size_t i = 1; i < lines.size(); ++i) {
    if (lines[i].size() != lines[0].size()) continue;
    auto& row = rows.emplace_back();
    for (std::size_t c = 0; c < lines[i].size(); ++c) row[lines[0][c]] = lines[i][c];
  }
  return rows;
}

struct FactModel {
  std::string id, params_check;
  std::optional<std::uint64_t> params_total, params_mtp_block, kv_elements_per_token;
  ModelShape shape;
  bool layer_order_known = true;
};

inline std::uint32_t number(const Json& row, std::string_view key) {
  const Json* v = row.find(key);
  return v != nullptr ? static_cast<std::uint32_t>(v->as_uint64().value_or(0)) : 0;
}
inline bool flag(const Json& row, std::string_view key) {
  const Json* v = row.find(key);
  return v != nullptr && v->as_bool().value_or(false);
}
inline std::string text(const Json& row, std::string_view key) {
  const Json* v = row.find(key);
  return v != nullptr && v->as_string() != nullptr ? *v->as_string() : "";
}
inline std::vector<std::uint32_t> numbers(const Json* list) {
  std::vector<std::uint32_t> out;
  if (list == nullptr) return out;
  if (const auto* items = list->as_array()) {
    for (const Json& v : *items) out.push_back(static_cast<std::uint32_t>(*v.as_uint64()));
  } else if (auto v = list->as_uint64()) {
    out.push_back(static_cast<std::uint32_t>(*v));
  }
  return out;
}
inline const Json* object(const Json& row, std::string_view key) {
  const Json* v = row.find(key);
  return v != nullptr && v->is_object() ? v : nullptr;
}

inline SsmShape ssm_of(const Json& ssm) {
  static const std::map<std::string, SsmShape::Kind> kKinds = {
      {"mamba1", SsmShape::Kind::mamba1},
      {"mamba2", SsmShape::Kind::mamba2},
      {"gated_deltanet", SsmShape::Kind::gated_deltanet},
      {"kda", SsmShape::Kind::kda},
      {"lightning_attention", SsmShape::Kind::lightning_attention},
      {"short_conv", SsmShape::Kind::short_conv},
      {"rwkv5", SsmShape::Kind::rwkv5},
      {"rwkv7", SsmShape::Kind::rwkv7}};
  SsmShape out;
  out.kind = kKinds.at(text(ssm, "type"));
  out.d_inner = number(ssm, "d_inner");
  out.d_state = number(ssm, "d_state");
  out.d_conv = number(ssm, "d_conv");
  out.dt_rank = number(ssm, "dt_rank");
  out.n_groups = number(ssm, "n_groups");
  out.n_heads = number(ssm, "n_heads");
  out.head_dim = number(ssm, "head_dim") + number(ssm, "head_size");
  out.n_k_heads = number(ssm, "n_k_heads");
  out.n_v_heads = number(ssm, "n_v_heads");
  out.head_k = number(ssm, "head_k");
  out.head_v = number(ssm, "head_v");
  out.gated_norm = ssm.find("gated_norm") == nullptr || flag(ssm, "gated_norm");
  out.bcdt_norm = flag(ssm, "bcdt_norm");
  out.decay_rank = number(ssm, "decay_low_rank");
  out.rate_rank = number(ssm, "a_low_rank");
  out.value_rank = number(ssm, "v_low_rank");
  out.gate_rank = number(ssm, "gate_low_rank");
  return out;
}

inline AttentionVariant variant_of(const Json& v) {
  AttentionVariant out;
  out.n_heads = number(v, "n_head");
  out.n_kv_heads = number(v, "n_head_kv");
  out.head_dim_k = out.head_dim_v = number(v, "head_dim");
  out.v_is_k = flag(v, "k_eq_v");
  return out;
}

inline void read_extra(const Json& extra, FactModel* model) {
  ModelShape& s = model->shape;
  s.n_embd_expert = number(extra, "latent");
  s.attn_sinks = flag(extra, "attn_sinks") || flag(extra, "swa_sinks");
  s.kv_shared_layers = number(extra, "kv_shared_layers");
  s.altup_inputs = number(extra, "altup_inputs");
  s.laurel_rank = number(extra, "laurel_rank");
  s.layer_pattern = text(extra, "hybrid_pattern");
  s.dense_ffn_beside_experts = flag(extra, "moe_plus_dense");
  s.chunked_attention = number(extra, "attention_chunk_size");
  if (const Json* v = object(extra, "per_layer_embedding")) {
    s.per_layer_vocab = number(*v, "vocab");
    s.per_layer_dim = number(*v, "dim");
  }
  if (const Json* v = object(extra, "global_attn")) s.global_variant = variant_of(*v);
  if (const Json* v = object(extra, "swa_attn")) s.sliding_variant = variant_of(*v);
  if (const Json* v = object(extra, "indexer")) {
    s.indexer = IndexerShape{number(*v, "n_heads"), number(*v, "head_dim"), number(*v, "topk")};
  }
  if (const Json* v = extra.find("layer_order_known")) {
    model->layer_order_known = v->as_bool().value_or(true);
  }
}

inline FactModel model_of(const Json& row) {
  FactModel model;
  ModelShape& s = model.shape;
  model.id = text(row, "id");
  model.params_check = text(row, "params_check");
  if (const Json* v = row.find("params_total")) model.params_total = v->as_uint64();
  if (const Json* v = row.find("params_mtp_block")) model.params_mtp_block = v->as_uint64();
  if (const Json* v = row.find("kv_elems_per_token")) model.kv_elements_per_token = v->as_uint64();
  s.architecture = text(row, "arch");
  s.known_architecture = flag(row, "llama_cpp_arch_known");
  s.n_layers = number(row, "n_layer");
  s.n_embd = number(row, "n_embd");
  s.n_vocab = number(row, "vocab_size");
  s.n_heads.values = numbers(row.find("n_head"));
  s.n_kv_heads.values = numbers(row.find("n_head_kv"));
  s.n_ff.values = numbers(row.find("n_ff"));
  s.head_dim_k = number(row, "head_dim_k");
  s.head_dim_v = number(row, "head_dim_v");
  s.n_experts = number(row, "n_expert");
  s.n_experts_used = number(row, "n_expert_used");
  s.n_ff_expert = number(row, "n_ff_expert");
  s.n_shared_experts = number(row, "n_shared_expert");
  s.n_ff_shared = number(row, "n_ff_shared");
  s.first_dense_layers = number(row, "first_dense_layers");
  s.moe_layer_step = std::max<std::uint32_t>(number(row, "moe_layer_step"), 1);
  s.moe_layer_offset = number(row, "moe_layer_offset");
  s.sliding_window = number(row, "sliding_window");
  if (const Json* v = object(row, "swa_pattern")) {
    s.global_layers = numbers(v->find("global_layers"));
  } else if (text(row, "swa_pattern") == "all") {
    s.all_layers_sliding = true;
  }
  if (const Json* v = object(row, "mla")) {
    s.mla = MlaShape{number(*v, "kv_lora_rank"), number(*v, "q_lora_rank"), number(*v, "qk_nope"),
                     number(*v, "qk_rope"),      number(*v, "v_head_dim"),  true};
  }
  if (const Json* v = object(row, "ssm")) s.ssm = ssm_of(*v);
  if (const Json* v = row.find("attention_layers"); v != nullptr && v->is_array()) {
    s.attention_layers = numbers(v);
    s.hybrid = true;
  }
  if (const Json* rope = object(row, "rope")) {
    if (const Json* scaling = object(*rope, "scaling")) {
      s.rope.scaling = text(*scaling, "type");
      if (const Json* v = scaling->find("partial_rotary_factor")) {
        s.rope.partial_factor = v->as_double().value_or(0);
      }
    }
  }
  s.tie_embeddings = flag(row, "tie_embeddings");
  s.attn_qkv_bias = flag(row, "attn_qkv_bias");
  s.attn_out_bias = flag(row, "attn_out_bias");
  s.mlp_bias = flag(row, "mlp_bias");
  s.expert_bias = flag(row, "expert_bias");
  s.router_bias = flag(row, "router_bias");
  const std::string norm = text(row, "qk_norm");
  s.qk_norm = norm.starts_with("per head_dim") ? ModelShape::QkNorm::per_head_dim
              : norm == "full width"           ? ModelShape::QkNorm::full_width
              : norm == "one vector per head"  ? ModelShape::QkNorm::per_head
                                               : ModelShape::QkNorm::none;
  s.attn_output_gate = flag(row, "attn_output_gate");
  s.shared_expert_gate = flag(row, "shared_expert_gate");
  s.ffn_gated = flag(row, "ffn_gated");
  s.norm =
      text(row, "norm") == "layernorm" ? ModelShape::Norm::layernorm : ModelShape::Norm::rmsnorm;
  s.norms_per_layer = number(row, "norms_per_layer");
  s.learned_positions = number(row, "learned_positions");
  s.fused_qkv = flag(row, "fused_qkv_in_gguf");
  s.fused_gate_up = flag(row, "fused_gate_up_in_gguf");
  s.mtp_layers = number(row, "mtp_layers");
  if (const Json* extra = object(row, "extra")) read_extra(*extra, &model);
  return model;
}

/// All shapes of the facts, by id; empty where the facts are absent.
inline const std::map<std::string, FactModel>& models() {
  static const std::map<std::string, FactModel> kModels = [] {
    std::map<std::string, FactModel> out;
    const auto text_of_file = read_fact("models.json");
    if (!text_of_file) return out;
    const auto document = parse_json(*text_of_file, "models.json");
    if (!document) return out;
    for (const Json& row : *document->find("models")->as_array()) {
      FactModel model = model_of(row);
      out.emplace(model.id, std::move(model));
    }
    return out;
  }();
  return kModels;
}

}  // namespace hwdb::facts
