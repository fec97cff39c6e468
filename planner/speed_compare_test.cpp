// SPDX-License-Identifier: MIT
#include "planner/speed_compare.h"

#include <gtest/gtest.h>

#include <numeric>

#include "planner/test_inputs.h"

namespace planner {
namespace {

using hwdb::SpeedReading;
using testing::card;
using testing::Case;
using testing::dense_model;
using testing::host;
using testing::with_cards;
using Test = SpeedReading::Test;

SpeedReading decode(double tok_per_s, std::uint32_t depth = 0, std::uint32_t batch = 1) {
  SpeedReading reading;
  reading.source = SpeedReading::Source::llama_bench;
  reading.test = Test::decode;
  reading.runtime = "llama.cpp";
  reading.n_gen = 2;
  reading.depth = depth;
  reading.batch = batch;
  reading.tok_per_s = tok_per_s;
  return reading;
}
SpeedReading prefill(double tok_per_s, std::uint32_t n_prompt) {
  SpeedReading reading = decode(tok_per_s);
  reading.test = Test::prefill;
  reading.n_prompt = n_prompt;
  reading.n_gen = 0;
  return reading;
}

/// dense_model on a card of 1 TB/s and 100 TFLOPS, or without it.
struct Bench {
  Case c;
  ResolvedModel model;
  explicit Bench(hwdb::Machine machine = with_cards({card("A", 24e9, 1e12, 100e12)}))
      : c(dense_model(), std::move(machine)) {
    c.assumptions.class_factors = std::make_shared<const ClassFactors>(&c.factors);
    model.name = "dense";
    model.costs = c.model;
  }
  hwdb::Result<SpeedComparison> compare(const SpeedReading& reading) const {
    return compare_speed(reading, Scenario{}, model, c.machine, &c.assumptions);
  }
  SpeedComparison of(const SpeedReading& reading) const { return *compare(reading); }
};

TEST(SpeedCompare, AReadingBecomesTheScenarioThatItRanWith) {
  SpeedReading reading = decode(10, 1000, 4);
  reading.n_gen = 64;
  reading.backend = "vulkan";
  reading.n_batch = 256;
  reading.n_ubatch = 512;  // llama.cpp cuts it to the batch
  reading.n_threads = 6;
  reading.n_gpu_layers = 7;
  reading.n_cpu_moe = 3;
  reading.flash_attn = false;
  reading.cache_type_k = "q8_0";
  reading.split_mode = "row";
  reading.tensor_split = {3, 1};
  reading.override_tensor = "exps=CPU";
  reading.quant = "Q8_0";
  reading.model = "m.gguf";
  Scenario asked;
  asked.on = "the rig";
  asked.tariff = "a tariff";
  asked.id = hwdb::Json("7");
  asked.settings.cpu_only = true;
  asked.settings.swa_full = true;
  asked.workload.cached_fraction = 0.5;
  const Scenario scenario = scenario_of_reading(reading, asked);
  EXPECT_EQ(scenario.on, "the rig");
  EXPECT_EQ(scenario.tariff, "a tariff");
  EXPECT_EQ(*scenario.id->as_string(), "7");
  EXPECT_EQ(scenario.model, "m.gguf");
  EXPECT_EQ(scenario.quant, "Q8_0");
  const RunSettings& s = scenario.settings;
  EXPECT_EQ(s.runtime, hwdb::Runtime::llama_cpp);
  EXPECT_FALSE(s.cpu_only);
  EXPECT_EQ(s.backend, hwdb::GpuInfo::Backend::vulkan);
  EXPECT_EQ(s.n_batch, 256u);
  EXPECT_EQ(s.n_ubatch, 256u);
  EXPECT_EQ(s.n_threads, 6u);
  EXPECT_EQ(s.n_gpu_layers, 7u);
  EXPECT_EQ(s.n_cpu_moe, 3u);
  EXPECT_FALSE(s.flash_attn);
  EXPECT_EQ(s.cache_type_k, "q8_0");
  EXPECT_EQ(s.cache_type_v, "f16");
  EXPECT_EQ(s.split_mode, SplitMode::row);
  EXPECT_EQ(s.tensor_split, (std::vector<double>{3, 1}));
  EXPECT_EQ(s.override_tensor, "exps=CPU");
  EXPECT_TRUE(s.swa_full);
  EXPECT_EQ(s.n_seq, 4u);
  // 1000 + 64 tokens are 1280 in steps of 256, for each of four sequences.
  EXPECT_EQ(s.n_ctx, 4u * 1280);
  EXPECT_EQ(scenario.workload.depth, 1000);
  EXPECT_EQ(scenario.workload.n_prompt, 0);
  EXPECT_EQ(scenario.workload.n_gen, 64);
  EXPECT_EQ(scenario.workload.batch, 4u);
  EXPECT_EQ(scenario.workload.cached_fraction, 0);
}

TEST(SpeedCompare, WhatAReadingDoesNotTellStaysAsAsked) {
  Scenario asked;
  asked.model = "a";
  asked.quant = "Q6_K";
  asked.settings.runtime = hwdb::Runtime::ollama;
  asked.settings.n_ubatch = 128;
  asked.settings.flash_attn = false;
  asked.settings.cache_type_v = "q8_0";
  SpeedReading reading = prefill(100, 300);
  reading.runtime.clear();
  const Scenario scenario = scenario_of_reading(reading, asked);
  EXPECT_EQ(scenario.model, "a");
  EXPECT_EQ(scenario.quant, "Q6_K");
  EXPECT_EQ(scenario.settings.runtime, hwdb::Runtime::ollama);
  EXPECT_EQ(scenario.settings.n_ubatch, 128u);
  EXPECT_FALSE(scenario.settings.flash_attn);
  EXPECT_EQ(scenario.settings.cache_type_v, "q8_0");
  EXPECT_EQ(scenario.workload.n_prompt, 300);
  EXPECT_EQ(scenario.settings.n_ctx, 512u);
  reading = decode(5);
  reading.backend = "cpu";
  EXPECT_TRUE(scenario_of_reading(reading, asked).settings.cpu_only);
}

TEST(SpeedCompare, PredictsWhatWasMeasured) {
  // 1.05 GB of weights, and 5120 bytes of cache for one token in the middle of the two, at 0.8 of
  // 1 TB/s: 761.9 tok/s; a tenth more was measured.
  const Bench bench;
  const double right = 0.8e12 / (1.05e9 + 5120);
  const auto one = bench.compare(decode(1.1 * right));
  ASSERT_TRUE(one) << one.error().what;
  // Activations take the last millionth.
  EXPECT_NEAR(one->predicted.likely / right, 1, 1e-6);
  EXPECT_NEAR(one->error(), -1 / 11.0, 1e-6);
  EXPECT_TRUE(one->inside_band());
  EXPECT_NEAR(one->seconds * right, 1, 1e-6);
  // The band ends at 1.125 of the likely figure.
  EXPECT_FALSE(bench.of(decode(1.13 * right)).inside_band());
  EXPECT_FALSE(bench.of(decode(0.74 * right)).inside_band());
  // Behind 100000 tokens: 512 MB more to read.
  EXPECT_NEAR(
      bench.of(decode(500, 100'000)).predicted.likely / 0.8e12 * (1.05e9 + 100'001 * 5120.0), 1,
      1e-5);
}

TEST(SpeedCompare, SecondsAreTheSumOfTheTerms) {
  const Bench bench;
  for (const SpeedReading& reading :
       {decode(700), decode(700, 5000), decode(2000, 100, 8), prefill(9000, 512)}) {
    const SpeedComparison one = bench.of(reading);
    const double sum =
        std::accumulate(one.terms.begin(), one.terms.end(), 0.0,
                        [](double s, const TimeTerm& term) { return s + term.seconds; });
    EXPECT_NEAR(one.seconds / sum, 1, 1e-6) << reading.depth << " " << reading.batch;
  }
}

TEST(SpeedCompare, AnUnknownBandwidthIsAnError) {
  auto gpu = card("A", 24e9, 1e12, 100e12);
  gpu.bandwidth.reset();
  const Bench bench(with_cards({gpu}));
  const auto one = bench.compare(decode(100));
  ASSERT_FALSE(one);
  EXPECT_EQ(one.error().code, "speed.unknown");
}

TEST(SpeedCompare, NothingIsOffInsideTheTolerance) {
  const Bench bench;
  const double right = 0.8e12 / (1.05e9 + 5120);
  EXPECT_TRUE(
      off_terms({bench.of(decode(1.02 * right)), bench.of(decode(0.98 * right))}, 0.03).empty());
  EXPECT_TRUE(off_terms({}, 0.03).empty());
  // What is no measure of the machine does not count.
  SpeedReading flawed = decode(0.5 * right);
  flawed.flaw = "speculative";
  EXPECT_TRUE(off_terms({bench.of(flawed)}, 0.03).empty());
}

TEST(SpeedCompare, ErrorsThatGrowWithDepthSpeakOfTheCache) {
  // The weights as predicted, the cache at half the rate.
  const Bench bench;
  const auto measured = [](double depth) { return 0.8e12 / (1.05e9 + 2 * 5120 * (depth + 1)); };
  const auto sentences = off_terms(
      {bench.of(decode(measured(0))), bench.of(decode(measured(200'000), 200'000))}, 0.03);
  ASSERT_EQ(sentences.size(), 1u);
  EXPECT_NE(sentences[0].find("changes with depth (+0 % at 0, +49 % at 200000)"), std::string::npos)
      << sentences[0];
  EXPECT_NE(sentences[0].find("takes 2.00 times as long"), std::string::npos) << sentences[0];
}

TEST(SpeedCompare, AnErrorWithoutDepthNamesTheLargestTerm) {
  // All of it 1.25 times as long: the layers are 1 of 1.05 GB, so alone they would have to take
  // (1.25 * 1.05 - 0.05) / 1 = 1.2625 times as long.
  const Bench bench;
  const auto sentences = off_terms({bench.of(decode(0.8e12 / (1.05e9 + 5120) / 1.25))}, 0.03);
  ASSERT_EQ(sentences.size(), 1u);
  EXPECT_NE(sentences[0].find("off by +25 %"), std::string::npos) << sentences[0];
  EXPECT_NE(sentences[0].find("the weights make 95 % of it"), std::string::npos) << sentences[0];
  EXPECT_NE(sentences[0].find("1.26 times as long"), std::string::npos) << sentences[0];
}

TEST(SpeedCompare, OneQuantizationThatIsOffSpeaksOfItsTypes) {
  const Bench bench;
  const double right = 0.8e12 / (1.05e9 + 5120);
  SpeedReading good = decode(right), bad = decode(0.8 * right);
  good.quant = "Q8_0";
  bad.quant = "IQ3_S";
  const auto sentences = off_terms({bench.of(good), bench.of(bad)}, 0.05);
  ASSERT_EQ(sentences.size(), 1u);
  EXPECT_NE(sentences[0].find("IQ3_S is off by +25 %"), std::string::npos) << sentences[0];
  EXPECT_EQ(sentences[0].find("Q8_0"), std::string::npos);
}

TEST(SpeedCompare, AnErrorOfFewTokensSpeaksOfOverhead) {
  const Bench bench;
  SpeedReading one = decode(1, 0, 1), eight = decode(1, 0, 8);
  one.tok_per_s = bench.of(one).predicted.likely / 1.4;
  eight.tok_per_s = bench.of(eight).predicted.likely / 1.02;
  const auto sentences = off_terms({bench.of(one), bench.of(eight)}, 0.05);
  ASSERT_EQ(sentences.size(), 1u);
  EXPECT_NE(sentences[0].find("off by +40 % with 1 token in a pass and by +2 % with 8"),
            std::string::npos)
      << sentences[0];
  // Prompts in the same way.
  SpeedReading few = prefill(1, 32), many = prefill(1, 512);
  few.tok_per_s = bench.of(few).predicted.likely / 1.3;
  many.tok_per_s = bench.of(many).predicted.likely;
  EXPECT_EQ(off_terms({bench.of(few), bench.of(many)}, 0.05).size(), 1u);
}

}  // namespace
}  // namespace planner
