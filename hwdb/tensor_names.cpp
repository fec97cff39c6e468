// SPDX-License-Identifier: MIT
#include "hwdb/tensor_names.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "hwdb/limits.h"

namespace hwdb {
namespace {

using Names = TensorNames;

struct Suffix {
  std::string_view name;  // what follows "blk.N."
  std::uint32_t marks;
  Names::Extents Names::*extents = nullptr;
  bool norm = false;
};

constexpr Suffix kSuffixes[] = {
    {"attn_k.bias", Names::kQkvBias},
    {"attn_k.weight", Names::kAttention},
    {"attn_k_b.weight", Names::kLatentKeys},
    {"attn_kv_a_mqa.weight", Names::kAttention},
    {"attn_norm.weight", 0, nullptr, true},
    {"attn_norm_2.weight", 0, nullptr, true},
    {"attn_output.bias", Names::kOutBias},
    {"attn_output_norm.weight", 0, nullptr, true},
    {"attn_q.bias", Names::kQkvBias},
    {"attn_q.weight", 0, &Names::q},
    {"attn_q_norm.weight", Names::kQkNorm, &Names::q_norm},
    {"attn_qkv.bias", Names::kQkvBias},
    {"attn_qkv.weight", Names::kFusedQkv},
    {"attn_sinks.weight", Names::kSinks},
    {"attn_v.weight", Names::kValues},
    {"exp_probs_b.bias", Names::kRouterBias},
    {"ffn_down.bias", Names::kMlpBias},
    {"ffn_down.weight", Names::kDenseFfn},
    {"ffn_down_exps.bias", Names::kExpertBias},
    {"ffn_down_exps.weight", Names::kExperts},
    {"ffn_gate.weight", Names::kFfnGate},
    {"ffn_gate_exps.weight", Names::kFfnGate},
    {"ffn_gate_inp.bias", Names::kRouterBias},
    {"ffn_gate_inp_shexp.weight", Names::kSharedGate},
    {"ffn_gate_up_exps.weight", Names::kFfnGate},
    {"ffn_norm.weight", 0, nullptr, true},
    {"ffn_up.bias", Names::kMlpBias},
    {"ffn_up.weight", Names::kDenseFfn, &Names::ffn_up},
    {"ffn_up_exps.weight", Names::kExperts, &Names::ffn_up_experts},
    {"ffn_up_shexp.weight", Names::kSharedExpert, &Names::ffn_up_shared},
    {"laurel_l.weight", 0, &Names::laurel},
    {"layer_output_norm.weight", 0, nullptr, true},
    {"nextn.eh_proj.weight", Names::kMtp},
    {"post_attention_norm.weight", 0, nullptr, true},
    {"post_ffw_norm.weight", 0, nullptr, true},
    {"shortconv.conv.weight", Names::kRecurrent},
    {"ssm_a", Names::kRecurrent},
    {"ssm_b_norm.weight", Names::kBcDtNorm},
    {"ssm_conv1d.weight", Names::kRecurrent},
    {"ssm_conv1d_q.weight", Names::kRecurrent},
    {"ssm_norm.weight", Names::kSsmNorm},
    {"time_mix_key.weight", Names::kRecurrent},
};
static_assert(std::ranges::is_sorted(kSuffixes, {}, &Suffix::name));

struct Single {
  std::string_view name;
  Names::Extents Names::*extents;
};
constexpr Single kSingles[] = {{"token_embd.weight", &Names::token_embd},
                               {"position_embd.weight", &Names::position_embd},
                               {"per_layer_token_embd.weight", &Names::per_layer_embd}};

/// "blk.12.ffn_up.weight": the number, and the rest in `name`.
bool take_block(std::string_view* name, std::uint32_t* block) {
  if (!name->starts_with("blk.")) return false;
  const char* begin = name->data() + 4;
  const char* end = name->data() + name->size();
  const auto [next, error] = std::from_chars(begin, end, *block);
  if (error != std::errc() || next == end || *next != '.') return false;
  name->remove_prefix(static_cast<std::size_t>(next + 1 - name->data()));
  return true;
}

}  // namespace

std::vector<std::uint32_t> TensorNames::layers_with(std::uint32_t marks) const {
  std::vector<std::uint32_t> found;
  for (std::uint32_t i = 0; i < layers.size(); ++i) {
    if ((layers[i].marks & marks) != 0) found.push_back(i);
  }
  return found;
}

TensorNames summarize_names(std::span<const TensorInfo> tensors) {
  TensorNames out;
  out.has_tensors = !tensors.empty();
  for (const TensorInfo& tensor : tensors) {
    std::string_view name = tensor.name;
    std::uint32_t block = 0;
    if (!take_block(&name, &block)) {
      out.output = out.output || name == "output.weight";
      out.norm_bias = out.norm_bias || name == "output_norm.bias";
      for (const Single& single : kSingles) {
        if (single.name == name) out.*single.extents = tensor.ne;
      }
      continue;
    }
    // One past the limit is kept, so that the caller sees there are too many.
    block = std::min(block, limits::kLayers);
    if (block >= out.layers.size()) out.layers.resize(block + 1);
    Names::Layer& layer = out.layers[block];
    ++layer.tensors;
    const auto* row = std::ranges::lower_bound(kSuffixes, name, {}, &Suffix::name);
    if (row == std::end(kSuffixes) || row->name != name) continue;
    layer.marks |= row->marks;
    layer.norms += row->norm ? 1 : 0;
    if (row->extents != nullptr && (out.*row->extents)[0] == 0) out.*row->extents = tensor.ne;
    out.any |= row->marks;
  }
  return out;
}

}  // namespace hwdb
