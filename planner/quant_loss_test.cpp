// SPDX-License-Identifier: MIT
#include "planner/quant_loss.h"

#include <gtest/gtest.h>

#include <cmath>

namespace planner {
namespace {

hwdb::QuantQualityRow kld(std::string model, std::string quant, double value,
                          std::string source = "Lab") {
  hwdb::QuantQualityRow row;
  row.model = std::move(model);
  row.quant = std::move(quant);
  row.kld_mean = value;
  row.source = std::move(source);
  return row;
}

hwdb::QuantQualityRow perplexity(std::string model, std::string quant, double ppl,
                                 std::optional<double> delta) {
  hwdb::QuantQualityRow row;
  row.model = std::move(model);
  row.quant = std::move(quant);
  row.ppl = ppl;
  row.ppl_delta = delta;
  row.source = "Old lab";
  row.dataset = "text";
  return row;
}

hwdb::ModelRow model(std::string id, double billions, std::string family = "") {
  hwdb::ModelRow row;
  row.id = std::move(id);
  row.family = std::move(family);
  row.params_total = static_cast<std::uint64_t>(billions * 1e9);
  return row;
}

TEST(QuantLoss, PublishedForThisModel) {
  const std::vector rows = {kld("Llama-3-8B", "Q4_K_M", 0.03), kld("Llama-3-8B", "Q4_K_M", 0.05),
                            kld("Llama-3-8B", "Q8_0", 0.001)};
  const QuantLossTable table(rows);
  const auto loss = table.find(model("llama-3-8b", 8), "Q4_K_M");
  ASSERT_TRUE(loss);
  EXPECT_NEAR(loss->divergence, 0.04, 1e-12);
  EXPECT_NEAR(loss->loss, 1 - std::exp(-0.04), 1e-12);
  EXPECT_TRUE(loss->of_this_model);
  EXPECT_EQ(loss->kind, "KLD");
  EXPECT_EQ(loss->source, "Lab");
  EXPECT_FALSE(table.find(model("llama-3-8b", 8), "Q7_K"));
}

TEST(QuantLoss, PerplexityAgainstItsOwnReference) {
  const std::vector rows = {perplexity("LLaMA-1-7B", "F16", 5.9, std::nullopt),
                            perplexity("LLaMA-1-7B", "Q4_0", 6.1, std::nullopt),
                            perplexity("LLaMA-1-7B", "Q5_0", 6.0, 0.1)};
  const QuantLossTable table(rows);
  EXPECT_NEAR(table.find(model("llama-1-7b", 7), "Q4_0")->divergence, std::log(6.1 / 5.9), 1e-12);
  EXPECT_NEAR(table.find(model("llama-1-7b", 7), "Q5_0")->divergence, std::log(6.0 / 5.9), 1e-12);
  EXPECT_EQ(table.find(model("llama-1-7b", 7), "Q4_0")->kind, "perplexity");
}

TEST(QuantLoss, WhichModelsWereMeasuredDoesNotDecideBetweenPresets) {
  // The hard model alone has IQ3_M: a median over models would call Q3_K_M three times better.
  const std::vector rows = {kld("Hard-8B", "Q4_K_M", 0.04),  kld("Hard-8B", "Q3_K_M", 0.10),
                            kld("Hard-8B", "IQ3_M", 0.09),   kld("Easy-8B", "Q4_K_M", 0.01),
                            kld("Easy-8B", "Q3_K_M", 0.025), kld("Mild-8B", "Q4_K_M", 0.012),
                            kld("Mild-8B", "Q3_K_M", 0.03)};
  const QuantLossTable table(rows);
  const auto a = table.find(model("unknown", 8), "IQ3_M");
  const auto b = table.find(model("unknown", 8), "Q3_K_M");
  ASSERT_TRUE(a && b);
  EXPECT_LT(a->divergence, b->divergence);
  EXPECT_FALSE(a->of_this_model);
  EXPECT_NE(a->evidence.find("median of 3"), std::string::npos);
  // Easy-8B's own level, for a preset it was not measured with.
  const auto c = table.find(model("easy-8b", 8), "IQ3_M");
  EXPECT_LT(c->divergence, a->divergence);
  EXPECT_NE(c->evidence.find("other presets of Easy-8B"), std::string::npos);
}

TEST(QuantLoss, SmallModelsAndFamilies) {
  const std::vector rows = {kld("Tiny-2B", "Q4_K_M", 0.06), kld("Big-70B", "Q4_K_M", 0.01),
                            kld("Fam-9B", "Q4_K_M", 0.02)};
  const QuantLossTable table(rows);
  EXPECT_NEAR(table.find(model("x", 1), "Q4_K_M")->divergence, 0.06, 1e-9);
  EXPECT_NEAR(table.find(model("x", 70), "Q4_K_M")->divergence, 0.01, 1e-9);
  const auto near = table.find(model("fam-2-12b", 12, "Fam"), "Q4_K_M");
  EXPECT_NEAR(near->divergence, 0.02, 1e-9);
  EXPECT_NE(near->evidence.find("nearest of its family"), std::string::npos);
  EXPECT_EQ(table.find(model("fam-2-70b", 70, "Fam"), "Q4_K_M")->evidence.find("family"),
            std::string::npos);
}

TEST(QuantLoss, QuantizationAwareFilesStandApart) {
  auto aware = perplexity("Gemma-3-27B-it", "Q4_0 Google QAT file", 8.25, 0.0479);
  const std::vector rows = {kld("Gemma-3-27B-it", "Q4_0", 0.05), aware,
                            kld("Other-27B", "Q4_0 (pure)", 0.5),
                            kld("Other-27B", "KV q8_0/q8_0", 0.5)};
  const QuantLossTable table(rows);
  const hwdb::ModelRow gemma = model("gemma-3-27b", 27, "Gemma 3");
  EXPECT_NEAR(table.find(gemma, "Q4_0")->divergence, 0.05, 1e-12);
  const auto qat = table.find_quantization_aware(gemma, "Q4_0");
  ASSERT_TRUE(qat);
  EXPECT_NEAR(qat->divergence, std::log(8.25 / (8.25 - 0.0479)), 1e-9);
  EXPECT_TRUE(qat->quantization_aware && qat->of_this_model);
  EXPECT_FALSE(
      table.find_quantization_aware(model("gemma-3-12b", 12, "Gemma 3"), "Q4_0")->of_this_model);
  EXPECT_FALSE(table.find_quantization_aware(model("qwen3-8b", 8, "Qwen3"), "Q4_0"));
}

TEST(QuantLoss, PublishedWeightsLoseNothing) {
  const QuantLossTable table(std::span<const hwdb::QuantQualityRow>{});
  EXPECT_EQ(table.find(model("x", 8), "BF16")->loss, 0);
  hwdb::ModelRow oss = model("gpt-oss-20b", 21);
  EXPECT_FALSE(table.find(oss, "MXFP4_MOE"));
  oss.native_quant = "MXFP4";
  EXPECT_EQ(table.find(oss, "MXFP4_MOE")->loss, 0);
}

}  // namespace
}  // namespace planner
