// SPDX-License-Identifier: MIT
// Speed behind a context and of several sequences, against sums worked out by hand.
#include <gtest/gtest.h>

#include "planner/test_inputs.h"

namespace planner {
namespace {

using testing::card;
using testing::Case;
using testing::dense_model;
using testing::with_cards;

/// 1.05 GB of weights read at 0.8 of 100 GB/s, and 5120 bytes of cache a token at the same rate;
/// the arithmetic takes next to nothing.
struct OneCard : Case {
  OneCard() : Case(dense_model(), with_cards({card("A", 24e9, 100e9, 1e18)})) {
    inputs.settings.n_ctx = 8192;
  }
  static double step(double depth, double n) { return (1.05e9 + n * 5120 * depth) / 80e9; }
};

TEST(SpeedAtDepths, TheCacheIsReadAsDeepAsAsked) {
  OneCard c;
  const Placement placement = c.plan()->placement;
  const std::vector<double> depths = {0, 4096, 8192};
  const auto speeds = speed_at_depths(c.inputs, placement, depths);
  ASSERT_TRUE(speeds);
  ASSERT_EQ(speeds->size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ((*speeds)[i].depth, depths[i]);
    // The token that is written sees itself, so a little more than the depth is read.
    EXPECT_NEAR((*speeds)[i].decode_tok_per_s.likely, 1 / OneCard::step(depths[i], 1), 0.05);
    EXPECT_NEAR((*speeds)[i].decode_tok_per_s.low / (*speeds)[i].decode_tok_per_s.likely, 0.75,
                1e-9);
  }
  EXPECT_GT((*speeds)[0].prefill_tok_per_s.likely, (*speeds)[2].prefill_tok_per_s.likely);
  ASSERT_NE((*speeds)[0].decode_accuracy, nullptr);
  EXPECT_EQ((*speeds)[0].decode_accuracy->id, "decode");
  EXPECT_EQ((*speeds)[0].prefill_accuracy->id, "prefill");
}

TEST(SpeedAtBatches, WeightsAreReadOnceForAll) {
  OneCard c;
  c.inputs.workload.n_prompt = 1000;
  c.inputs.workload.n_gen = 200;
  const Plan plan = *c.plan();
  const std::vector<std::uint32_t> counts = {1, 8};
  const auto speeds = speed_at_batches(c.inputs, plan.placement, counts);
  ASSERT_TRUE(speeds);
  ASSERT_EQ(speeds->size(), 2u);
  EXPECT_EQ((*speeds)[0].decode_tok_per_s.likely, plan.speed.decode_tok_per_s.likely);
  EXPECT_NEAR((*speeds)[1].decode_tok_per_s.likely, 8 / OneCard::step(1100, 8), 1);
  EXPECT_EQ((*speeds)[1].n_seq, 8u);
  EXPECT_DOUBLE_EQ((*speeds)[1].each_tok_per_s.likely * 8, (*speeds)[1].decode_tok_per_s.likely);
  EXPECT_DOUBLE_EQ((*speeds)[1].each_tok_per_s.high * 8, (*speeds)[1].decode_tok_per_s.high);
  EXPECT_EQ((*speeds)[1].each_tok_per_s.basis, (*speeds)[1].decode_tok_per_s.basis);
}

TEST(DepthsOfContext, AreOfOneSequence) {
  RunSettings settings;
  settings.n_ctx = 32768;
  settings.n_seq = 4;
  EXPECT_EQ(depths_of_context(settings), (std::vector<double>{0, 4096, 8192}));
  settings.n_ctx = 1, settings.n_seq = 1;
  EXPECT_EQ(depths_of_context(settings), std::vector<double>{0});
}

}  // namespace
}  // namespace planner
