// SPDX-License-Identifier: MIT
#include <algorithm>
#include <utility>

#include "hwdb/tensor_list_builder.h"

namespace hwdb {

void ListBuilder::add_mamba1(const SsmShape& ssm) {
  const std::uint64_t d = shape_.n_embd, inner = ssm.d_inner, n = ssm.d_state, rank = ssm.dt_rank;
  const TensorRole role = TensorRole::attention;
  block("ssm_in.weight", {d, 2 * inner, 1, 1}, role);
  block("ssm_conv1d.weight", {ssm.d_conv, inner, 1, 1}, role);
  block("ssm_conv1d.bias", {inner, 1, 1, 1}, role);
  block("ssm_x.weight", {inner, rank + 2 * n, 1, 1}, role);
  block("ssm_dt.weight", {rank, inner, 1, 1}, role);
  block("ssm_dt.bias", {inner, 1, 1, 1}, role);
  block("ssm_a", {n, inner, 1, 1}, role);
  block("ssm_d", {inner, 1, 1, 1}, role);
  block("ssm_out.weight", {inner, d, 1, 1}, role);
  if (ssm.bcdt_norm) {
    block("ssm_dt_norm.weight", {rank, 1, 1, 1}, role);
    block("ssm_b_norm.weight", {n, 1, 1, 1}, role);
    block("ssm_c_norm.weight", {n, 1, 1, 1}, role);
  }
}

void ListBuilder::add_mamba2(const SsmShape& ssm) {
  const std::uint64_t d = shape_.n_embd, inner = ssm.d_inner;
  const std::uint64_t groups = std::max<std::uint32_t>(ssm.n_groups, 1);
  const std::uint64_t conv = inner + 2 * groups * ssm.d_state;
  const TensorRole role = TensorRole::attention;
  block("ssm_in.weight", {d, inner + conv + ssm.n_heads, 1, 1}, role);
  block("ssm_conv1d.weight", {ssm.d_conv, conv, 1, 1}, role);
  block("ssm_conv1d.bias", {conv, 1, 1, 1}, role);
  block("ssm_dt.bias", {ssm.n_heads, 1, 1, 1}, role);
  block("ssm_a", {1, ssm.n_heads, 1, 1}, role);
  block("ssm_d", {1, ssm.n_heads, 1, 1}, role);
  if (ssm.gated_norm) block("ssm_norm.weight", {inner / groups, groups, 1, 1}, role);
  block("ssm_out.weight", {inner, d, 1, 1}, role);
}

void ListBuilder::add_gated_deltanet(const SsmShape& ssm) {
  const std::uint64_t d = shape_.n_embd;
  const std::uint64_t keys = std::uint64_t{ssm.n_k_heads} * ssm.head_k;
  const std::uint64_t values = std::uint64_t{ssm.n_v_heads} * ssm.head_v;
  const TensorRole role = TensorRole::attention;
  block("attn_qkv.weight", {d, 2 * keys + values, 1, 1}, role);
  block("attn_gate.weight", {d, values, 1, 1}, role);
  block("ssm_conv1d.weight", {ssm.d_conv, 2 * keys + values, 1, 1}, role);
  block("ssm_dt.bias", {ssm.n_v_heads, 1, 1, 1}, role);
  block("ssm_a", {ssm.n_v_heads, 1, 1, 1}, role);
  if (traits_.one_beta_alpha) {
    block("ssm_ba.weight", {d, 2 * std::uint64_t{ssm.n_v_heads}, 1, 1}, role);
  } else {
    block("ssm_beta.weight", {d, ssm.n_v_heads, 1, 1}, role);
    block("ssm_alpha.weight", {d, ssm.n_v_heads, 1, 1}, role);
  }
  block("ssm_norm.weight", {ssm.head_v, 1, 1, 1}, role);
  block("ssm_out.weight", {values, d, 1, 1}, role);
}

void ListBuilder::add_kda(const SsmShape& ssm) {
  const std::uint64_t d = shape_.n_embd, head = ssm.head_dim, inner = head * ssm.n_heads;
  const TensorRole role = TensorRole::attention;
  for (std::string_view part : {"q", "k", "v"}) {
    block("ssm_conv1d_" + std::string(part) + ".weight", {ssm.d_conv, 1, inner, 1}, role);
    block("attn_" + std::string(part) + ".weight", {d, inner, 1, 1}, role);
  }
  block("ssm_f_a.weight", {d, head, 1, 1}, role);
  block("ssm_f_b.weight", {head, inner, 1, 1}, role);
  block("ssm_beta.weight", {d, ssm.n_heads, 1, 1}, role);
  block("ssm_a", {1, ssm.n_heads, 1, 1}, role);
  block("ssm_dt.bias", {inner, 1, 1, 1}, role);
  block("ssm_g_a.weight", {d, head, 1, 1}, role);
  block("ssm_g_b.weight", {head, inner, 1, 1}, role);
  block("ssm_norm.weight", {head, 1, 1, 1}, role);
  block("attn_output.weight", {inner, d, 1, 1}, role);
}

void ListBuilder::add_lightning(const SsmShape& ssm) {
  const std::uint64_t d = shape_.n_embd, inner = std::uint64_t{ssm.head_dim} * ssm.n_heads;
  const TensorRole role = TensorRole::attention;
  block("attn_qkv.weight", {d, 3 * inner, 1, 1}, role);
  block("attn_gate.weight", {d, inner, 1, 1}, role);
  block("attn_norm_2.weight", {inner, 1, 1, 1}, role);
  block("attn_output.weight", {inner, d, 1, 1}, role);
}

void ListBuilder::add_short_conv(const SsmShape& ssm) {
  const std::uint64_t d = shape_.n_embd;
  const TensorRole role = TensorRole::attention;
  block("shortconv.conv.weight", {ssm.d_conv, d, 1, 1}, role);
  block("shortconv.in_proj.weight", {d, 3 * d, 1, 1}, role);
  block("shortconv.out_proj.weight", {d, d, 1, 1}, role);
}

void ListBuilder::add_rwkv7(const SsmShape& ssm) {
  const std::uint64_t d = shape_.n_embd;
  const TensorRole role = TensorRole::attention;
  const Dims vector{d, 1, 1, 1};
  // The first layer mixes no earlier values, so its pair has the rank of the in-context rate.
  const std::pair<std::string_view, std::uint64_t> pairs[] = {
      {"w", ssm.decay_rank},
      {"a", ssm.rate_rank},
      {"v", layer_ == 0 ? ssm.rate_rank : ssm.value_rank}};
  for (const auto& [letter, rank] : pairs) {
    const std::string name = "time_mix_" + std::string(letter);
    block(name + "0.weight", vector, role);
    block(name + "1.weight", {d, rank, 1, 1}, role);
    block(name + "2.weight", {rank, d, 1, 1}, role);
  }
  block("time_mix_g1.weight", {d, ssm.gate_rank, 1, 1}, role);
  block("time_mix_g2.weight", {ssm.gate_rank, d, 1, 1}, role);
  block("time_mix_lerp_fused.weight", {d, 1, 1, 6}, role);
  for (std::string_view name : {"k_k", "k_a", "r_k"}) {
    block("time_mix_" + std::string(name) + ".weight", vector, role);
  }
  for (std::string_view name : {"key", "value", "receptance", "output"}) {
    block("time_mix_" + std::string(name) + ".weight", {d, d, 1, 1}, role);
  }
  block("time_mix_ln.weight", vector, role);
  block("time_mix_ln.bias", vector, role);
  const std::uint64_t ff = layers_[layer_].n_ff;
  block("channel_mix_lerp_k.weight", vector, TensorRole::dense_ffn);
  block("channel_mix_key.weight", {d, ff, 1, 1}, TensorRole::dense_ffn);
  block("channel_mix_value.weight", {ff, d, 1, 1}, TensorRole::dense_ffn);
}

void ListBuilder::add_recurrent(const SsmShape& ssm) {
  switch (ssm.kind) {
    case SsmShape::Kind::mamba1:
      return add_mamba1(ssm);
    case SsmShape::Kind::mamba2:
      return add_mamba2(ssm);
    case SsmShape::Kind::gated_deltanet:
      return add_gated_deltanet(ssm);
    case SsmShape::Kind::kda:
      return add_kda(ssm);
    case SsmShape::Kind::lightning_attention:
      return add_lightning(ssm);
    case SsmShape::Kind::short_conv:
      return add_short_conv(ssm);
    case SsmShape::Kind::rwkv7:
      return add_rwkv7(ssm);
    case SsmShape::Kind::rwkv5:
      if (missing_.empty()) missing_ = "the tensors of rwkv5";
      return;
  }
}

}  // namespace hwdb
