// SPDX-License-Identifier: MIT
#include "hwdb/op_counts.h"

#include <gtest/gtest.h>

#include <cmath>

#include "hwdb/catalog.h"

namespace hwdb {
namespace {

const ModelShape& shape_of(std::string_view id) {
  static const ModelShape kNone;
  const auto row = Catalog::builtin().find_model(id);
  EXPECT_TRUE(row) << id;
  return row ? (*row)->shape : kNone;
}

ModelCosts costs_of(std::string_view id, std::string preset) {
  const auto costs = model_costs_of_preset(shape_of(id), {std::move(preset), false, false});
  EXPECT_TRUE(costs) << (costs ? "" : costs.error().what);
  return costs ? *costs : ModelCosts{};
}

std::uint64_t bytes_of(const ModelCosts& costs) {
  std::uint64_t sum =
      costs.embedding_bytes + costs.output_bytes + costs.mtp_bytes + costs.side_tower_bytes;
  for (const LayerCosts& layer : costs.layers) {
    sum += layer.attention_bytes + layer.dense_ffn_bytes + layer.expert_bytes;
  }
  return sum;
}

TEST(OpCounts, EveryByteHasOnePlace) {
  for (const ModelRow& row : Catalog::builtin().models()) {
    const auto costs = model_costs_of_preset(row.shape, {"Q8_0", false, false});
    if (!costs) continue;
    std::uint64_t expected = costs->tensor_bytes;
    // A tied table is counted where it is read by row and where it is multiplied.
    if (costs->output_is_tied) {
      const auto list = tensor_list(row.shape);
      auto typed = *list;
      ASSERT_TRUE(apply_preset(row.shape, {"Q8_0", false, false}, &typed));
      for (const PlannedTensor& t : typed) {
        if (t.role == TensorRole::token_embedding) expected += t.info.bytes;
      }
    }
    EXPECT_EQ(bytes_of(*costs), expected) << row.id;
    std::uint64_t typed = 0;
    for (const auto& share : costs->types) typed += share.bytes;
    EXPECT_EQ(typed, costs->tensor_bytes) << row.id;
    EXPECT_GT(costs->file_bytes, costs->tensor_bytes) << row.id;
    EXPECT_EQ(costs->layers.size(), row.shape.n_layers) << row.id;
  }
}

TEST(OpCounts, ParametersAgreeWithTheRecord) {
  int active = 0;
  for (const ModelRow& row : Catalog::builtin().models()) {
    if (!row.params_active || row.params_check != "exact" || !row.shape.known_architecture)
      continue;
    const auto costs = model_costs_of_preset(row.shape, {"F16", false, false});
    ASSERT_TRUE(costs) << row.id;
    EXPECT_DOUBLE_EQ(costs->params_total, static_cast<double>(*row.params_total)) << row.id;
    EXPECT_NEAR(costs->params_active / static_cast<double>(*row.params_active), 1, 1e-3) << row.id;
    ++active;
  }
  EXPECT_GE(active, 125);
}

TEST(OpCounts, FlopsAreTwiceTheWeightsUsed) {
  const ModelCosts dense = costs_of("llama-3-8b", "F16");
  double flops = dense.output_flops_per_token;
  for (const LayerCosts& layer : dense.layers) {
    EXPECT_EQ(layer.n_matmuls, 9u);  // q k v o gate up down, and attention's two
    EXPECT_EQ(layer.attention_flops_per_token_and_cell, 2.0 * 32 * 256);
    flops += layer.dense_flops_per_token;
  }
  const double table = 128256.0 * 4096;
  // 65 norms are no products.
  EXPECT_DOUBLE_EQ(flops, 2 * (dense.params_total - table - 65 * 4096));
  const ModelCosts moe = costs_of("qwen3-30b-a3b", "F16");
  EXPECT_DOUBLE_EQ(moe.layers[0].expert_flops_per_token, 2.0 * 8 * 3 * 2048 * 768);
  EXPECT_EQ(moe.layers[0].expert_bytes, 2ull * 128 * 3 * 2048 * 768);
  const ModelCosts tied = costs_of("qwen2.5-0.5b", "F16");
  EXPECT_TRUE(tied.output_is_tied);
  EXPECT_DOUBLE_EQ(tied.output_flops_per_token, 2.0 * 151936 * 896);
  EXPECT_FALSE(dense.output_is_tied);
}

TEST(OpCounts, AttentionByKind) {
  const ModelCosts mla = costs_of("deepseek-r1-671b", "Q4_K_M");
  EXPECT_EQ(mla.layers[9].kind, LayerKind::mla);
  EXPECT_EQ(mla.layers[9].attention_flops_per_token_and_cell, 2.0 * 128 * (512 + 64 + 512));
  const ModelCosts gemma = costs_of("gemma-3-4b", "Q4_0");
  EXPECT_EQ(gemma.layers[0].window, 1024u);
  EXPECT_EQ(gemma.layers[5].window, 0u);
  const ModelCosts hybrid = costs_of("qwen3-next-80b-a3b", "Q4_K_M");
  EXPECT_EQ(hybrid.layers[0].attention_flops_per_token_and_cell, 0);
  EXPECT_GT(hybrid.layers[0].dense_flops_per_token, 6.0 * 32 * 128 * 128);
  EXPECT_GT(hybrid.layers[3].attention_flops_per_token_and_cell, 0);
  const ModelCosts glm = costs_of("glm-4.5-air-106b-a12b", "Q4_K_M");
  EXPECT_GT(glm.mtp_bytes, 1'000'000'000u);
  EXPECT_EQ(glm.layers.size(), 46u);
}

TEST(OpCounts, FormatsOutsideGguf) {
  const ModelShape& shape = shape_of("llama-3-8b");
  const auto fp8 = model_costs_of_format(shape, "FP8", 8.0);
  ASSERT_TRUE(fp8);
  const double tables = 2.0 * 128256 * 4096, norms = 65.0 * 4096;
  const double matrices = fp8->params_total - tables - norms;
  EXPECT_DOUBLE_EQ(static_cast<double>(fp8->tensor_bytes), 2 * (tables + norms) + matrices);
  const auto mlx = model_costs_of_format(shape, "MLX affine 4-bit, group 64", 4.5);
  ASSERT_TRUE(mlx);
  EXPECT_NEAR(mlx->bits_per_weight, 4.5, 0.01);
  const auto awq = model_costs_of_format(shape, "AWQ 4-bit, group 128 (zero point)", 4.15625);
  ASSERT_TRUE(awq);
  EXPECT_NEAR(awq->bits_per_weight, 5.7, 0.1);
  EXPECT_EQ(model_costs_of_format(shape, "FP8", 0).error().code, "quant.unknown");
  EXPECT_EQ(model_costs_of_format(shape, "FP8", std::nan("")).error().code, "quant.unknown");
  // A model that llama.cpp does not read still has a size.
  EXPECT_TRUE(model_costs_of_format(shape_of("opt-175b"), "FP8", 8.0));
}

TEST(OpCounts, FilesByTheirTensors) {
  ModelFile file;
  file.shape = shape_of("llama-3-8b");
  file.shape.known_architecture = true;
  file.quantization = "Q4_K_M";
  auto list = *tensor_list(file.shape);
  ASSERT_TRUE(apply_preset(file.shape, {"Q4_K_M", false, false}, &list));
  for (const PlannedTensor& t : list) file.tensors.push_back(t.info);
  file.file_bytes = Bytes(5'000'000'000);
  const auto read = model_costs_of_file(file);
  ASSERT_TRUE(read);
  const ModelCosts planned = costs_of("llama-3-8b", "Q4_K_M");
  EXPECT_EQ(read->tensor_bytes, planned.tensor_bytes);
  EXPECT_EQ(read->output_bytes, planned.output_bytes);
  EXPECT_EQ(read->layers[7].attention_bytes, planned.layers[7].attention_bytes);
  EXPECT_EQ(read->layers[7].dense_flops_per_token, planned.layers[7].dense_flops_per_token);
  EXPECT_EQ(read->file_bytes, 5'000'000'000u);
  EXPECT_FALSE(read->sizes_only);

  file.shape = ModelShape{};
  file.shape.architecture = "from-tomorrow";
  const auto unknown = model_costs_of_file(file);
  ASSERT_TRUE(unknown);
  EXPECT_TRUE(unknown->sizes_only);
  EXPECT_EQ(unknown->tensor_bytes, planned.tensor_bytes);
  EXPECT_EQ(unknown->layers.size(), 32u);

  file.tensors[0].bytes = file.tensors[1].bytes = UINT64_MAX;
  EXPECT_EQ(model_costs_of_file(file).error().code, "model.overflow");
}

TEST(OpCounts, ExpectedShareOfExperts) {
  EXPECT_DOUBLE_EQ(expected_expert_share(128, 8, 1), 8.0 / 128);
  EXPECT_NEAR(expected_expert_share(128, 8, 512), 1, 1e-9);
  EXPECT_LT(expected_expert_share(128, 8, 2), 16.0 / 128);
  EXPECT_EQ(expected_expert_share(0, 0, 5), 0);
  EXPECT_EQ(expected_expert_share(8, 8, 1), 1);
  EXPECT_EQ(expected_expert_share(8, 2, 0), 0);
}

TEST(OpCounts, WhatTheCpuBackendRepacks) {
  // Llama 3 8B in Q4_0: all matrices of the blocks, none of the tables (the output is Q6_K).
  const ModelCosts q4 = costs_of("llama-3-8b", "Q4_0");
  const double weights = 32.0 * (2 * 4096 * 4096.0 + 2 * 4096 * 1024.0 + 3 * 4096 * 14336.0);
  EXPECT_EQ(static_cast<double>(q4.repack.avx2), weights * 18 / 32);
  EXPECT_EQ(q4.repack.avx512, q4.repack.avx2);
  const double output = 4096.0 * 128256 * 210 / 256;
  EXPECT_EQ(static_cast<double>(q4.repack.neon), weights * 18 / 32 + output);
  const ModelCosts q8 = costs_of("llama-3-8b", "Q8_0");
  EXPECT_EQ(q8.repack.avx2, 0u);
  EXPECT_EQ(static_cast<double>(q8.repack.neon), (weights + 4096.0 * 128256) * 34 / 32);
  EXPECT_EQ(costs_of("llama-3-8b", "F16").repack.neon, 0u);
  // Q2_K has a layout for AVX-512 alone, and some of its tensors are Q3_K, which has none.
  const ModelCosts q2 = costs_of("llama-3-8b", "Q2_K");
  EXPECT_GT(q2.repack.avx512, q2.repack.avx2);
}

TEST(OpCounts, RepackedBytesAreWhatLlamaCppPrints) {
  // MiB of the CPU_REPACK buffer on a processor with AVX-512 (llama.cpp v0.5.0, de3ff815).
  struct Row {
    const char *model, *preset;
    double mib;
  };
  for (const Row& row : {Row{"deepseek-v2-lite", "Q4_K_M", 5545}, Row{"gemma-3-4b", "Q4_0", 1721},
                         Row{"gpt-oss-120b", "MXFP4", 58092}, Row{"llama-3.1-8b", "F16", 0},
                         Row{"llama-3.1-8b", "Q3_K_M", 1300}, Row{"llama-3.1-8b", "Q4_K_M", 3204},
                         Row{"olmoe-1b-7b", "Q4_0", 3600}, Row{"qwen2.5-7b", "Q4_K_M", 2976},
                         Row{"qwen3-30b-a3b", "Q4_K_M", 13432}, Row{"qwen3-8b", "Q6_K", 0},
                         Row{"tinyllama-1.1b", "Q8_0", 0}}) {
    const ModelCosts costs = costs_of(row.model, row.preset);
    EXPECT_NEAR(static_cast<double>(costs.repack.avx512) / 1048576, row.mib, 1.0)
        << row.model << " " << row.preset;
  }
}

}  // namespace
}  // namespace hwdb
