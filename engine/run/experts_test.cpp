// SPDX-License-Identifier: MIT
#include "engine/run/experts.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace engine {
namespace {

TEST(Experts, SoftmaxThenTheBestAndTheirShares) {
  ModelParams params;
  params.normalize_chosen = true;
  // Two tokens, four experts; exponentials 1, 2, 4, 8 and the reverse.
  const float ln2 = std::log(2.0f);
  const std::vector<float> logits = {0, ln2, 2 * ln2, 3 * ln2, 3 * ln2, 2 * ln2, ln2, 0};
  ExpertChoice choice;
  choose_experts(params, logits.data(), 2, 4, 2, nullptr, &choice);
  ASSERT_EQ(choice.groups.size(), 4u);
  EXPECT_EQ(choice.groups[0].expert, 0u);
  EXPECT_EQ(choice.groups[3].expert, 3u);
  // Token 0 takes experts 3 and 2 with 8 / 12 and 4 / 12, token 1 takes 0 and 1.
  EXPECT_EQ(choice.token_of, (std::vector<std::uint32_t>{1, 1, 0, 0}));
  EXPECT_NEAR(choice.weight_of[0], 8.0 / 12, 1e-6);
  EXPECT_NEAR(choice.weight_of[1], 4.0 / 12, 1e-6);
  EXPECT_NEAR(choice.weight_of[2], 4.0 / 12, 1e-6);
  EXPECT_EQ(choice.pair_of, (std::vector<std::uint32_t>{3, 2, 0, 1}));
}

TEST(Experts, WithoutNormalizingTheSharesAreOfAll) {
  ModelParams params;
  params.normalize_chosen = false;
  params.expert_weights_scale = 2;
  const float ln2 = std::log(2.0f);
  const std::vector<float> logits = {0, ln2, 2 * ln2, 0};
  ExpertChoice choice;
  choose_experts(params, logits.data(), 1, 4, 1, nullptr, &choice);
  ASSERT_EQ(choice.groups.size(), 1u);
  EXPECT_EQ(choice.groups[0].expert, 2u);
  EXPECT_NEAR(choice.weight_of[0], 2 * 4.0 / 8, 1e-6);
}

TEST(Experts, ABiasChoosesButDoesNotWeigh) {
  ModelParams params;
  params.router = RunTraits::Router::sigmoid;
  params.normalize_chosen = false;
  const std::vector<float> logits = {2, 0, -2};
  const std::vector<float> bias = {0, 0, 5};
  ExpertChoice choice;
  choose_experts(params, logits.data(), 1, 3, 1, bias.data(), &choice);
  EXPECT_EQ(choice.groups[0].expert, 2u);
  EXPECT_NEAR(choice.weight_of[0], 1 / (1 + std::exp(2.0)), 1e-6);
}

TEST(Experts, SoftmaxOfTheChosenAlone) {
  ModelParams params;
  params.router = RunTraits::Router::softmax_of_chosen;
  params.normalize_chosen = false;
  const std::vector<float> logits = {1, 5, 5 - std::log(3.0f), 0};
  ExpertChoice choice;
  choose_experts(params, logits.data(), 1, 4, 2, nullptr, &choice);
  ASSERT_EQ(choice.groups.size(), 2u);
  EXPECT_NEAR(choice.weight_of[0], 0.75, 1e-6);
  EXPECT_NEAR(choice.weight_of[1], 0.25, 1e-6);
}

// Groups of two; group 1 has the single best expert, group 0 the better pair.
TEST(Experts, GroupsAreRankedByTheirTwoBest) {
  ModelParams params;
  params.router = RunTraits::Router::sigmoid;
  params.n_expert_groups = 2;
  params.n_expert_groups_used = 1;
  const std::vector<float> logits = {1, 1, 2, -8};
  ExpertChoice choice;
  choose_experts(params, logits.data(), 1, 4, 2, nullptr, &choice);
  ASSERT_EQ(choice.groups.size(), 2u);
  EXPECT_EQ(choice.groups[0].expert, 0u);
  EXPECT_EQ(choice.groups[1].expert, 1u);
  EXPECT_NEAR(choice.weight_of[0], 0.5, 1e-6);
}

TEST(Experts, NotANumberIsChosenLast) {
  ModelParams params;
  params.router = RunTraits::Router::softmax_of_chosen;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> logits = {nan, 1, nan, 0};
  ExpertChoice choice;
  choose_experts(params, logits.data(), 1, 4, 2, nullptr, &choice);
  ASSERT_EQ(choice.groups.size(), 2u);
  EXPECT_EQ(choice.groups[0].expert, 1u);
  EXPECT_EQ(choice.groups[1].expert, 3u);
}

}  // namespace
}  // namespace engine
