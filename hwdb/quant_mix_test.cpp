// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "hwdb/catalog.h"
#include "hwdb/testing/csv.h"
#include "hwdb/weight_plan.h"

namespace hwdb {
namespace {

const ModelShape& shape_of(std::string_view id) {
  static const ModelShape kNone;
  const auto row = Catalog::builtin().find_model(id);
  EXPECT_TRUE(row) << id;
  return row ? (*row)->shape : kNone;
}

std::vector<PlannedTensor> quantized(const ModelShape& shape, const QuantOptions& options) {
  auto list = tensor_list(shape);
  EXPECT_TRUE(list);
  if (!list) return {};
  const auto ok = apply_preset(shape, options, &*list);
  EXPECT_TRUE(ok) << options.preset << ": " << (ok ? "" : ok.error().what);
  return std::move(*list);
}

std::string type_in(const std::vector<PlannedTensor>& list, std::string_view name) {
  for (const PlannedTensor& t : list) {
    if (t.info.name == name) return std::string(format_of(t.info.type).name);
  }
  return "";
}

std::string type_of(std::string_view id, const QuantOptions& options, std::string_view name) {
  return type_in(quantized(shape_of(id), options), name);
}

TEST(QuantMix, RulesOfThePresets) {
  EXPECT_EQ(type_of("llama-3-8b", {"Q4_K_M"}, "output.weight"), "Q6_K");
  EXPECT_EQ(type_of("llama-3-8b", {"Q4_K_M"}, "token_embd.weight"), "Q4_K");
  EXPECT_EQ(type_of("llama-3-8b", {"Q4_K_M"}, "blk.0.attn_v.weight"), "Q6_K");
  EXPECT_EQ(type_of("llama-3-8b", {"Q4_K_M"}, "blk.4.attn_v.weight"), "Q4_K");
  EXPECT_EQ(type_of("llama-3-8b", {"Q4_K_M"}, "blk.6.ffn_down.weight"), "Q6_K");
  EXPECT_EQ(type_of("llama-3-8b", {"Q4_K_M"}, "blk.6.attn_norm.weight"), "F32");
  EXPECT_EQ(type_of("llama-3-8b", {"Q3_K_M"}, "blk.1.attn_v.weight"), "Q5_K");
  EXPECT_EQ(type_of("llama-3-8b", {"Q3_K_M"}, "blk.2.attn_v.weight"), "Q4_K");
  EXPECT_EQ(type_of("llama-3-8b", {"IQ3_XS"}, "blk.4.ffn_up.weight"), "IQ3_XXS");
  EXPECT_EQ(type_of("llama-3-8b", {"IQ3_XS"}, "blk.3.ffn_up.weight"), "IQ3_S");
  EXPECT_EQ(type_of("llama-3-8b", {"IQ2_XXS"}, "token_embd.weight"), "Q2_K");
  EXPECT_EQ(type_of("llama-3-8b", {"IQ2_XXS"}, "output.weight"), "Q5_K");
  EXPECT_EQ(type_of("llama-3-8b", {"BF16"}, "blk.0.ffn_up.weight"), "BF16");
  EXPECT_EQ(type_of("llama-3-8b", {"BF16"}, "blk.0.ffn_norm.weight"), "F32");
  EXPECT_EQ(type_of("llama-3-8b", {"F32"}, "blk.0.ffn_up.weight"), "F32");
}

TEST(QuantMix, SpecialCases) {
  // Tied: the one table is stored as an output; with the newer rules a per-layer table too.
  EXPECT_EQ(type_of("qwen2.5-3b", {"Q4_K_M"}, "token_embd.weight"), "Q6_K");
  EXPECT_EQ(type_of("gemma-3n-e4b", {"Q4_0"}, "per_layer_token_embd.weight"), "Q4_0");
  EXPECT_EQ(type_of("gemma-3n-e4b", {"Q4_0", false, true}, "per_layer_token_embd.weight"), "Q6_K");
  // 80 layers with grouped heads.
  EXPECT_EQ(type_of("llama-3-70b", {"Q3_K_M"}, "blk.40.attn_v.weight"), "Q5_K");
  EXPECT_EQ(type_of("llama-1-65b", {"Q3_K_M"}, "blk.40.attn_v.weight"), "Q4_K");
  // Eight experts.
  EXPECT_EQ(type_of("mixtral-8x7b", {"Q4_K_M"}, "blk.3.attn_k.weight"), "Q8_0");
  EXPECT_EQ(type_of("mixtral-8x7b", {"Q4_K_M"}, "blk.3.attn_output.weight"), "Q5_K");
  // Rows that are no multiple of 256: hidden 896 and 2880, heads of 128 in the latent form.
  EXPECT_EQ(type_of("qwen2.5-0.5b", {"Q4_K_M"}, "blk.9.attn_q.weight"), "Q5_0");
  EXPECT_EQ(type_of("qwen2.5-0.5b", {"Q4_K_M"}, "token_embd.weight"), "Q8_0");
  EXPECT_EQ(type_of("qwen2.5-0.5b", {"Q2_K"}, "blk.9.attn_q.weight"), "IQ4_NL");
  EXPECT_EQ(type_of("qwen2.5-0.5b", {"Q2_K", false, true}, "blk.9.attn_q.weight"), "Q4_0");
  EXPECT_EQ(type_of("deepseek-r1-671b", {"Q4_K_M"}, "blk.9.attn_k_b.weight"), "Q5_0");
  // An importance matrix.
  EXPECT_EQ(type_of("llama-3-8b", {"Q4_0", true}, "blk.3.ffn_down.weight"), "Q4_1");
  EXPECT_EQ(type_of("llama-3-8b", {"Q4_0"}, "blk.3.ffn_down.weight"), "Q4_0");
  EXPECT_EQ(type_of("llama-3-8b", {"IQ4_XS"}, "blk.3.ffn_down.weight"), "Q5_K");
  EXPECT_EQ(type_of("llama-3-8b", {"IQ4_XS", true}, "blk.3.ffn_down.weight"), "IQ4_XS");
  // Fused queries, older and newer.
  EXPECT_EQ(type_of("phi-3-mini-4k", {"Q4_K_M"}, "blk.9.attn_qkv.weight"), "Q5_K");
  EXPECT_EQ(type_of("phi-3-mini-4k", {"Q4_K_M", false, true}, "blk.5.attn_qkv.weight"), "Q4_K");
  // Community names, in any case.
  EXPECT_EQ(type_of("llama-3-8b", {"q4_k_l"}, "output.weight"), "Q8_0");
  EXPECT_EQ(type_of("llama-3-8b", {"Q4_K_L"}, "token_embd.weight"), "Q8_0");
  EXPECT_EQ(type_of("llama-3-8b", {"Q4_K_L"}, "blk.0.attn_v.weight"), "Q6_K");
  // Published in MXFP4.
  EXPECT_EQ(type_of("gpt-oss-20b", {"Q4_K_M"}, "blk.0.ffn_up_exps.weight"), "MXFP4");
  EXPECT_EQ(type_of("qwen3-30b-a3b", {"MXFP4_MOE"}, "blk.0.ffn_up_exps.weight"), "MXFP4");
  EXPECT_EQ(type_of("qwen3-30b-a3b", {"MXFP4_MOE"}, "blk.0.attn_q.weight"), "Q8_0");
}

TEST(QuantMix, UnknownNamesGetNearOnes) {
  const ModelShape& shape = shape_of("llama-3-8b");
  auto list = *tensor_list(shape);
  const auto status = apply_preset(shape, {"Q4_K_N", false, false}, &list);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, "quant.unknown");
  EXPECT_NE(status.error().hint.find("Q4_K_M"), std::string::npos) << status.error().hint;
  EXPECT_EQ(apply_preset(shape, {std::string(1 << 20, 'Q'), false, false}, &list).error().code,
            "quant.unknown");
  EXPECT_EQ(apply_preset(shape, {"", false, false}, &list).error().code, "quant.unknown");
}

TEST(QuantMix, RowsThatFitNoType) {
  ModelShape shape = shape_of("llama-3-8b");
  shape.n_ff = 14348;
  auto list = *tensor_list(shape);
  EXPECT_EQ(apply_preset(shape, {"Q4_0", false, false}, &list).error().code, "quant.not_divisible");
  // With the newer rules such rows stay in 16 bits.
  list = *tensor_list(shape);
  ASSERT_TRUE(apply_preset(shape, {"Q4_0", false, true}, &list));
  EXPECT_EQ(type_in(list, "blk.4.ffn_down.weight"), "F16");
  EXPECT_EQ(type_in(list, "blk.4.ffn_up.weight"), "Q4_0");
  list = *tensor_list(shape);
  ASSERT_TRUE(apply_preset(shape, {"Q4_K_M", false, false}, &list));
  EXPECT_EQ(type_in(list, "blk.4.ffn_down.weight"), "F16");
  EXPECT_EQ(type_in(list, "blk.4.ffn_up.weight"), "Q4_K");
}

double gigabytes(std::string_view id, const QuantOptions& options) {
  const auto list = quantized(shape_of(id), options);
  return (*padded_tensor_bytes(list) + estimate_header_bytes(shape_of(id), list)).as_double() / 1e9;
}

TEST(QuantMix, SizesThatPeopleKnow) {
  EXPECT_NEAR(gigabytes("llama-3-8b", {"F16"}), 16.07, 0.01);
  EXPECT_NEAR(gigabytes("llama-3-8b", {"Q8_0"}), 8.54, 0.01);
  EXPECT_NEAR(gigabytes("llama-3-70b", {"F16"}), 141.1, 0.1);
  EXPECT_NEAR(gigabytes("deepseek-r1-671b", {"Q4_K_M"}), 404.5, 0.5);
  EXPECT_NEAR(gigabytes("deepseek-r1-671b", {"Q6_K"}), 550.9, 0.5);
  EXPECT_NEAR(gigabytes("deepseek-r1-671b", {"Q8_0"}), 713.3, 0.5);
  EXPECT_NEAR(gigabytes("gpt2-xl", {"F16"}), 3.12, 0.01);
  EXPECT_NEAR(gigabytes("gpt3-175b", {"F16"}), 349.3, 0.1);
  EXPECT_NEAR(gigabytes("openelm-3b", {"Q4_K_M"}), 1.886, 0.005);
}

TEST(QuantMix, NamesOfModelsDoNotMatter) {
  ModelRow row = **Catalog::builtin().find_model("mixtral-8x7b");
  const auto before = *padded_tensor_bytes(quantized(row.shape, {"Q4_K_M"}));
  row.id = "renamed";
  row.family = "other";
  EXPECT_EQ(*padded_tensor_bytes(quantized(row.shape, {"Q4_K_M"})), before);
}

TEST(QuantMix, EveryPresetOnEveryModel) {
  int sized = 0;
  for (const ModelRow& row : Catalog::builtin().models()) {
    const auto source = tensor_list(row.shape);
    if (!source) continue;
    for (const PresetRow& preset : Catalog::builtin().presets()) {
      auto list = *source;
      const auto ok = apply_preset(row.shape, {preset.id, true, false}, &list);
      if (!ok) {
        const bool known =
            ok.error().code == "quant.unknown" || ok.error().code == "quant.not_divisible";
        EXPECT_TRUE(known) << row.id << ' ' << preset.id << ' ' << ok.error().what;
        continue;
      }
      ++sized;
      const auto bytes = padded_tensor_bytes(list);
      ASSERT_TRUE(bytes);
      EXPECT_GT(bytes->value, 0u);
    }
  }
  EXPECT_GT(sized, 220 * 30);
}

}  // namespace
}  // namespace hwdb
