// SPDX-License-Identifier: MIT
#include "planner/fitting/robust_fit.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace fitting {
namespace {

constexpr std::size_t kMaxIterations = 60;
constexpr double kStep = 1e-4;       // of the numeric derivatives
constexpr double kDoneShare = 1e-5;  // of the cost, below which an improvement is none
constexpr double kMostDamping = 1e9;

class Fit {
 public:
  explicit Fit(const FitProblem& problem) : problem_(problem) {
    for (std::uint32_t i = 0; i < problem.parameters.size(); ++i)
      if (problem.parameters[i].prior_sd > 0) free_.push_back(i);
    place_.assign(problem.parameters.size(), -1);
    for (std::size_t k = 0; k < free_.size(); ++k) place_[free_[k]] = static_cast<int>(k);
    std::vector<std::uint32_t> all(problem.parameters.size());
    std::iota(all.begin(), all.end(), 0u);
    all_ = std::move(all);
  }

  FitResult run() {
    FitResult result;
    for (const Parameter& p : problem_.parameters)
      result.values.push_back(p.prior_sd > 0 ? p.start.value_or(p.prior) : p.prior);
    if (problem_.start.size() == result.values.size()) {
      for (const std::uint32_t i : free_) result.values[i] = problem_.start[i];
    }
    std::vector<double> residuals = residuals_at(result.values);
    double cost = cost_of(result.values, residuals);
    double damping = 1e-3;
    while (result.iterations < kMaxIterations && !result.converged && !free_.empty()) {
      ++result.iterations;
      linearize(result.values, residuals);
      bool better = false;
      while (!better && damping < kMostDamping) {
        Eigen::MatrixXd damped = hessian_;
        damped.diagonal() *= 1 + damping;
        const Eigen::VectorXd step = damped.ldlt().solve(gradient_);
        std::vector<double> values = result.values;
        for (std::size_t k = 0; k < free_.size(); ++k)
          values[free_[k]] += step[static_cast<Eigen::Index>(k)];
        std::vector<double> trial = residuals_at(values);
        const double trial_cost = cost_of(values, trial);
        if (std::isfinite(trial_cost) && trial_cost <= cost) {
          better = true;
          result.converged = cost - trial_cost <= kDoneShare * (1 + cost);
          result.values = std::move(values);
          residuals = std::move(trial);
          cost = trial_cost;
          damping = std::max(damping / 5, 1e-9);
        } else {
          damping *= 10;
        }
      }
      // No step helps any more: this is the bottom, as far as the derivatives can tell.
      if (!better) result.converged = true;
    }
    result.sd.assign(problem_.parameters.size(), 0);
    if (!free_.empty()) {
      linearize(result.values, residuals);
      const Eigen::MatrixXd spread =
          hessian_.ldlt().solve(Eigen::MatrixXd::Identity(hessian_.rows(), hessian_.cols()));
      for (std::size_t k = 0; k < free_.size(); ++k) {
        const auto i = static_cast<Eigen::Index>(k);
        result.sd[free_[k]] = std::sqrt(std::max(0.0, spread(i, i)));
      }
    }
    result.residuals = std::move(residuals);
    result.cost = cost;
    return result;
  }

 private:
  double noise(std::size_t row) const {
    return row < problem_.noise_sd.size() ? problem_.noise_sd[row] : 1;
  }
  const std::vector<std::uint32_t>& touched(std::size_t row) const {
    return row < problem_.touches.size() ? problem_.touches[row] : all_;
  }
  /// Weight of a residual that is `z` noise deviations long: Huber's.
  double huber_weight(double z) const {
    return problem_.huber <= 0 || std::abs(z) <= problem_.huber ? 1 : problem_.huber / std::abs(z);
  }

  std::vector<double> residuals_at(std::span<const double> values) const {
    std::vector<double> residuals(problem_.n_rows);
    for (std::size_t row = 0; row < problem_.n_rows; ++row)
      residuals[row] = problem_.residual(row, values);
    return residuals;
  }

  double cost_of(std::span<const double> values, std::span<const double> residuals) const {
    double cost = 0;
    for (std::size_t row = 0; row < residuals.size(); ++row) {
      const double z = std::abs(residuals[row] / noise(row)), h = problem_.huber;
      cost += h <= 0 || z <= h ? 0.5 * z * z : h * (z - 0.5 * h);
    }
    for (const std::uint32_t i : free_) {
      const Parameter& p = problem_.parameters[i];
      const double z = (values[i] - p.prior) / p.prior_sd;
      cost += 0.5 * z * z;
    }
    return cost;
  }

  void linearize(std::span<const double> at, std::span<const double> residuals) {
    const auto n = static_cast<Eigen::Index>(free_.size());
    hessian_ = Eigen::MatrixXd::Zero(n, n);
    gradient_ = Eigen::VectorXd::Zero(n);
    std::vector<double> values(at.begin(), at.end());
    std::vector<std::pair<Eigen::Index, double>> slopes;
    for (std::size_t row = 0; row < problem_.n_rows; ++row) {
      slopes.clear();
      for (const std::uint32_t i : touched(row)) {
        if (place_[i] < 0) continue;
        const double kept = values[i];
        values[i] = kept + kStep;
        const double stepped = problem_.residual(row, values);
        values[i] = kept;
        slopes.emplace_back(place_[i], (stepped - residuals[row]) / kStep);
      }
      const double z = residuals[row] / noise(row);
      const double weight = huber_weight(z) / (noise(row) * noise(row));
      for (const auto& [i, slope] : slopes) {
        gradient_[i] -= weight * slope * residuals[row];
        for (const auto& [j, other] : slopes) hessian_(i, j) += weight * slope * other;
      }
    }
    for (std::size_t k = 0; k < free_.size(); ++k) {
      const Parameter& p = problem_.parameters[free_[k]];
      const double precision = 1 / (p.prior_sd * p.prior_sd);
      const auto i = static_cast<Eigen::Index>(k);
      hessian_(i, i) += precision;
      gradient_[i] -= precision * (values[free_[k]] - p.prior);
    }
  }

  const FitProblem& problem_;
  std::vector<std::uint32_t> free_, all_;
  std::vector<int> place_;
  Eigen::MatrixXd hessian_;
  Eigen::VectorXd gradient_;
};

}  // namespace

FitResult robust_fit(const FitProblem& problem) {
  return Fit(problem).run();
}

}  // namespace fitting
