// SPDX-License-Identifier: MIT
#include "planner/fitting/robust_fit.h"

#include <gtest/gtest.h>

#include <cmath>

namespace fitting {
namespace {

// ln(measured / predicted) of y = a + b * x with a = exp(v0), b = exp(v1).
FitProblem line(std::vector<double> x, std::vector<double> y) {
  FitProblem problem;
  problem.parameters = {{"a", 0, 10}, {"b", 0, 10}};
  problem.n_rows = x.size();
  problem.noise_sd.assign(x.size(), 0.01);
  problem.residual = [x = std::move(x), y = std::move(y)](std::size_t i,
                                                          std::span<const double> v) {
    return std::log(y[i] / (std::exp(v[0]) + std::exp(v[1]) * x[i]));
  };
  return problem;
}

TEST(RobustFit, FindsTheParametersOfExactRows) {
  const FitResult fit = robust_fit(line({1, 2, 4, 8}, {5, 8, 14, 26}));
  EXPECT_TRUE(fit.converged);
  EXPECT_NEAR(std::exp(fit.values[0]), 2, 1e-3);
  EXPECT_NEAR(std::exp(fit.values[1]), 3, 1e-3);
  for (const double residual : fit.residuals) EXPECT_NEAR(residual, 0, 1e-5);
}

TEST(RobustFit, OneWildRowHardlyMoves) {
  const FitResult fit = robust_fit(line({1, 2, 4, 8, 16, 32}, {5, 8, 14, 26, 50, 980}));
  EXPECT_NEAR(std::exp(fit.values[1]), 3, 0.06);
  EXPECT_GT(fit.residuals[5], 2);
}

TEST(RobustFit, AnUnknownThatNoRowTouchesStaysAtItsPriorWithItsDeviation) {
  FitProblem problem = line({1, 2}, {5, 8});
  problem.parameters.push_back({"c", 0.7, 0.3});
  problem.touches = {{0, 1}, {0, 1}};
  const FitResult fit = robust_fit(problem);
  EXPECT_NEAR(fit.values[2], 0.7, 1e-12);
  EXPECT_NEAR(fit.sd[2], 0.3, 1e-9);
}

TEST(RobustFit, WeighsTheRowsAgainstThePrior) {
  // One figure seen twice as 1 with deviation 1, known before as 0 with deviation 1: (0 + 1 + 1)
  // / 3.
  FitProblem problem;
  problem.parameters = {{"x", 0, 1}};
  problem.n_rows = 2;
  problem.noise_sd = {1, 1};
  problem.huber = 0;
  problem.residual = [](std::size_t, std::span<const double> v) { return 1 - v[0]; };
  const FitResult fit = robust_fit(problem);
  EXPECT_NEAR(fit.values[0], 2.0 / 3, 1e-6);
  EXPECT_NEAR(fit.sd[0], std::sqrt(1.0 / 3), 1e-6);
}

TEST(RobustFit, HoldsWhatHasNoDeviation) {
  FitProblem problem = line({1, 2, 4}, {5, 8, 14});
  problem.parameters[0] = {"a", std::log(1.0), 0};
  const FitResult fit = robust_fit(problem);
  EXPECT_EQ(fit.values[0], 0);
  EXPECT_EQ(fit.sd[0], 0);
  EXPECT_GT(std::exp(fit.values[1]), 3);
}

}  // namespace
}  // namespace fitting
