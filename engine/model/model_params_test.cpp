// SPDX-License-Identifier: MIT
#include "engine/model/model_params.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "hwdb/gguf.h"
#include "hwdb/gguf_split.h"
#include "hwdb/testing/gguf_builder.h"
#include "hwdb/testing/temp_folder.h"

namespace engine {
namespace {

TEST(RopeFrequencies, PlainFrequenciesFallGeometrically) {
  const RopeFrequencies table = make_rope_frequencies({.freq_base = 10000}, 8);
  ASSERT_EQ(table.frequencies.size(), 4u);
  EXPECT_FLOAT_EQ(table.frequencies[0], 1.0f);
  EXPECT_FLOAT_EQ(table.frequencies[1], 0.1f);
  EXPECT_FLOAT_EQ(table.frequencies[3], 0.001f);
  EXPECT_EQ(table.magnitude, 1.0f);
}

TEST(RopeFrequencies, LinearScalingDividesPositionsAndFactorsDividePairs) {
  RopeScaling scaling{.freq_base = 10000, .factor = 4};
  scaling.factors = {1, 2, 5, 10};
  const RopeFrequencies table = make_rope_frequencies(scaling, 8);
  EXPECT_FLOAT_EQ(table.frequencies[0], 0.25f);
  EXPECT_FLOAT_EQ(table.frequencies[1], 0.1f / 2 / 4);
  EXPECT_FLOAT_EQ(table.frequencies[3], 0.001f / 10 / 4);
}

// YaRN with 128 elements, base 10000, 4096 tokens, fast 32, slow 1: the pair that turns 32 times is
// 128 ln(4096 / (64 pi)) / (2 ln 10000) = 20.94, once: 45.03. So pairs up to 20 stay, from 46 on
// are divided by the factor.
TEST(RopeFrequencies, YarnKeepsFastPairsAndStretchesSlowOnes) {
  const RopeScaling scaling{
      .freq_base = 10000, .factor = 16, .yarn = true, .original_context = 4096};
  const RopeFrequencies table = make_rope_frequencies(scaling, 128);
  const auto plain = [](int i) { return std::pow(10000.0, -2.0 * i / 128); };
  EXPECT_FLOAT_EQ(table.frequencies[20], static_cast<float>(plain(20)));
  EXPECT_FLOAT_EQ(table.frequencies[46], static_cast<float>(plain(46) / 16));
  const double along = (33.0 - 20) / (46 - 20);
  EXPECT_FLOAT_EQ(table.frequencies[33],
                  static_cast<float>(plain(33) * (1 - along) + plain(33) / 16 * along));
}

hwdb::Result<ModelParams> params_of(const hwdb::testing::GgufBuilder& builder) {
  const hwdb::testing::TempFolder folder;
  const std::string path = folder.write("model.gguf", builder.build());
  auto model = hwdb::open_gguf(path);
  if (!model) return model.error();
  auto reader = hwdb::FileReader::open(path);
  auto gguf = hwdb::GgufFile::open(std::move(*reader));
  if (!gguf) return gguf.error();
  return read_model_params(*gguf, model->shape, {});
}

hwdb::testing::GgufBuilder tiny(const std::string& architecture) {
  hwdb::testing::TinyLlama shape;
  shape.architecture = architecture;
  hwdb::testing::GgufBuilder b;
  shape.add_keys(&b);
  shape.add_tensors(&b);
  b.f32(architecture + ".attention.layer_norm_rms_epsilon", 1e-6f);
  return b;
}

TEST(ModelParams, TakeKeysOverHabits) {
  const auto plain = params_of(tiny("llama"));
  ASSERT_TRUE(plain.has_value()) << plain.error().what;
  EXPECT_FLOAT_EQ(plain->norm_eps, 1e-6f);
  EXPECT_FLOAT_EQ(plain->attention_scale, 0.25f);  // heads of 16
  EXPECT_EQ(plain->residual_scale, 1.0f);
  auto scaled = tiny("granite");
  scaled.f32("granite.attention.scale", 0.0625f)
      .f32("granite.residual_scale", 0.22f)
      .f32("granite.embedding_scale", 12)
      .f32("granite.logit_scale", 8);
  const auto granite = params_of(scaled);
  ASSERT_TRUE(granite.has_value()) << granite.error().what;
  EXPECT_FLOAT_EQ(granite->attention_scale, 0.0625f);
  EXPECT_FLOAT_EQ(granite->residual_scale, 0.22f);
  EXPECT_FLOAT_EQ(granite->embedding_scale, 12);
  EXPECT_FLOAT_EQ(granite->logit_scale, 0.125f);
}

TEST(ModelParams, HabitsStandInForKeys) {
  const auto gemma = params_of(tiny("gemma2"));
  ASSERT_TRUE(gemma.has_value()) << gemma.error().what;
  EXPECT_EQ(gemma->attention_softcap, 50);
  EXPECT_EQ(gemma->final_softcap, 30);
  EXPECT_EQ(gemma->embedding_scale, 8);  // the root of 64
}

TEST(ModelParams, KindOfNormAndItsEpsilonFollowTraitsBeforeTheFile) {
  // Norms without a shift are by the root mean square, but not in Command R.
  auto command_r = tiny("command-r");
  command_r.f32("command-r.attention.layer_norm_epsilon", 1e-3f);
  const auto layer = params_of(command_r);
  ASSERT_TRUE(layer.has_value()) << layer.error().what;
  EXPECT_TRUE(layer->layer_norm);
  EXPECT_FLOAT_EQ(layer->norm_eps, 1e-3f);
  EXPECT_TRUE(layer->parallel_ffn);
  // Phi MoE's have a shift and are by the root mean square all the same.
  auto shifted = tiny("phimoe");
  shifted.tensor("output_norm.bias", {64});
  const auto mean_square = params_of(shifted);
  ASSERT_TRUE(mean_square.has_value()) << mean_square.error().what;
  EXPECT_FALSE(mean_square->layer_norm);
  EXPECT_FLOAT_EQ(mean_square->norm_eps, 1e-6f);
}

TEST(ModelParams, FilesChooseTheParallelFeedForward) {
  for (const bool parallel : {true, false}) {
    auto file = tiny("gptneox");
    file.boolean("gptneox.use_parallel_residual", parallel);
    const auto params = params_of(file);
    ASSERT_TRUE(params.has_value()) << params.error().what;
    EXPECT_EQ(params->parallel_ffn, parallel);
  }
  EXPECT_TRUE(params_of(tiny("gptneox"))->parallel_ffn);
}

TEST(ModelParams, ClampTemperatureAndValueScaleAreKeys) {
  const auto plain = params_of(tiny("mistral3"));
  ASSERT_TRUE(plain.has_value()) << plain.error().what;
  EXPECT_EQ(plain->qkv_clamp, 0);
  EXPECT_EQ(plain->temperature_scale, 0);
  EXPECT_EQ(plain->value_scale, 1);
  auto file = tiny("mistral3");
  file.f32("mistral3.attention.clamp_kqv", 8)
      .f32("mistral3.attention.value_scale", 0.5f)
      .f32("mistral3.attention.temperature_scale", 0.1f)
      .u32("mistral3.rope.scaling.original_context_length", 128);
  const auto given = params_of(file);
  ASSERT_TRUE(given.has_value()) << given.error().what;
  EXPECT_FLOAT_EQ(given->qkv_clamp, 8);
  EXPECT_FLOAT_EQ(given->value_scale, 0.5f);
  EXPECT_FLOAT_EQ(given->temperature_scale, 0.1f);
  EXPECT_EQ(given->temperature_step, 128u);
  file.u32("mistral3.attention.temperature_length", 32);
  EXPECT_EQ(params_of(file)->temperature_step, 32u);
}

// A stretch of 16 sharpens by 1 + 0.1 ln(16) = 1.27726; a multiplier of one takes it back.
TEST(ModelParams, YarnMultiplierTakesTheSharpeningBack) {
  const auto stretched = [](float multiplier) {
    auto file = tiny("mistral3");
    file.text("mistral3.rope.scaling.type", "yarn")
        .f32("mistral3.rope.scaling.factor", 16)
        .u32("mistral3.rope.scaling.original_context_length", 128)
        .f32("mistral3.rope.scaling.yarn_log_multiplier", multiplier);
    return params_of(file);
  };
  ASSERT_TRUE(stretched(1).has_value()) << stretched(1).error().what;
  EXPECT_FLOAT_EQ(stretched(1)->rope.magnitude, 1.0f);
  EXPECT_FLOAT_EQ(stretched(0)->rope.magnitude, 1.2772589f);
}

// Heads of 16: base 10000 * alpha^(16 / 14), so the second pair turns by base^(-1/8).
TEST(ModelParams, AlphaRaisesTheBase) {
  auto file = tiny("hunyuan-dense");
  file.f32("hunyuan-dense.rope.scaling.alpha", 1000);
  const auto params = params_of(file);
  ASSERT_TRUE(params.has_value()) << params.error().what;
  EXPECT_NEAR(params->rope.frequencies[1], std::pow(10000 * std::pow(1000.0, 16.0 / 14), -1.0 / 8),
              1e-7);
}

TEST(ModelParams, MiniCpmMustSayItsScales) {
  const auto without = params_of(tiny("minicpm"));
  ASSERT_FALSE(without.has_value());
  EXPECT_EQ(without.error().code, "model.missing_key");
  auto file = tiny("minicpm");
  file.f32("minicpm.embedding_scale", 12).f32("minicpm.residual_scale", 0.25f);
  file.f32("minicpm.logit_scale", 9);
  const auto given = params_of(file);
  ASSERT_TRUE(given.has_value()) << given.error().what;
  EXPECT_FLOAT_EQ(given->logit_scale, 1.0f / 9);
}

TEST(ModelParams, RefusesUnknownArchitecturesAndBadNumbers) {
  hwdb::testing::TinyLlama shape;
  hwdb::testing::GgufBuilder no_eps;
  shape.add_keys(&no_eps);
  shape.add_tensors(&no_eps);
  const auto missing = params_of(no_eps);
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, "model.missing_key");
  const auto unknown = params_of(tiny("bloom"));
  ASSERT_FALSE(unknown.has_value());
  EXPECT_EQ(unknown.error().code, "run.architecture");
  auto infinite = tiny("llama");
  infinite.f32("llama.residual_scale", std::numeric_limits<float>::infinity());
  const auto bad = params_of(infinite);
  ASSERT_FALSE(bad.has_value());
  EXPECT_EQ(bad.error().code, "model.range");
}

}  // namespace
}  // namespace engine
