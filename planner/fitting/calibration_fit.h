// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "hwdb/machine.h"
#include "planner/assumptions.h"
#include "planner/batch.h"
#include "planner/calibration.h"

namespace fitting {

/// What a fit needs besides the record.
struct CalibrationFitInputs {
  const hwdb::Machine* machine = nullptr;             // that was measured
  const planner::Assumptions* assumptions = nullptr;  // its class factors are the priors
  /// The model of a reading; null where it cannot be found any more.
  std::function<std::shared_ptr<const planner::ResolvedModel>(const hwdb::SpeedReading&)> model;
  std::string made_at;
};

/// One factor of a calibration, and what was known before.
struct FittedFactor {
  std::string name;  // "read", "Q4_K.read"
  double value = 0, relative_error = 0;
  double prior = 0, prior_relative_error = 0;
  /// True where the readings said clearly more than the class did.
  bool measured() const { return relative_error < 0.7 * prior_relative_error; }
};

/// A reading or a kernel beside what the calibration says of it.
struct FittedRow {
  bool is_kernel = false;
  std::size_t index = 0;  // in the record's readings or kernels
  double measured_s = 0, predicted_s = 0;
  double noise = 0;  // relative, that the fit took it to have
  double error() const { return predicted_s / measured_s - 1; }
};

struct FittedDevice {
  planner::Calibration calibration;
  std::vector<FittedFactor> factors;
  std::vector<FittedRow> rows;
  bool converged = false;
};

struct CalibrationFit {
  std::vector<FittedDevice> devices;  // by runtime, backend and device
  std::vector<std::string> notes;     // readings that were left out, and why
};

/// The most probable factors of each runtime, backend and device that the record has readings of;
/// flawed ones are left out, and of the same question the newest ones count. Kernels are the
/// engine's on the processors.
CalibrationFit fit_calibrations(const planner::CalibrationRecord& record,
                                const CalibrationFitInputs& inputs);

}  // namespace fitting
