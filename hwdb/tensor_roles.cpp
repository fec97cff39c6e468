// SPDX-License-Identifier: MIT
#include <charconv>

#include "hwdb/weight_plan.h"

namespace hwdb {
namespace {

struct Rule {
  std::string_view part;
  TensorRole role;
};

/// What a tensor of a block is for; the first part found in its name decides.
constexpr Rule kBlockRules[] = {
    {"nextn", TensorRole::mtp},
    {"mtp", TensorRole::mtp},
    {"_exps", TensorRole::routed_experts},
    {"ffn_gate.", TensorRole::dense_ffn},
    {"shared_expert", TensorRole::dense_ffn},
    {"experts.", TensorRole::routed_experts},
    {"ffn", TensorRole::dense_ffn},
    {"ffw", TensorRole::dense_ffn},
    {"exp_probs", TensorRole::dense_ffn},
    {"channel_mix", TensorRole::dense_ffn},
    {"mlp", TensorRole::dense_ffn},
    {"feed_forward", TensorRole::dense_ffn},
    {"block_sparse_moe", TensorRole::dense_ffn},
    {"post_attention_layernorm", TensorRole::dense_ffn},
    {"altup", TensorRole::dense_ffn},
    {"laurel", TensorRole::dense_ffn},
    {"layer_output_scale", TensorRole::dense_ffn},
    {"inp_gate", TensorRole::dense_ffn},
    {"post_norm", TensorRole::dense_ffn},
};

/// Tensors outside the blocks, in GGUF's and in the Hub's names.
constexpr Rule kGlobalRules[] = {
    {"per_layer_token_embd", TensorRole::per_layer_embedding},
    {"embed_tokens_per_layer", TensorRole::per_layer_embedding},
    {"position_embd", TensorRole::position_embedding},
    {"wpe", TensorRole::position_embedding},
    {"token_embd.", TensorRole::token_embedding},
    {"embed_tokens", TensorRole::token_embedding},
    {"wte", TensorRole::token_embedding},
    {"word_embeddings.", TensorRole::token_embedding},
    {"output", TensorRole::output},
    {"lm_head", TensorRole::output},
    {"model.norm.", TensorRole::output},
    {"final_layernorm", TensorRole::output},
    {"ln_f.", TensorRole::output},
};

template <std::size_t N>
TensorRole role_by(const Rule (&rules)[N], std::string_view name, TensorRole otherwise) {
  for (const Rule& rule : rules) {
    if (name.find(rule.part) != std::string_view::npos) return rule.role;
  }
  return otherwise;
}

/// The number after `marker`, if a dot follows it; `rest` becomes what comes after that dot.
bool read_layer(std::string_view name, std::string_view marker, std::int32_t* layer,
                std::string_view* rest) {
  const std::size_t at = name.find(marker);
  if (at == std::string_view::npos) return false;
  const char* begin = name.data() + at + marker.size();
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(begin, end, *layer);
  if (error != std::errc() || stop == end || *stop != '.' || *layer < 0) return false;
  *rest = std::string_view(stop + 1, static_cast<std::size_t>(end - stop - 1));
  return true;
}

bool is_other_tower(std::string_view name) {
  for (std::string_view part : {"vision", "visual", "audio", "multi_modal", "mm.", "v.", "a."}) {
    if (name.starts_with(part)) return true;
    if (part.size() > 3 && name.find(part) != std::string_view::npos) return true;
  }
  return false;
}

/// The old Mixtral layout: one matrix an expert, as ffn_gate.3.weight.
bool is_single_expert(std::string_view rest) {
  for (std::string_view part : {"ffn_gate.", "ffn_up.", "ffn_down."}) {
    if (rest.starts_with(part) && rest.size() > part.size() && rest[part.size()] >= '0' &&
        rest[part.size()] <= '9') {
      return true;
    }
  }
  return false;
}

}  // namespace

PlannedTensor classify_tensor(const TensorInfo& info) {
  PlannedTensor tensor;
  tensor.info = info;
  tensor.part = quant_part(info);
  const std::string_view name = info.name;
  std::string_view rest;
  std::int32_t layer = -1;
  if (name.starts_with("blk.") && read_layer(name, "blk.", &layer, &rest)) {
    tensor.layer = layer;
    tensor.role = is_single_expert(rest) ? TensorRole::routed_experts
                                         : role_by(kBlockRules, rest, TensorRole::attention);
    if (rest.starts_with("proj.")) tensor.role = TensorRole::dense_ffn;
    return tensor;
  }
  if (is_other_tower(name)) {
    tensor.role = TensorRole::side_tower;
    return tensor;
  }
  if (read_layer(name, "layers.", &layer, &rest) || read_layer(name, ".h.", &layer, &rest)) {
    tensor.layer = layer;
    tensor.role = role_by(kBlockRules, rest, TensorRole::attention);
    return tensor;
  }
  tensor.role = role_by(kGlobalRules, name, TensorRole::other);
  return tensor;
}

}  // namespace hwdb
