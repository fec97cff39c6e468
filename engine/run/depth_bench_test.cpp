// SPDX-License-Identifier: MIT
#include "engine/run/depth_bench.h"

#include <gtest/gtest.h>

#include "engine/run/testing/table_model.h"

namespace {

using engine::DepthBenchOptions;
using engine::testing::TableModel;

TableModel model() {
  return TableModel(std::vector<std::vector<float>>(16, std::vector<float>(16, 0.0f)));
}

DepthBenchOptions small() {
  DepthBenchOptions options;
  options.depths = {0, 24};
  options.n_prompt = 8;
  options.n_gen = 2;
  options.n_batch = 8;
  options.prompt_repetitions = 2;
  options.gen_repetitions = 3;
  return options;
}

TEST(DepthBench, FillsTheCacheOnceAndRepeatsAtEachDepth) {
  TableModel m = model();
  const auto samples = engine::run_depths(m, small());
  ASSERT_TRUE(samples);
  ASSERT_EQ(samples->size(), 2u);
  for (const engine::DepthSamples& at : *samples) {
    EXPECT_EQ(at.prompt_ns.size(), 2u);
    EXPECT_EQ(at.gen_ns.size(), 3u);
  }
  EXPECT_EQ((*samples)[1].depth, 24u);
  // Warm-up 8 + 2; depth 0: 3 * 2 + 2 * 8; from 8 (the last prompt) to 24; 3 * 2 + 2 * 8.
  std::size_t tokens = 0;
  for (const auto& call : m.calls) tokens += call.size();
  EXPECT_EQ(tokens, 10u + 22 + 16 + 22);
  EXPECT_EQ(m.sequences.at(0).size(), 24u + 8);
}

TEST(DepthBench, OneTokenOfEachCallGetsLogits) {
  TableModel m = model();
  ASSERT_TRUE(engine::run_depths(m, small()));
  for (const auto& call : m.calls) {
    EXPECT_LE(call.size(), 8u);
    for (std::size_t i = 0; i < call.size(); ++i)
      EXPECT_EQ(call[i].wants_logits, i + 1 == call.size());
  }
}

TEST(DepthBench, InterruptedKeepsTheDepthsThatAreComplete) {
  TableModel m = model();
  // Calls: warm-up 1 + 2, depth 0: 3 * 2 + 2, then two for the way to 24.
  m.fail_at_call = 3 + 8 + 1;
  const auto samples = engine::run_depths(m, small());
  ASSERT_TRUE(samples);
  ASSERT_EQ(samples->size(), 1u);
  EXPECT_EQ(samples->front().depth, 0u);

  TableModel broken = model();
  broken.fail_at_call = 5;
  broken.failure = "run.memory";
  const auto failed = engine::run_depths(broken, small());
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, "run.memory");
}

TEST(DepthBench, GoesOnWhereAWindowHasForgottenThePast) {
  TableModel m = model();
  m.keeps_past = false;
  DepthBenchOptions options = small();
  options.depths = {24};
  const auto samples = engine::run_depths(m, options);
  ASSERT_TRUE(samples);
  ASSERT_EQ(samples->size(), 1u);
  EXPECT_EQ(samples->front().gen_ns.size(), 3u);
  EXPECT_LE(m.sequences.at(0).size(), options.n_ctx());
}

}  // namespace
