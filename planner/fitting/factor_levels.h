// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hwdb/rows.h"
#include "planner/class_factors.h"
#include "planner/fitting/robust_fit.h"

/// The hierarchy of the class factors: which rows there are, what each may hold, and how far it is
/// expected to be from the row above.
namespace fitting {

/// A figure of a row: a member of DeviceFactors, or a multiplier of its tensor type.
struct Unknown {
  std::uint32_t row = 0;    // of FactorLevels::rows()
  std::uint32_t field = 0;  // of kFactorFields; with a tensor type, of kTypeFactorFields
};

/// Rows and unknowns for a set of device classes and tensor types, in the order of the hierarchy:
/// any, type, backend, backend and type, vendor, generation, form, device.
class FactorLevels {
 public:
  /// Adds the rows that this class and the types of a model need.
  void add(const planner::DeviceClass& device, std::span<const hwdb::TensorType> types);

  const std::vector<hwdb::SpeedFactorRow>& rows() const { return rows_; }
  const std::vector<Unknown>& unknowns() const { return unknowns_; }
  /// One for each unknown: the natural logarithm of its figure.
  const std::vector<Parameter>& parameters() const { return parameters_; }

  /// The rows with the values of a fit filled in. A figure that neither moved nor got any surer is
  /// left out, and so is a row without figures: the rows above it say the same.
  std::vector<hwdb::SpeedFactorRow> filled(std::span<const double> values,
                                           std::span<const double> errors) const;

 private:
  std::vector<hwdb::SpeedFactorRow> rows_;
  std::vector<Unknown> unknowns_;
  std::vector<Parameter> parameters_;
};

/// The factors of one class as a sum of unknowns, for fast evaluation in a fit.
class FactorSum {
 public:
  FactorSum(const FactorLevels& levels, const planner::DeviceClass& device,
            std::span<const hwdb::TensorType> types);
  /// Unknowns that it depends on.
  const std::vector<std::uint32_t>& touches() const { return touches_; }
  /// The factors at these values.
  const planner::DeviceFactors& at(std::span<const double> values);

 private:
  std::vector<std::uint32_t> touches_, slots_;
  std::vector<double> sums_;
  planner::DeviceFactors factors_;
};

}  // namespace fitting
