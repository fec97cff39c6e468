// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

/// Non-linear least squares with priors, robust against outliers (the Eigen room).
namespace fitting {

/// One unknown with what was known of it before: a normal distribution. Positive figures are fitted
/// as their logarithms by the caller.
struct Parameter {
  std::string name;
  double prior = 0;
  double prior_sd = 1;               // 0: held at the prior
  std::optional<double> start = {};  // where the search begins; absent: at the prior
};

struct FitProblem {
  std::vector<Parameter> parameters;
  std::size_t n_rows = 0;
  /// ln(measured / predicted) of a row, by the parameters' values in their order.
  std::function<double(std::size_t row, std::span<const double> values)> residual;
  /// Parameters that a row depends on; rows that are missing here depend on all.
  std::vector<std::vector<std::uint32_t>> touches;
  std::vector<double> noise_sd;  // of each row's residual
  std::vector<double> start;     // of the values; empty: the priors
  /// Residuals beyond this many noise deviations count as linear (Huber); 0: all as squares.
  double huber = 1.5;
};

struct FitResult {
  std::vector<double> values, sd;  // of the parameters; sd from the curvature at the end
  std::vector<double> residuals;   // of the rows
  double cost = 0;                 // what was made small: of several searches the lowest counts
  std::size_t iterations = 0;
  bool converged = false;
};

/// The most probable values: iteratively reweighted Gauss-Newton steps with numeric derivatives and
/// a damping that grows where a step does not help.
FitResult robust_fit(const FitProblem& problem);

}  // namespace fitting
