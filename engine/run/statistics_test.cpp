// SPDX-License-Identifier: MIT
#include "engine/run/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace engine {
namespace {

using Samples = std::vector<double>;

TEST(Statistics, MeanDeviationAndMedianOfHandWorkedSamples) {
  const Samples s = {2, 4, 4, 4, 5, 5, 7, 9};
  EXPECT_DOUBLE_EQ(mean_of(s), 5);
  EXPECT_DOUBLE_EQ(deviation_of(s), std::sqrt(32.0 / 7));
  EXPECT_DOUBLE_EQ(median_of(s), 4.5);
  EXPECT_DOUBLE_EQ(median_of(Samples{3, 1, 2}), 2);
  EXPECT_DOUBLE_EQ(quantile_of(Samples{10, 20, 30, 40, 50}, 0.9), 46);
  EXPECT_DOUBLE_EQ(quantile_of(Samples{10, 20}, 2), 20);
  EXPECT_DOUBLE_EQ(mean_of(Samples{}), 0);
  EXPECT_DOUBLE_EQ(median_of(Samples{}), 0);
  EXPECT_DOUBLE_EQ(deviation_of(Samples{7}), 0);
}

TEST(Statistics, OutliersAreFlaggedByTheMedianAbsoluteDeviation) {
  // Median 10, deviations 2 1 0 1 x: their median is 1, so the border is 10 + 3.5 / 0.6745 = 15.19.
  EXPECT_EQ(find_outliers(Samples{8, 9, 10, 11, 15.1}),
            (std::vector<bool>{false, false, false, false, false}));
  EXPECT_EQ(find_outliers(Samples{8, 9, 10, 11, 15.3}),
            (std::vector<bool>{false, false, false, false, true}));
  EXPECT_EQ(find_outliers(Samples{-40, 9, 10, 11, 12}),
            (std::vector<bool>{true, false, false, false, false}));
  // Equal samples leave no room for another one.
  EXPECT_EQ(find_outliers(Samples{5, 5, 5, 6}), (std::vector<bool>{false, false, false, true}));
  EXPECT_EQ(find_outliers(Samples{5, 5, 5}), (std::vector<bool>{false, false, false}));
  EXPECT_EQ(find_outliers(Samples{1, 100}), (std::vector<bool>{false, false}));
}

TEST(Statistics, AMeanKnowsItsStandardError) {
  MeanSum sum;
  EXPECT_DOUBLE_EQ(sum.figure().value, 0);
  for (const double x : {2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0}) sum.add(x);
  EXPECT_DOUBLE_EQ(sum.figure().value, 5);
  // The deviation of the sample over the root of its size.
  EXPECT_NEAR(sum.figure().error, std::sqrt(32.0 / 7) / std::sqrt(8.0), 1e-12);
  EXPECT_DOUBLE_EQ(sum.mean_of_squares(), 29);
  MeanSum equal;
  for (int i = 0; i < 1000; ++i) equal.add(0.1);
  EXPECT_NEAR(equal.figure().error, 0, 1e-9);
  EXPECT_FALSE(std::isnan(equal.figure().error));
}

}  // namespace
}  // namespace engine
