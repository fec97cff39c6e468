// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "hwdb/rows.h"
#include "planner/assumptions.h"
#include "planner/fitting/factor_levels.h"
#include "planner/fitting/measured_rows.h"
#include "planner/fitting/robust_fit.h"

namespace fitting {

/// Factors fitted to cases with the planner's own estimator.
class ClassFit {
 public:
  /// Prepares every case. Cases whose speed the estimator does not know are dropped. `assumptions`
  /// must outlive the fit; its class factors are not used.
  ClassFit(std::vector<Case> cases, const planner::Assumptions& assumptions);
  ~ClassFit();

  const std::vector<Case>& cases() const { return cases_; }

  /// The fit to the cases that `used` says (null: all), from `start` (empty: the priors).
  FitResult fit(const std::vector<bool>* used, std::span<const double> start) const;
  /// ln(measured / predicted) of a case at these values.
  double residual(std::size_t index, std::span<const double> values) const;
  /// The rows of the catalogue's table, with the numbers of cases and devices behind each.
  std::vector<hwdb::SpeedFactorRow> rows(const FitResult& result) const;

  /// The figure of a case by the one-constant formula, for a constant of 1: bandwidth over the
  /// bytes a token reads, or peak over its FLOPs.
  double naive_rate(std::size_t index) const;

 private:
  struct Prepared;
  std::vector<Case> cases_;
  std::vector<std::unique_ptr<Prepared>> prepared_;
  FactorLevels levels_;
};

/// ln(measured / predicted) of each case by a fit that had none of its device's.
struct LeftOutResiduals {
  std::vector<double> residuals;
  std::vector<double> naive;  // of the one-constant formula, its constant from the other devices
};
LeftOutResiduals leave_devices_out(const ClassFit& fit, const FitResult& all);

/// The same by fits that had other models of the device but not this one: what is to be expected of
/// devices that the factors know. Cases of devices with a single model have no residual (NaN).
LeftOutResiduals leave_models_out(const ClassFit& fit, const FitResult& all);

/// Error figures and bands by phase, situation and backend from what was left out; cases without
/// a residual are passed over. A class with
/// fewer than `least_rows` cases or three devices gets no row of its own.
std::vector<hwdb::SpeedAccuracyRow> accuracy_rows(const std::vector<Case>& cases,
                                                  const LeftOutResiduals& left_out,
                                                  bool known_devices, std::size_t least_rows);

/// The two tables as they stand in hwdb/data/speed.
std::string factors_json(std::span<const hwdb::SpeedFactorRow> rows);
std::string accuracy_json(std::span<const hwdb::SpeedAccuracyRow> rows);

}  // namespace fitting
