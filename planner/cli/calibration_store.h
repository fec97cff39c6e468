// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hwdb/machine.h"
#include "hwdb/state_store.h"
#include "planner/calibration.h"

/// Calibrations between runs: one document per machine with all that was ever measured on it.
namespace cli {

struct StoredCalibration {
  planner::CalibrationRecord record;
  std::string saved_at;
  std::vector<std::string> differences;  // to the machine as it is: not empty, then not for plans
};

/// The record of a detected machine; nothing when there is none. Errors: state.*.
hwdb::Result<std::optional<StoredCalibration>> load_calibration(hwdb::StateStore* store,
                                                                const hwdb::Machine& detected);
hwdb::Status save_calibration(hwdb::StateStore* store, const hwdb::Machine& detected,
                              const planner::CalibrationRecord& record);

}  // namespace cli
