// SPDX-License-Identifier: MIT
#include "engine/run/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>

namespace engine {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// Everything allowed, temperature 1.
SamplerOptions open_options() {
  SamplerOptions options;
  options.temperature = 1;
  options.top_k = 0;
  options.top_p = 1;
  options.min_p = 0;
  return options;
}

std::map<TokenId, double> shares(const SamplerOptions& options, const std::vector<float>& logits,
                                 int n = 20000) {
  Sampler sampler(options);
  std::map<TokenId, double> counts;
  for (int i = 0; i < n; ++i) counts[sampler.sample(logits)] += 1.0 / n;
  return counts;
}

// Probabilities 0.5, 0.25, 0.15, 0.1.
const std::vector<float> kFour = {std::log(0.15f), std::log(0.5f), std::log(0.1f), std::log(0.25f)};

TEST(Sampler, GreedyTakesTheHighestAndOfEqualsTheFirst) {
  EXPECT_EQ(greedy_token(kFour), 1);
  EXPECT_EQ(greedy_token(std::vector<float>{1, 3, 3, 2}), 1);
  EXPECT_EQ(greedy_token(std::vector<float>{kNan, -kInf, -5, kNan}), 2);
  EXPECT_EQ(greedy_token(std::vector<float>{kNan, kNan}), 0);
  SamplerOptions options;
  options.temperature = 0;
  EXPECT_EQ(Sampler(options).sample(kFour), 1);
}

TEST(Sampler, DrawsByProbability) {
  const auto got = shares(open_options(), kFour);
  EXPECT_NEAR(got.at(1), 0.5, 0.015);
  EXPECT_NEAR(got.at(3), 0.25, 0.015);
  EXPECT_NEAR(got.at(0), 0.15, 0.015);
  EXPECT_NEAR(got.at(2), 0.1, 0.015);
}

TEST(Sampler, TemperatureSharpensAndFlattens) {
  SamplerOptions options = open_options();
  options.temperature = 0.5;  // weights squared: 0.25 of 0.345
  EXPECT_NEAR(shares(options, kFour).at(1), 0.25 / 0.345, 0.015);
  options.temperature = 1000;
  EXPECT_NEAR(shares(options, kFour).at(2), 0.25, 0.015);
}

TEST(Sampler, TopKKeepsTheBest) {
  SamplerOptions options = open_options();
  options.top_k = 2;
  const auto got = shares(options, kFour);
  ASSERT_EQ(got.size(), 2u);
  EXPECT_NEAR(got.at(1), 0.5 / 0.75, 0.015);
  EXPECT_NEAR(got.at(3), 0.25 / 0.75, 0.015);
  options.top_k = 1;
  EXPECT_EQ(shares(options, kFour, 100).size(), 1u);
  options.top_k = 100;  // more than there are
  EXPECT_EQ(shares(options, kFour).size(), 4u);
}

TEST(Sampler, TopKOfMany) {
  std::vector<float> logits(5000);
  for (std::size_t i = 0; i < logits.size(); ++i) {
    logits[i] = static_cast<float>((i * 2654435761u) % 5000) / 500.0f;
  }
  for (const std::uint32_t k : {3u, 2000u}) {  // by a heap and by partition
    SamplerOptions options = open_options();
    options.top_k = k;
    float threshold = 0;
    {
      std::vector<float> sorted = logits;
      std::ranges::sort(sorted, std::greater<>{});
      threshold = sorted[k - 1];
    }
    for (const auto& [token, share] : shares(options, logits, 3000)) {
      EXPECT_GE(logits[static_cast<std::size_t>(token)], threshold) << k;
    }
  }
}

TEST(Sampler, TopPKeepsTheShortestListThatReachesIt) {
  SamplerOptions options = open_options();
  options.top_p = 0.7;  // 0.5, then 0.75
  EXPECT_EQ(shares(options, kFour).size(), 2u);
  options.top_p = 0.8;
  EXPECT_EQ(shares(options, kFour).size(), 3u);
  options.top_p = 0;
  EXPECT_EQ(shares(options, kFour, 100).size(), 1u);
  // A flat distribution over many: the list grows beyond what is sorted first.
  options.top_p = 0.5;
  const std::vector<float> flat(1000, 1.0f);
  const auto got = shares(options, flat);
  EXPECT_NEAR(static_cast<double>(got.size()), 500, 1);
  EXPECT_LE(got.rbegin()->first, 500);  // of equals the first
}

TEST(Sampler, MinPIsRelativeToTheBest) {
  SamplerOptions options = open_options();
  options.min_p = 0.25;  // 0.125 and more
  const auto got = shares(options, kFour);
  EXPECT_EQ(got.size(), 3u);
  EXPECT_FALSE(got.contains(2));
}

TEST(Sampler, RepetitionWeakensWhatCameLately) {
  SamplerOptions options;
  options.temperature = 0;
  options.repeat_penalty = 2;
  options.repeat_last_n = 2;
  Sampler sampler(options);
  const std::vector<float> logits = {4, 3, -1, -1.5};
  EXPECT_EQ(sampler.sample(logits), 0);
  sampler.accept(0);
  sampler.accept(0);                     // twice is once
  EXPECT_EQ(sampler.sample(logits), 1);  // 4 / 2 < 3
  sampler.accept(1);
  EXPECT_EQ(sampler.sample(logits), 0);  // 2 against 1.5
  sampler.accept(3);
  sampler.accept(3);  // 0 and 1 are out of the last two
  EXPECT_EQ(sampler.sample(logits), 0);
  const std::vector<float> negative = {-kInf, -kInf, -2, -1.5};
  EXPECT_EQ(sampler.sample(negative), 2);  // -1.5 * 2 < -2
  sampler.accept(-7);
  sampler.accept(1000);  // no such tokens
  EXPECT_EQ(sampler.sample(negative), 3);
}

TEST(Sampler, SameSeedSameTokens) {
  SamplerOptions options;
  options.seed = 42;
  std::vector<float> logits(300);
  for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = std::sin(static_cast<float>(i)) * 3;
  Sampler a(options), b(options);
  options.seed = 43;
  Sampler c(options);
  int same = 0;
  std::vector<TokenId> first;
  for (int i = 0; i < 50; ++i) {
    const TokenId token = a.sample(logits);
    first.push_back(token);
    ASSERT_EQ(token, b.sample(logits));
    same += token == c.sample(logits) ? 1 : 0;
  }
  EXPECT_LT(same, 40);
  // The draws of mt19937_64 are the standard's and the arithmetic is ours: these hold everywhere.
  SamplerOptions plain = open_options();
  plain.seed = 1;
  Sampler fixed(plain);
  std::vector<TokenId> drawn;
  for (int i = 0; i < 8; ++i) drawn.push_back(fixed.sample(std::vector<float>(10, 0.0f)));
  EXPECT_EQ(drawn, (std::vector<TokenId>{1, 1, 4, 0, 3, 9, 4, 0}));
}

TEST(Sampler, OddLogitsAreSafe) {
  const std::vector<float> none(100, -kInf), nans(100, kNan);
  for (const std::uint32_t k : {0u, 5u}) {
    for (const double p : {1.0, 0.9}) {
      SamplerOptions options = open_options();
      options.top_k = k;
      options.top_p = p;
      options.min_p = 0.1;
      Sampler sampler(options);
      EXPECT_EQ(sampler.sample(none), 0);
      EXPECT_EQ(sampler.sample(nans), 0);
      EXPECT_EQ(sampler.sample(std::vector<float>{}), 0);
      EXPECT_EQ(sampler.sample(std::vector<float>{1, kInf, 2, kNan}), 1);
      EXPECT_EQ(sampler.sample(std::vector<float>{-kInf, kNan, -1e30f, -kInf}), 2);
    }
  }
}

}  // namespace
}  // namespace engine
