// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "hwdb/catalog.h"
#include "hwdb/tensor_traits.h"
#include "hwdb/weight_plan.h"

namespace hwdb {
namespace {

const ModelShape& shape_of(std::string_view id) {
  static const ModelShape kNone;
  const auto row = Catalog::builtin().find_model(id);
  return row ? (*row)->shape : kNone;
}

std::vector<PlannedTensor> list_of(std::string_view id) {
  auto list = tensor_list(shape_of(id));
  EXPECT_TRUE(list) << id << ": " << (list ? "" : list.error().what);
  return list ? std::move(*list) : std::vector<PlannedTensor>{};
}

const PlannedTensor* find(const std::vector<PlannedTensor>& list, std::string_view name) {
  const auto it =
      std::ranges::find_if(list, [&](const PlannedTensor& t) { return t.info.name == name; });
  return it != list.end() ? &*it : nullptr;
}

/// Parameters as publishers count them: without draft layers and computed frequency tables.
std::uint64_t parameters_of(const std::vector<PlannedTensor>& tensors) {
  std::uint64_t sum = 0;
  for (const PlannedTensor& t : tensors) {
    if (t.role != TensorRole::mtp && !t.info.name.starts_with("rope_")) sum += t.info.elements();
  }
  return sum;
}

TEST(TensorList, SumsToThePublishedParameterCounts) {
  int exact = 0, published_exactly = 0, without_layout = 0;
  for (const ModelRow& row : Catalog::builtin().models()) {
    if (!row.params_total || !row.shape.known_architecture) continue;
    const auto list = tensor_list(row.shape);
    if (!list) {
      ++without_layout;
      EXPECT_NE(row.params_check, "exact") << row.id << ": " << list.error().what;
      continue;
    }
    const std::uint64_t sum = parameters_of(*list);
    exact += sum == *row.params_total ? 1 : 0;
    if (row.params_check != "exact") continue;
    ++published_exactly;
    EXPECT_EQ(sum, *row.params_total) << row.id;
  }
  std::printf("%d models exact, %d of them with an exact published count\n", exact,
              published_exactly);
  EXPECT_GE(published_exactly, 130);
  EXPECT_GE(exact, 220);
  EXPECT_LE(without_layout, 2);
}

TEST(TensorList, CacheElementsAgreeWithTheRecord) {
  int checked = 0;
  for (const ModelRow& row : Catalog::builtin().models()) {
    if (!row.kv_elements_per_token || !row.shape.known_architecture) continue;
    // The record counts every layer as if none shared a cache, and variants where it says so.
    if (row.shape.kv_shared_layers > 0 || row.shape.kv_share_factor > 1) continue;
    std::uint64_t elements = 0;
    for (const LayerShape& layer : layers_of(row.shape)) {
      if (layer.kind == LayerKind::mla) {
        elements += row.shape.mla->kv_lora_rank + row.shape.mla->qk_rope_dim;
      } else {
        elements += std::uint64_t{layer.n_kv_heads} * (layer.head_dim_k + layer.head_dim_v);
      }
    }
    if (elements == *row.kv_elements_per_token) ++checked;
    EXPECT_EQ(elements, *row.kv_elements_per_token) << row.id;
  }
  EXPECT_GE(checked, 200);
}

TEST(TensorList, NamesAndDimensionsOfAPlainDecoder) {
  const auto list = list_of("llama-3.1-8b");
  EXPECT_EQ(list.size(), 292u);  // 291 of the checkpoint and the frequency table
  const PlannedTensor* k = find(list, "blk.31.attn_k.weight");
  ASSERT_NE(k, nullptr);
  EXPECT_EQ(k->info.ne, (std::array<std::uint64_t, 4>{4096, 1024, 1, 1}));
  EXPECT_EQ(k->info.type, tensor_type("F16"));
  EXPECT_EQ(k->layer, 31);
  EXPECT_EQ(k->role, TensorRole::attention);
  const PlannedTensor* norm = find(list, "blk.0.ffn_norm.weight");
  ASSERT_NE(norm, nullptr);
  EXPECT_EQ(norm->info.type, tensor_type("F32"));
  EXPECT_EQ(norm->info.bytes, 4096u * 4);
  ASSERT_NE(find(list, "rope_freqs.weight"), nullptr);
  EXPECT_EQ(find(list, "rope_freqs.weight")->info.elements(), 64u);
  EXPECT_EQ(find(list_of("llama-3-8b"), "rope_freqs.weight"), nullptr);
}

TEST(TensorList, LatentAttentionInBothForms) {
  ModelShape shape = shape_of("deepseek-r1-671b");
  auto split = tensor_list(shape);
  ASSERT_TRUE(split);
  const PlannedTensor* k_b = find(*split, "blk.5.attn_k_b.weight");
  ASSERT_NE(k_b, nullptr);
  EXPECT_EQ(k_b->info.ne, (std::array<std::uint64_t, 4>{128, 512, 128, 1}));
  EXPECT_EQ(find(*split, "blk.5.attn_kv_b.weight"), nullptr);
  EXPECT_NE(find(*split, "blk.2.ffn_gate.weight"), nullptr);
  EXPECT_EQ(find(*split, "blk.3.ffn_gate.weight"), nullptr);
  EXPECT_NE(find(*split, "blk.3.exp_probs_b.bias"), nullptr);
  shape.mla->split_kv_b = false;
  auto whole = tensor_list(shape);
  ASSERT_TRUE(whole);
  EXPECT_NE(find(*whole, "blk.5.attn_kv_b.weight"), nullptr);
  EXPECT_EQ(parameters_of(*whole), parameters_of(*split));
}

TEST(TensorList, KindsOfLayers) {
  const auto next = list_of("qwen3-next-80b-a3b");
  EXPECT_NE(find(next, "blk.0.ssm_ba.weight"), nullptr);
  EXPECT_EQ(find(next, "blk.3.ssm_ba.weight"), nullptr);
  ASSERT_NE(find(next, "blk.3.attn_q.weight"), nullptr);
  EXPECT_EQ(find(next, "blk.3.attn_q.weight")->info.ne[1], 2u * 16 * 256);  // query and gate
  const auto hybrid = list_of("falcon-h1-0.5b");
  EXPECT_NE(find(hybrid, "blk.7.attn_q.weight"), nullptr);
  EXPECT_NE(find(hybrid, "blk.7.ssm_in.weight"), nullptr);
  const auto nemotron = list_of("nemotron-3-nano-30b-a3b");
  EXPECT_NE(find(nemotron, "blk.0.ssm_in.weight"), nullptr);
  EXPECT_NE(find(nemotron, "blk.1.ffn_up_exps.weight"), nullptr);
  EXPECT_EQ(find(nemotron, "blk.1.ffn_gate_exps.weight"), nullptr);  // no gate
  EXPECT_NE(find(nemotron, "blk.5.attn_q.weight"), nullptr);
  EXPECT_EQ(find(nemotron, "blk.5.ffn_up_exps.weight"), nullptr);
  const auto oss = list_of("gpt-oss-20b");
  ASSERT_NE(find(oss, "blk.0.ffn_up_exps.weight"), nullptr);
  EXPECT_EQ(find(oss, "blk.0.ffn_up_exps.weight")->info.type, tensor_type("MXFP4"));
  EXPECT_NE(find(oss, "blk.0.attn_sinks.weight"), nullptr);
  EXPECT_NE(find(oss, "blk.0.ffn_gate_inp.bias"), nullptr);
}

TEST(TensorList, DraftLayersAreApart) {
  const auto list = list_of("glm-4.5-air-106b-a12b");
  const PlannedTensor* joint = find(list, "blk.46.nextn.eh_proj.weight");
  ASSERT_NE(joint, nullptr);
  EXPECT_EQ(joint->role, TensorRole::mtp);
  std::uint64_t draft = 0;
  for (const PlannedTensor& t : list) {
    if (t.role == TensorRole::mtp) draft += t.info.elements();
  }
  const auto row = Catalog::builtin().find_model("glm-4.5-air-106b-a12b");
  EXPECT_EQ(draft, (*row)->params_mtp);
}

TEST(TensorList, NamesAreUniqueAndFit) {
  for (const ModelRow& row : Catalog::builtin().models()) {
    const auto list = tensor_list(row.shape);
    if (!list) continue;
    std::set<std::string_view> names;
    for (const PlannedTensor& t : *list) {
      EXPECT_LT(t.info.name.size(), 64u) << t.info.name;
      EXPECT_TRUE(names.insert(t.info.name).second) << row.id << ' ' << t.info.name;
    }
  }
}

TEST(TensorList, RolesFromNamesAgreeWithTheList) {
  for (const ModelRow& row : Catalog::builtin().models()) {
    const auto list = tensor_list(row.shape);
    if (!list) continue;
    for (const PlannedTensor& t : *list) {
      const PlannedTensor read = classify_tensor(t.info);
      EXPECT_EQ(read.layer, t.layer) << t.info.name;
      // Norms may count to either neighbour and draft layers are known by their number.
      if (t.role == TensorRole::mtp || t.info.name.find("norm") != std::string::npos) continue;
      EXPECT_EQ(read.role, t.role) << row.id << ' ' << t.info.name;
    }
  }
}

TEST(TensorList, RolesOfOtherNames) {
  const auto role = [](std::string name) {
    return classify_tensor(TensorInfo{name, {}, {}, 0, 0, 0}).role;
  };
  EXPECT_EQ(role("blk.3.ffn_gate.7.weight"), TensorRole::routed_experts);  // Mixtral, early 2024
  EXPECT_EQ(role("v.blk.0.attn_q.weight"), TensorRole::side_tower);
  EXPECT_EQ(role("mm.0.weight"), TensorRole::side_tower);
  EXPECT_EQ(role("model.layers.9.self_attn.q_proj.weight"), TensorRole::attention);
  EXPECT_EQ(role("model.layers.9.mlp.experts.31.down_proj.weight"), TensorRole::routed_experts);
  EXPECT_EQ(role("model.layers.9.mlp.shared_experts.up_proj.weight"), TensorRole::dense_ffn);
  EXPECT_EQ(role("model.layers.9.mlp.gate.weight"), TensorRole::dense_ffn);
  EXPECT_EQ(role("model.embed_tokens.weight"), TensorRole::token_embedding);
  EXPECT_EQ(role("lm_head.weight"), TensorRole::output);
  EXPECT_EQ(role("vision_tower.layers.3.attn.weight"), TensorRole::side_tower);
  EXPECT_EQ(role("blk.99999999999.attn_q.weight"), TensorRole::other);
  EXPECT_EQ(role(""), TensorRole::other);
}

TEST(TensorList, RefusesWhatCannotBe) {
  ModelShape shape = shape_of("llama-3-8b");
  shape.architecture = "no-such-architecture";
  EXPECT_EQ(tensor_list(shape).error().code, "model.unknown_architecture");
  EXPECT_TRUE(plain_tensor_list(shape));
  shape = shape_of("llama-3-8b");
  shape.n_layers = 0;
  EXPECT_EQ(tensor_list(shape).error().code, "model.range");
  shape.n_layers = 1025;
  EXPECT_EQ(tensor_list(shape).error().code, "model.range");
  shape = shape_of("llama-3-8b");
  shape.n_vocab = 0;
  EXPECT_EQ(tensor_list(shape).error().code, "model.range");
  shape = shape_of("llama-3-8b");
  shape.n_heads = 0;
  EXPECT_EQ(tensor_list(shape).error().code, "model.range");
  shape = shape_of("llama-3-8b");
  shape.n_embd = 1u << 31;
  EXPECT_EQ(tensor_list(shape).error().code, "model.overflow");
  shape = shape_of("qwen3-30b-a3b");
  shape.n_embd = shape.n_ff_expert = 1u << 24;
  shape.n_experts = 1u << 16;
  EXPECT_EQ(tensor_list(shape).error().code, "model.overflow");
}

}  // namespace
}  // namespace hwdb
