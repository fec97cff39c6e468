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

TEST(RopeTable, PlainFrequenciesFallGeometrically) {
  const RopeTable table = make_rope_table({.freq_base = 10000}, 8);
  ASSERT_EQ(table.frequencies.size(), 4u);
  EXPECT_FLOAT_EQ(table.frequencies[0], 1.0f);
  EXPECT_FLOAT_EQ(table.frequencies[1], 0.1f);
  EXPECT_FLOAT_EQ(table.frequencies[3], 0.001f);
  EXPECT_EQ(table.magnitude, 1.0f);
}

TEST(RopeTable, LinearScalingDividesPositionsAndFactorsDividePairs) {
  RopeScaling scaling{.freq_base = 10000, .factor = 4};
  scaling.factors = {1, 2, 5, 10};
  const RopeTable table = make_rope_table(scaling, 8);
  EXPECT_FLOAT_EQ(table.frequencies[0], 0.25f);
  EXPECT_FLOAT_EQ(table.frequencies[1], 0.1f / 2 / 4);
  EXPECT_FLOAT_EQ(table.frequencies[3], 0.001f / 10 / 4);
}

// YaRN with 128 elements, base 10000, 4096 tokens, fast 32, slow 1: the pair that turns 32 times is
// 128 ln(4096 / (64 pi)) / (2 ln 10000) = 20.94, once: 45.03. So pairs up to 20 stay, from 46 on
// are divided by the factor.
TEST(RopeTable, YarnKeepsFastPairsAndStretchesSlowOnes) {
  const RopeScaling scaling{
      .freq_base = 10000, .factor = 16, .yarn = true, .original_context = 4096};
  const RopeTable table = make_rope_table(scaling, 128);
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

TEST(ModelParams, RefusesUnknownArchitecturesAndBadNumbers) {
  hwdb::testing::TinyLlama shape;
  hwdb::testing::GgufBuilder no_eps;
  shape.add_keys(&no_eps);
  shape.add_tensors(&no_eps);
  const auto missing = params_of(no_eps);
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, "model.missing_key");
  const auto unknown = params_of(tiny("starcoder2"));
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
