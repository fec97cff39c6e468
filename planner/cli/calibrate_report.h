// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "planner/calibration.h"
#include "planner/fitting/calibration_fit.h"
#include "planner/report/report.h"

namespace cli {

/// What was fitted, factor by factor: value, error, what the class said, what told it.
report::Section fitted_section(const fitting::FittedDevice& device);
/// Measured beside predicted, for the readings of a device.
report::Section residuals_section(const fitting::FittedDevice& device,
                                  const planner::CalibrationRecord& record);
/// The same of calibrations that are stored, without what they were fitted to.
report::Section stored_section(const planner::Calibration& calibration);
/// Every reading that is kept, oldest first.
report::Section history_section(const planner::CalibrationRecord& record);
/// What would make plans surer, in sentences.
std::vector<std::string> next_steps(const std::vector<fitting::FittedDevice>& devices, bool full);

}  // namespace cli
